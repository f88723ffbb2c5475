-- Ends a pause, whoever made it, and a throttling.
create or replace function stagebus.resume_destination(p_destination text) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    update destinations as d set
        paused_at = null,
        pause_reason = null,
        probe_at = null,
        throttled_until = null
    where d.destination = p_destination;
    if not found then
        perform stagebus.raise_error(
            'SB125', format('destination %s does not exist',
                coalesce(quote_literal(p_destination), 'null')),
            'Only what exists can be resumed.', 'Look it up in the view destination_status.');
    end if;
    notify stagebus_ready;
end;
$$;
comment on function stagebus.resume_destination(text) is
    'Lets a paused or throttled destination go on at once. Locks the destination; notifies '
    'stagebus_ready. Raises SB125.';
