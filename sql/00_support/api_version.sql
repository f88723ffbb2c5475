-- A bridge refuses to run against an API outside the range it knows.
create or replace function stagebus.api_version() returns integer
language sql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select 1;
$$;
comment on function stagebus.api_version() is
    'The version of the functions that bridges and workers call; it rises when one changes shape.';
