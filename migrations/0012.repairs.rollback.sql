drop schema if exists stagebus cascade;

-- As they would have been recorded before.
update stagebus_data.orders
set action = 'set_stage', reason = concat_ws(': ', 'repair_job', reason)
where action = 'repair_job';

alter table stagebus_data.orders
    drop constraint if exists action_is_known;

alter table stagebus_data.orders
    add constraint action_is_known check (action in (
        'cancel_job', 'cancel_stage', 'hold_batch', 'unhold_batch', 'retry_batch', 'retry_tasks',
        'set_stage', 'withdraw_stage'));
