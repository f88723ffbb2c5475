-- Names a queue or topic and its limits.
create or replace function stagebus.set_destination(
    p_destination text,
    entity text default null,
    entity_kind text default null,
    max_send_bytes integer default null,
    max_send_messages integer default null,
    duplicate_window interval default null,
    old_repeats text default null
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_rule text;
begin
    if coalesce(length(p_destination) not between 1 and 260, true) then
        perform stagebus.raise_error(
            'SB116', format('destination %s cannot be set',
                coalesce(quote_literal(left(p_destination, 300)), 'null')),
            'The name of a destination has 1 to 260 characters, as an entity of Service Bus.',
            'Correct the name.');
    end if;
    insert into destinations as d (destination, entity)
    values (p_destination, coalesce(set_destination.entity, p_destination))
    on conflict on constraint destinations_pkey do nothing;
    update destinations as d set
        entity = coalesce(set_destination.entity, d.entity),
        entity_kind = coalesce(set_destination.entity_kind, d.entity_kind),
        max_send_bytes = coalesce(set_destination.max_send_bytes, d.max_send_bytes),
        max_send_messages = coalesce(set_destination.max_send_messages, d.max_send_messages),
        duplicate_window = coalesce(set_destination.duplicate_window, d.duplicate_window),
        old_repeats = coalesce(set_destination.old_repeats, d.old_repeats)
    where d.destination = p_destination;
exception when check_violation or not_null_violation then
    get stacked diagnostics v_rule = constraint_name;
    perform stagebus.raise_error(
        'SB116', format('destination %s cannot be set',
            coalesce(quote_literal(p_destination), 'null')),
        format('The rule: %s.', coalesce(
            replace(nullif(v_rule, ''), '_', ' '), 'a destination has a name')),
        'Correct the argument; \d stagebus_data.destinations shows the limits.');
end;
$$;
comment on function stagebus.set_destination(
    text, text, text, integer, integer, interval, text) is
    'Creates or changes a destination; what is left out keeps its value or the default: the '
    'entity of the same name, a queue, 262144 bytes and 4500 messages per send; duplicate_window '
    '10 minutes, the broker''s own, within which it drops repeats (0: it never does); old_repeats '
    'hold: a batch that may have been sent longer ago waits for unhold_batch (resend: it goes out, '
    'and may be stored twice). Raises SB116.';
