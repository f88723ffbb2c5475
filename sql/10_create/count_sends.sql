-- How many sends a bridge makes of a batch: it fills each as far as it goes. Messages are as long
-- as their numbers have digits, so that those of equal length are taken at once.
create or replace function stagebus.count_sends(
    p_first_index bigint,
    p_last_index bigint,
    p_bytes integer,
    p_bytes_per_digit integer,
    p_max_bytes integer,
    p_max_messages integer
) returns bigint
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_next  bigint := p_first_index;
    v_sends bigint := 0::bigint;
    v_bytes integer;
    v_room  bigint;
    v_left  bigint;
    v_end   bigint;
    v_taken bigint;
begin
    while v_next <= p_last_index loop
        v_sends := v_sends + 1::bigint;
        v_room := p_max_bytes::bigint;
        v_left := p_max_messages::bigint;
        loop
            v_end := least(p_last_index, repeat('9', length(v_next::text))::bigint);
            v_bytes := p_bytes + p_bytes_per_digit * length(v_next::text);
            v_taken := least(v_end - v_next + 1, v_left, v_room / v_bytes);
            -- What no send holds has its own here; it is refused when it is made, or sent.
            if v_taken = 0 and v_left = p_max_messages then
                v_taken := 1;
            end if;
            v_next := v_next + v_taken;
            v_room := v_room - v_taken * v_bytes;
            v_left := v_left - v_taken;
            exit when v_next <= v_end or v_next > p_last_index or v_left = 0;
        end loop;
    end loop;
    return v_sends;
end;
$$;
comment on function stagebus.count_sends(bigint, bigint, integer, integer, integer, integer) is
    'The sends of tasks p_first_index to p_last_index, whose messages have p_bytes, and '
    'p_bytes_per_digit for each digit of their numbers.';
