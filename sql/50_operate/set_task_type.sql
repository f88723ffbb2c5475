-- Defines a kind of work, or changes it; stages that exist keep their batches.
create or replace function stagebus.set_task_type(
    p_task_type text,
    boundary text default null,
    batch_size integer default null,
    timeout interval default null,
    max_attempts integer default null,
    destination text default null
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
        destination = coalesce(set_task_type.destination, t.destination)
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
comment on function stagebus.set_task_type(text, text, integer, interval, integer, text) is
    'Creates or changes a task type; what is left out keeps its value or the default: boundary '
    'chunk (or by_stage), batch_size 1000, timeout 15 minutes, max_attempts 3, destination tasks. '
    'Raises SB116.';
