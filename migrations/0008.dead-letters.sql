-- Dead letters that bridges brought home from the broker.
-- depends: 0007.bridges
set local role stagebus_owner;

-- What a queue's dead-letter queue held, and what became of it here. The broker does not say when
-- it gave a message up: enqueued_at is when it took it, received_at when a bridge brought it.
-- Of a message that is not ours there is no description and no body: both may hold anything.
create table if not exists stagebus_data.dead_letters (
    destination      text        not null references stagebus_data.destinations (destination),
    sequence_number  bigint      not null,
    message_id       text        not null,
    outcome          text        not null,
    job_id           uuid,
    stage            integer,
    task_index       integer,
    attempt          integer,
    dispatch         integer,
    nonce            text,
    reason           text,
    description      text,
    delivery_count   integer,
    body_bytes       integer,
    enqueued_at      timestamptz,
    received_at      timestamptz not null,
    primary key (destination, sequence_number, message_id),
    constraint dead_letter_outcome_is_known check (outcome in (
        'retry_wait', 'failed', 'taken', 'done', 'cancelled', 'stale', 'ghost', 'job_message',
        'not_ours')),
    constraint a_dead_letter_names_a_task_or_none
        check (num_nulls(job_id, stage, task_index, attempt, dispatch, nonce) in (0, 6)),
    constraint only_a_dead_letter_of_a_task_is_judged
        check ((job_id is null) = (outcome in ('job_message', 'not_ours')))
);

create index if not exists dead_letters_of_a_stage
    on stagebus_data.dead_letters (job_id, stage, task_index) where job_id is not null;
create index if not exists dead_letters_of_no_task
    on stagebus_data.dead_letters (received_at) where job_id is null;

reset role;
