-- Why a job does not advance, for whoever looks at it, and when it is tried again: after a second,
-- then after twice as long each time, up to five minutes.
create or replace function stagebus.fail_advance(
    p_advance stagebus_data.job_advances,
    p_at stagebus_data.plan_stages,
    p_error text
) returns void
language sql
set search_path = stagebus_data, stagebus, pg_temp
as $$
    update job_advances as a set
        next_try_at = stagebus.clock() + least(
            interval '1 second' * 2 ^ least(p_advance.failures, 10), interval '5 minutes'),
        failures = p_advance.failures + 1,
        stage_name = p_at.name,
        why = case
            when p_at.name is null then 'the job cannot advance'
            else format('stage %s cannot be made from %s', p_at.name, concat_ws(' and ',
                'its skip_when ' || p_at.skip_when,
                coalesce(p_at.task_function, 'its count ' || p_at.task_count)))
                || case when j.cancelling then '; cancel_job once more gives it up' else '' end
            end,
        error = left(p_error, 8192)
    from jobs as j
    where a.job_id = p_advance.job_id and j.job_id = a.job_id;
$$;
comment on function stagebus.fail_advance(
    stagebus_data.job_advances, stagebus_data.plan_stages, text) is
    'Records that advancing a job failed, at which stage of its plan (null: none) and with which '
    'error; the caller has locked the row.';
