-- Gives tasks of a stage one more attempt: those that failed, or were cancelled, or wait for a
-- retry that is not due yet. A stage that ended reopens with the first of them.
create or replace function stagebus.retry_tasks(
    p_job_id uuid,
    p_stage integer,
    status text default 'failed',
    parameters jsonb default '{}',
    error text default '%',
    reason text default null,
    dry_run boolean default false,
    at_most integer default null
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage    stagebus_data.stages := stagebus.lock_stage(p_job_id, p_stage);
    v_tasks    integer;
    v_order_id bigint;
begin
    perform stagebus.require_read_committed('retry_tasks');
    if coalesce(retry_tasks.status not in ('failed', 'cancelled', 'retry_wait'), true) then
        perform stagebus.raise_error(
            'SB116', format('status => %s cannot be retried',
                coalesce(quote_literal(retry_tasks.status), 'null')),
            'It is failed, cancelled or retry_wait.',
            'A task that is queued, or runs, comes back by retry_batch.');
    end if;
    if at_most < 1
        or coalesce(jsonb_typeof(retry_tasks.parameters) <> 'object', true)
        or coalesce(error ~ '(^|[^\\])(\\\\)*\\$', true)
    then
        perform stagebus.raise_error(
            'SB116', 'the filter of retry_tasks is not usable',
            'parameters is a JSON object that the task''s contain; error a pattern of LIKE, '
            'which does not end with a lone backslash; at_most a number from 1 on.',
            'Leave out what does not matter.');
    end if;
    if v_stage.state in ('filling', 'provisional')
        or v_stage.ended_at is null and v_stage.ending is not null
        or (select j.cancelling and j.ended_at is null from jobs as j where j.job_id = p_job_id)
    then
        perform stagebus.raise_error(
            'SB120', format('retry_tasks cannot be done: stage %s of job %s is %s', p_stage,
                p_job_id, case when v_stage.state in ('filling', 'provisional')
                then v_stage.state else 'being cancelled' end),
            'It takes a stage that is open or has ended.',
            'Take a cancelling back with undo_order; the view orders has its number.');
    end if;
    v_tasks := (
        select least(count(*)::integer, at_most)
        from stagebus.retryable_tasks(
            v_stage, retry_tasks.status, retry_tasks.parameters, retry_tasks.error, 0,
            v_stage.task_count) as r
        where r.matches);
    if dry_run then
        return row(
            null, 'retry_tasks', 'dry run', p_job_id, p_stage, null, v_tasks, 0, case
                when v_tasks = 0 then 'no task matches'
                when v_stage.ended_at is null then 'the stage is open'
                when stagebus.went_past(p_job_id, p_stage)
                    then 'a repair: the job has gone past the stage, and will not advance again'
                else 'the stage reopens' || coalesce((
                    select format(', and its job, which is %s, runs again', j.state)
                    from jobs as j
                    where j.job_id = p_job_id and j.ended_at is not null), '') end
        )::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order(
        'retry_tasks', p_job_id, p_stage, null,
        jsonb_build_object(
            'status', retry_tasks.status, 'parameters', retry_tasks.parameters,
            'error', retry_tasks.error)
            || case when at_most is null then '{}'
                else jsonb_build_object('at_most', at_most) end,
        reason, v_tasks);
    if v_tasks = 0 then
        perform stagebus.end_order(v_order_id);
    end if;
    return stagebus.report_order(v_order_id);
end;
$$;
comment on function stagebus.retry_tasks(
    uuid, integer, text, jsonb, text, text, boolean, integer) is
    'Orders one more attempt for the tasks of the stage with this status whose parameters contain '
    'the ones given and whose error is like the pattern; at_most: for the first of them. '
    'Locks the stage. Raises SB105, SB115, SB116, SB120.';
