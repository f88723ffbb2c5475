-- Three in the morning: why does this job not go on, and what do I type?
create or replace function stagebus.why_stuck(p_job_id uuid)
returns table (cause text, stage integer, evidence text, fix text)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    -- As the view has them: not what is being removed.
    if not exists (select from stagebus.jobs as j where j.job_id = p_job_id) then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Look it up in the view jobs.');
    end if;
    return query
    select c.* from stagebus.causes_before_publishing(p_job_id) as c
    union all
    select c.* from stagebus.causes_in_publishing(p_job_id) as c
    union all
    select c.* from stagebus.causes_in_batches(p_job_id) as c
    union all
    select c.* from stagebus.causes_in_working(p_job_id) as c
    union all
    select c.* from stagebus.causes_in_advancing(p_job_id) as c;
    if not found then
        return query select c.* from stagebus.nothing_is_stuck(p_job_id) as c;
    end if;
end;
$$;
comment on function stagebus.why_stuck(uuid) is
    'A row for each thing that keeps the job, or a stage of it, from going on: the cause, what '
    'shows it, and the statement that mends it; a comment where none can. Where nothing is '
    'stuck, one row that says how the job runs, or how it ended. Reads no tasks. Raises SB101.';
