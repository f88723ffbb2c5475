-- The parameters of a task that differs from others only by its number: {"index": i} has 11 bytes
-- beside the number; with common ones it has 10, joined to them by a comma.
create or replace function stagebus.numbered_bytes(p_common jsonb) returns integer
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return case when p_common - 'index' = '{}' then 11
        else octet_length((p_common - 'index')::text) + 11 end;
end;
$$;
comment on function stagebus.numbered_bytes(jsonb) is
    'The bytes of the parameters of a task without any of its own, beside its number, given the '
    'stage''s common ones.';
