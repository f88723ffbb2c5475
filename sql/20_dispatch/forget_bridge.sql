-- A bridge that drains says good-bye; of one that died an operator does.
create or replace function stagebus.forget_bridge(p_bridge_id uuid) returns boolean
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    delete from bridges as b where b.bridge_id = p_bridge_id;
    return found;
end;
$$;
comment on function stagebus.forget_bridge(uuid) is
    'Takes a bridge out of the view bridges; returns whether it was there. What it leased stays '
    'leased, and one that is alive comes back with its next report.';
