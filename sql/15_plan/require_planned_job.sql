-- Says which of the two a job without a plan is.
create or replace function stagebus.require_planned_job(p_job_id uuid) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job stagebus_data.jobs;
begin
    select j.* into v_job from jobs as j where j.job_id = p_job_id;
    if not found then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Look it up in the view jobs.');
    elsif v_job.plan_version is null then
        perform stagebus.raise_error(
            'SB143', format('job %s has no plan', p_job_id),
            'It was made with create_job: whoever made it makes its stages, too.',
            'Make the next one with create_stage_tasks, or end the job with finish_job.');
    end if;
end;
$$;
comment on function stagebus.require_planned_job(uuid) is
    'Raises SB101 where there is no such job, SB143 where it has no plan.';
