-- How many tasks one stage may have: the limit is that of the role that made the job, whoever fills
-- the stage. Whoever stopped counting just beyond it knows of no number that would do.
create or replace function stagebus.check_stage_tasks(
    p_stage stagebus_data.stages,
    p_task_count bigint,
    p_or_more boolean default false
) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if p_task_count > 999999999 then
        perform stagebus.raise_error(
            'SB108', format('stage %s of job %s would have %s tasks',
                p_stage.stage, p_stage.job_id, p_task_count),
            'A stage has at most 999,999,999 tasks.', 'Split the work into several stages.');
    end if;
    perform stagebus.check_limit(
        'stage_tasks',
        (select j.created_by from jobs as j where j.job_id = p_stage.job_id),
        p_task_count,
        format('stage %s of job %s would have %s tasks%s', p_stage.stage, p_stage.job_id,
            p_task_count, case when p_or_more then ' or more' else '' end),
        'Split the work into several stages',
        case when p_or_more then '…' end);
end;
$$;
comment on function stagebus.check_stage_tasks(stagebus_data.stages, bigint, boolean) is
    'Raises SB108 when no stage can have this many tasks, SB127 when this one may not.';
