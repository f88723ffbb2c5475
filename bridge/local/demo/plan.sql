-- The demo's plan, in two statements: what it calls, and the plan. Run by the owner of the schema
-- demo, a producer; the table demo.place is its own, too.

do $functions$
begin
    -- Stage 1: a task per place.
    create function demo.places(p_job_id uuid, p_parameters jsonb) returns setof jsonb
    language sql stable security definer
    set search_path = demo, stagebus, pg_temp
    as $$
        select jsonb_build_object(
            'geoname_id', p.geoname_id, 'latitude', p.latitude, 'longitude', p.longitude,
            'population', p.population)
        from place as p
        order by p.geoname_id
    $$;

    -- Stage 2: a task per coarse hexagon that the workers of stage 1 found.
    create function demo.coarse_hexagons(p_job_id uuid, p_parameters jsonb) returns setof jsonb
    language sql stable security definer
    set search_path = demo, stagebus, pg_temp
    as $$
        select jsonb_build_object(
            'hexagon', r.result ->> 'coarse', 'populations', jsonb_agg(r.result -> 'population'))
        from stage_results_by_name(p_job_id, 'hexagons') as r
        group by r.result ->> 'coarse'
        order by r.result ->> 'coarse'
    $$;

    -- They have their owner's rights, and are called by a role that has none.
    revoke all on function demo.places, demo.coarse_hexagons from public;
    grant usage on schema demo to stagebus_nobody;
    grant execute on function demo.places, demo.coarse_hexagons to stagebus_nobody;
end;
$functions$;

-- A place that fails for good keeps the job waiting for an operator: its total would be wrong.
select stagebus.define_job_type('demo', '{
    "stages": [
        {
            "name": "hexagons",
            "task_type": "h3_hexagon",
            "tasks": "demo.places",
            "tolerated_failures": "0",
            "on_failure": "wait"
        },
        {
            "name": "totals",
            "task_type": "hexagon_total",
            "tasks": "demo.coarse_hexagons"
        }
    ]
}');
