-- Nothing of a paused destination is published until somebody resumes it.
create or replace function stagebus.pause_destination(
    p_destination text,
    reason text default null
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    update destinations as d set
        paused_at = v_now,
        pause_reason = left(format('%s, by %s', coalesce(reason, 'paused'), session_user), 8192),
        probe_at = null
    where d.destination = p_destination;
    if not found then
        perform stagebus.raise_error(
            'SB125', format('destination %s does not exist',
                coalesce(quote_literal(p_destination), 'null')),
            format('There are: %s.', (
                select string_agg(d.destination, ', ' order by d.destination)
                from destinations as d)),
            'Correct the name, or define it with set_destination.');
    end if;
end;
$$;
comment on function stagebus.pause_destination(text, text) is
    'Pauses a destination; a send that is under way is finished. A pause by a bridge becomes one '
    'that lasts until resume_destination. Locks the destination. Raises SB125.';
