-- A flood report, a diamond: the stations of a river are listed; their levels are read and, beside
-- that, the rain of the next days is forecast; a report of each reach is made of both.
-- Run by the owner of the schema gauges, a member of stagebus_producer; it may be run again.

-- A task per station that the first stage has listed.
create or replace function gauges.levels(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language sql stable security definer
set search_path = gauges, stagebus, pg_temp
as $$
    select jsonb_build_object('station', s.station -> 'station')
    from stage_results_by_name(p_job_id, 'stations') as r
    cross join jsonb_array_elements(r.result -> 'stations') as s (station)
$$;

-- A task per reach, of whatever is there: a station without a level is named as silent, and a
-- forecast that was skipped is null.
create or replace function gauges.reports(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language sql stable security definer
set search_path = gauges, stagebus, pg_temp
as $$
    with station as (
        select s.station ->> 'station' as name, s.station ->> 'reach' as reach
        from stage_results_by_name(p_job_id, 'stations') as r
        cross join jsonb_array_elements(r.result -> 'stations') as s (station)
    ),
    level as (
        select r.result ->> 'station' as name, r.result -> 'level_cm' as level_cm
        from stage_results_by_name(p_job_id, 'levels') as r
    ),
    rain as (
        select jsonb_agg(r.result -> 'rain_mm' order by r.task_index) as rain_mm
        from stage_results_by_name(p_job_id, 'forecast') as r
    )
    select jsonb_build_object(
        'reach', s.reach,
        'levels_cm', coalesce(
            jsonb_object_agg(s.name, l.level_cm) filter (where l.name is not null), '{}'),
        'silent', coalesce(
            jsonb_agg(s.name order by s.name) filter (where l.name is null), '[]'),
        'rain_mm', (select r.rain_mm from rain as r))
    from station as s
    left join level as l on l.name = s.name
    group by s.reach
    order by s.reach
$$;

-- They have their owner's rights, and are called by a role that has none; by nobody else.
revoke all on all functions in schema gauges from public;
grant usage on schema gauges to stagebus_nobody;
grant execute on function gauges.levels, gauges.reports to stagebus_nobody;

-- One station in twenty may be silent. A quick report has no forecast.
select stagebus.define_job_type('flood_report', '{
    "stages": [
        {"name": "stations", "task_type": "list_stations", "count": 1,
            "tolerated_failures": "0"},
        {"name": "levels", "task_type": "read_level", "tasks": "gauges.levels",
            "after": ["stations"], "tolerated_failures": "5%"},
        {"name": "forecast", "task_type": "forecast_rain", "count": "$.parameters.days",
            "after": ["stations"], "skip_when": "$.parameters.quick == true",
            "tolerated_failures": "0"},
        {"name": "report", "task_type": "write_report", "tasks": "gauges.reports",
            "after": ["levels", "forecast"], "tolerated_failures": "0"}
    ]
}');
