-- Messages, in their order, into as few sends as hold them. One that no send holds has its own.
create or replace function stagebus.pack_sends(
    p_bytes integer[],
    p_max_bytes integer,
    p_max_messages integer
) returns integer[]
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_starts  integer[] := array[]::integer[];
    v_ordinal integer := 0;
    v_start   integer := 0;
    v_bytes   integer;
    v_left    integer := -1;
begin
    foreach v_bytes in array p_bytes loop
        v_ordinal := v_ordinal + 1;
        v_left := v_left - v_bytes;
        if v_left < 0 or v_ordinal - v_start >= p_max_messages then
            v_start := v_ordinal;
            v_starts := v_starts || v_start;
            v_left := p_max_bytes - v_bytes;
        end if;
    end loop;
    return v_starts;
end;
$$;
comment on function stagebus.pack_sends(integer[], integer, integer) is
    'Which of the messages, counted from 1, are the first of a send, given the bytes of each.';
