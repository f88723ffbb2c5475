-- Defines a kind of work, or changes it; stages that exist keep their batches.
create or replace function stagebus.set_task_type(
    p_task_type text,
    boundary text default null,
    batch_size integer default null,
    timeout interval default null,
    max_attempts integer default null,
    destination text default null,
    start_timeout interval default null,
    retry_delay interval default null,
    max_retry_delay interval default null,
    stage_timeout interval default null,
    tolerated_failures text default null,
    on_failure text default null,
    job_messages boolean default null,
    atomic boolean default null
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_rule text;
begin
    insert into task_types as t (task_type) values (p_task_type)
    on conflict on constraint task_types_pkey do nothing;
    update task_types as t set
        boundary = coalesce(set_task_type.boundary, t.boundary),
        batch_size = coalesce(set_task_type.batch_size, t.batch_size),
        timeout = coalesce(set_task_type.timeout, t.timeout),
        max_attempts = coalesce(set_task_type.max_attempts, t.max_attempts),
        destination = coalesce(set_task_type.destination, t.destination),
        start_timeout = coalesce(set_task_type.start_timeout, t.start_timeout),
        retry_delay = coalesce(set_task_type.retry_delay, t.retry_delay),
        max_retry_delay = coalesce(set_task_type.max_retry_delay, t.max_retry_delay),
        stage_timeout = coalesce(set_task_type.stage_timeout, t.stage_timeout),
        tolerated_failures = coalesce(set_task_type.tolerated_failures, t.tolerated_failures),
        on_failure = coalesce(set_task_type.on_failure, t.on_failure),
        job_messages = coalesce(set_task_type.job_messages, t.job_messages),
        atomic = coalesce(set_task_type.atomic, t.atomic)
    where t.task_type = p_task_type;
exception when check_violation or foreign_key_violation or not_null_violation then
    get stacked diagnostics v_rule = constraint_name;
    perform stagebus.raise_error(
        'SB116', format('task type %s cannot be set', coalesce(quote_literal(p_task_type), 'null')),
        format('The rule: %s.', coalesce(
            replace(nullif(v_rule, ''), '_', ' '), 'a task type has a name')),
        'Correct the argument; \d stagebus_data.task_types shows the limits.');
end;
$$;
comment on function stagebus.set_task_type(
    text, text, integer, interval, integer, text, interval, interval, interval, interval, text,
    text, boolean, boolean) is
    'Creates or changes a task type; what is left out keeps its value or the default: boundary '
    'chunk (or by_stage), batch_size 1000, timeout 15 minutes, max_attempts 3, destination tasks; '
    'start_timeout 14 days (0: never published again unasked), retry_delay 5 seconds, doubled up '
    'to max_retry_delay 10 minutes; and for stages opened from now on: stage_timeout 0 (none), '
    'tolerated_failures 100% (or a number), on_failure fail_job (or wait), job_messages false, '
    'atomic false (true: each batch is one send, which the broker takes or refuses as a whole). '
    'Raises SB116.';
