-- The one clock. Leases, due times and timestamps are all judged by it, so that no bridge's or
-- worker's own clock matters. A test sets it through stagebus_data.test_clock.
create or replace function stagebus.clock() returns timestamptz
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return coalesce(
        (select t.at from stagebus_data.test_clock as t where t.only_row), clock_timestamp());
end;
$$;
comment on function stagebus.clock() is
    'The time now, on the database''s clock. Reads test_clock, which is empty but in tests.';
