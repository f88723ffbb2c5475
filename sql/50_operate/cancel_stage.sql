-- Cancels what has not ended of a stage: nothing more of it is claimed or started from the commit
-- on; its tasks are cancelled in steps, those that run included.
create or replace function stagebus.cancel_stage(
    p_job_id uuid,
    p_stage integer,
    reason text default null,
    dry_run boolean default false
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
    perform stagebus.require_read_committed('cancel_stage');
    if v_stage.ended_at is not null or v_stage.ending is not null then
        perform stagebus.raise_error(
            'SB120', format('stage %s of job %s cannot be cancelled', p_stage, p_job_id),
            case when v_stage.ended_at is not null then format('It has ended: %s.', v_stage.state)
                when v_stage.ending = 'withdraw' then 'It is being withdrawn.'
                else 'It is being cancelled already.' end,
            'Look at the views stages and orders.');
    end if;
    v_tasks := stagebus.open_tasks(p_job_id, p_stage);
    if v_stage.state = 'provisional' then
        if dry_run then
            return row(
                null, 'withdraw_stage', 'dry run', p_job_id, p_stage, null, v_tasks, 0,
                'it is provisional: all of it is withdrawn')::stagebus.order_report;
        end if;
        v_order_id := stagebus.begin_withdrawal(
            v_stage, coalesce(reason, format('cancelled by %s', session_user)));
        return stagebus.report_order(v_order_id);
    end if;
    if dry_run then
        return row(
            null, 'cancel_stage', 'dry run', p_job_id, p_stage, null, v_tasks, 0,
            'tasks that have not ended')::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order(
        'cancel_stage', p_job_id, p_stage, null, '{}', reason, v_tasks);
    perform stagebus.begin_cancelling(p_job_id, p_stage, 'cancel');
    if v_tasks = 0 then
        perform stagebus.end_order(v_order_id);
    end if;
    return stagebus.report_order(v_order_id);
end;
$$;
comment on function stagebus.cancel_stage(uuid, integer, text, boolean) is
    'Orders the cancelling of a stage that has not ended; its job is then due to advance. A '
    'provisional one is withdrawn instead, which cannot be undone. Locks the stage. undo_order '
    'takes it back. Raises SB105, SB115, SB120.';
