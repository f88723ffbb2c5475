-- How long the numbers from 1 to n are when written one after the other.
create or replace function stagebus.digits_up_to(p_n bigint) returns bigint
language sql
immutable
strict
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select coalesce(sum(p_n - (10::numeric ^ d)::bigint + 1), 0)::bigint
    from generate_series(0, length(p_n::text) - 1) as d
    where p_n > 0;
$$;
comment on function stagebus.digits_up_to(bigint) is
    'The sum of the lengths of the decimal numbers 1 to n.';
