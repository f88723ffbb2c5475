-- The one place where a publication ends with no. From the commit on its messages are ghosts and
-- nothing more of it is recorded or claimed; what it has goes away in steps.
create or replace function stagebus.begin_withdrawal(
    p_stage stagebus_data.stages,
    p_reason text
) returns bigint
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_order_id bigint;
begin
    update stages as s set ending = 'withdraw'
    where s.job_id = p_stage.job_id and s.stage = p_stage.stage;
    v_order_id := stagebus.begin_order(
        'withdraw_stage', p_stage.job_id, p_stage.stage, null,
        jsonb_build_object(
            'nonce', p_stage.nonce,
            'task_type', p_stage.task_type,
            'confirm_by', p_stage.confirm_by,
            'batches', p_stage.batch_count,
            'queued_batches', stagebus.queued_batches(p_stage.job_id, p_stage.stage),
            'messages', 0),
        p_reason, p_stage.task_count);
    perform pg_notify('stagebus_jobs', p_stage.job_id::text);
    return v_order_id;
end;
$$;
comment on function stagebus.begin_withdrawal(stagebus_data.stages, text) is
    'Withdraws a provisional stage that the caller has locked, and returns the order that works it '
    'off and stays as the audit. Notifies stagebus_jobs.';
