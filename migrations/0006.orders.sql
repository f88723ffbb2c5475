-- What operators ordered: the audit, and, while an order is worked off, how far it got.
-- depends: 0005.attempts
set local role stagebus_owner;

-- details: the arguments beside the key. stage_reached, index_reached: the tasks up to there are
-- done with. last_error: why its last step failed; null once one succeeds. undoes: the order whose
-- work this one takes back.
create table if not exists stagebus_data.orders (
    job_id         uuid        not null,
    order_id       bigint      not null generated always as identity,
    action         text        not null,
    stage          integer,
    batch_id       uuid,
    details        jsonb       not null default '{}',
    reason         text,
    state          text        not null default 'working',
    tasks          integer     not null default 0,
    tasks_done     integer     not null default 0,
    batches_done   integer     not null default 0,
    stage_reached  integer     not null default 0,
    index_reached  integer     not null default 0,
    last_error     text,
    undoes         bigint,
    ordered_by     text        not null default session_user,
    ordered_at     timestamptz not null,
    ended_at       timestamptz,
    stopped_by     text,
    primary key (job_id, order_id),
    constraint action_is_known check (action in (
        'cancel_job', 'cancel_stage', 'hold_batch', 'unhold_batch', 'retry_batch', 'retry_tasks',
        'set_stage', 'withdraw_stage')),
    constraint order_state_is_known check (state in ('working', 'done', 'stopped')),
    constraint an_order_has_an_end_exactly_when_it_ended
        check ((ended_at is null) = (state = 'working')),
    constraint who_stopped_an_order_is_known check ((stopped_by is not null) = (state = 'stopped')),
    constraint order_counts_are_not_negative check (least(tasks, tasks_done, batches_done) >= 0)
);

create unique index if not exists orders_by_id on stagebus_data.orders (order_id);

create index if not exists orders_working
    on stagebus_data.orders (order_id) where state = 'working';

reset role;
