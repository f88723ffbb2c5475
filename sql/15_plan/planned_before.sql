-- All stages that are over when a stage begins: what it waits for, what those wait for, and so on.
create or replace function stagebus.planned_before(
    p_plan jsonb,
    p_name text
) returns text[]
language sql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with recursive planned as (
        select e.stage ->> 'name' as name,
            stagebus.planned_waits_for(p_plan, e.number::integer) as waits_for
        from jsonb_array_elements(p_plan -> 'stages') with ordinality as e (stage, number)
    ),
    before (name) as (
        select w.name
        from planned as p
        cross join lateral unnest(p.waits_for) as w (name)
        where p.name = p_name
        union
        select w.name
        from before as b
        join planned as p on p.name = b.name
        cross join lateral unnest(p.waits_for) as w (name)
    )
    select coalesce(array_agg(b.name order by b.name), array[]::text[]) from before as b;
$$;
comment on function stagebus.planned_before(jsonb, text) is
    'The names of the stages of a checked plan that a stage waits for, directly or not.';
