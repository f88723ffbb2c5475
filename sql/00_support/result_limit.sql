-- How large one task's result may be. Results are for a controller to read, a million of them at
-- the end of a stage; data belongs elsewhere. 64 KiB, measured as the text that a reader is sent.
create or replace function stagebus.result_limit() returns integer
language sql
immutable
parallel safe
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select 65536;
$$;
comment on function stagebus.result_limit() is
    'The most bytes that the text of one task''s result may have.';
