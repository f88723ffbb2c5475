-- Not less than 7 days: check_writes takes a younger job that is gone for a loss of the database.
create or replace function stagebus.check_keep(p_keep interval) returns void
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if coalesce(p_keep not between interval '7 days' and interval '36500 days', true) then
        perform stagebus.raise_error(
            'SB116', format('jobs cannot be kept for %s', coalesce(p_keep::text, 'null')),
            'Ended jobs are kept for 7 to 36500 days.',
            'Pass an interval such as ''90 days''; stop_retention() keeps them for ever.');
    end if;
end;
$$;
comment on function stagebus.check_keep(interval) is
    'Refuses what retention cannot be set to. Raises SB116.';
