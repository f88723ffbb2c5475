-- How far a destination has come, for the claims that follow and for what is made from now on.
create or replace function stagebus.note_turn(
    p_destination text,
    p_before bigint,
    p_turn bigint,
    p_now timestamptz
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    -- Not waited for. If another claim has noted its turn meanwhile, that one holds.
    perform
    from destinations as d
    where d.destination = p_destination and d.turn = p_before
    for no key update skip locked;
    if found then
        -- Claims go on beginning where they did for a second more: a transaction that makes batches
        -- has read the turn before and is not committed yet.
        update destinations as d set
            looked_from = least(d.turn, p_turn),
            turn = p_turn,
            turn_at = p_now
        where d.destination = p_destination;
    end if;
end;
$$;
comment on function stagebus.note_turn(text, bigint, bigint, timestamptz) is
    'Notes that the destination, whose turn was p_before, has come to p_turn, unless that changed '
    'or somebody has its row locked. Locks the destination.';
