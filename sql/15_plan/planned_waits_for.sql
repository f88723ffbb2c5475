-- What a stage of a plan waits for: what it names, or else the stage before it.
create or replace function stagebus.planned_waits_for(
    p_plan jsonb,
    p_number integer
) returns text[]
language sql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select case
        when p.stage -> 'final' = 'true' then null
        when jsonb_typeof(p.stage -> 'after') = 'string' then array[p.stage ->> 'after']
        when p.stage ? 'after'
            then array(select a from jsonb_array_elements_text(p.stage -> 'after') as a)
        when p_number = 1 then array[]::text[]
        else array[p_plan -> 'stages' -> (p_number - 2) ->> 'name'] end
    from (select p_plan -> 'stages' -> (p_number - 1) as stage) as p;
$$;
comment on function stagebus.planned_waits_for(jsonb, integer) is
    'The names of the stages after which stage p_number (from 1) of a checked plan begins; null '
    'for the final one.';
