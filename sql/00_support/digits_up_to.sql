-- How long the numbers from 1 to n are when written one after the other: as long as the last of
-- them each, but for what those before 10, 100, … lack, which is 1, 11, … together.
create or replace function stagebus.digits_up_to(p_n bigint) returns bigint
language plpgsql
immutable
strict
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return length(p_n::text) * (p_n + 1) - repeat('1', length(p_n::text))::bigint;
end;
$$;
comment on function stagebus.digits_up_to(bigint) is
    'The sum of the lengths of the decimal numbers 1 to n, for an n from 0 on.';
