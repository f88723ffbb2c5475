-- Repairs are among what an operator orders.
-- depends: 0011.limits
set local role stagebus_owner;

alter table stagebus_data.orders
    -- squawk-ignore ban-drop-constraint
    drop constraint if exists action_is_known,
    -- squawk-ignore constraint-missing-not-valid
    add constraint action_is_known check (action in (
        'cancel_job', 'cancel_stage', 'hold_batch', 'unhold_batch', 'retry_batch', 'retry_tasks',
        'set_stage', 'withdraw_stage', 'repair_job'));

reset role;
