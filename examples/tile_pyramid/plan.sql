-- A tile pyramid: tiles of zoom 8 are rendered, and four of them make one of the zoom above, up to
-- zoom 4. Tiles are those of web maps: x from the west, y from the north, 2^zoom each way.
-- Run by the owner of the schema pyramid, a member of stagebus_producer; it may be run again.

-- The number of the tile that a longitude, or a latitude, is in.
create or replace function pyramid.tile_x(p_longitude double precision, p_zoom integer)
returns integer language sql immutable
as $$
    select least(greatest(floor((p_longitude + 180) / 360 * 2 ^ p_zoom), 0), 2 ^ p_zoom - 1)::integer
$$;

create or replace function pyramid.tile_y(p_latitude double precision, p_zoom integer)
returns integer language sql immutable
as $$
    select least(greatest(
        floor((1 - asinh(tand(p_latitude)) / pi()) / 2 * 2 ^ p_zoom), 0), 2 ^ p_zoom - 1)::integer
$$;

-- The base: the tiles of zoom 8 under all tiles of zoom 4 that the job's box touches, so that each
-- tile above has its four. What it raises, the view jobs shows.
create or replace function pyramid.base_tiles(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language plpgsql stable security definer
set search_path = pyramid, pg_temp
as $$
declare
    v_box double precision[];
begin
    if jsonb_typeof(p_parameters -> 'box') is distinct from 'array'
        or jsonb_array_length(p_parameters -> 'box') <> 4
    then
        raise exception 'the job has no box'
            using hint = 'Submit it with {"box": [west, south, east, north]}, in degrees.';
    end if;
    v_box := array(select jsonb_array_elements_text(p_parameters -> 'box')::double precision);
    return query
        select jsonb_build_object('z', 8, 'x', top_x * 16 + x, 'y', top_y * 16 + y)
        from generate_series(tile_x(v_box[1], 4), tile_x(v_box[3], 4)) as top_x,
            generate_series(tile_y(v_box[4], 4), tile_y(v_box[2], 4)) as top_y,
            generate_series(0, 15) as x,
            generate_series(0, 15) as y
        order by top_x, top_y, y, x;
end;
$$;

-- The level above a stage: a task for each four of its results.
create or replace function pyramid.above(p_job_id uuid, p_stage text)
returns setof jsonb language sql stable
as $$
    select jsonb_build_object(
        'z', t.z - 1, 'x', t.x / 2, 'y', t.y / 2,
        'children', jsonb_agg(t.tile order by t.y, t.x))
    from (
        select r.result as tile, (r.result ->> 'z')::integer as z,
            (r.result ->> 'x')::integer as x, (r.result ->> 'y')::integer as y
        from stagebus.stage_results_by_name(p_job_id, p_stage) as r
    ) as t
    group by t.z, t.x / 2, t.y / 2
    order by t.y / 2, t.x / 2
$$;

-- A plan's function is not told which stage it is for, so each level has its own.
create or replace function pyramid.level_7(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language sql stable security definer set search_path = pyramid, pg_temp
as $$ select above(p_job_id, 'zoom_8') $$;

create or replace function pyramid.level_6(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language sql stable security definer set search_path = pyramid, pg_temp
as $$ select above(p_job_id, 'zoom_7') $$;

create or replace function pyramid.level_5(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language sql stable security definer set search_path = pyramid, pg_temp
as $$ select above(p_job_id, 'zoom_6') $$;

create or replace function pyramid.level_4(p_job_id uuid, p_parameters jsonb)
returns setof jsonb language sql stable security definer set search_path = pyramid, pg_temp
as $$ select above(p_job_id, 'zoom_5') $$;

-- They have their owner's rights, and are called by a role that has none; by nobody else.
revoke all on all functions in schema pyramid from public;
grant usage on schema pyramid to stagebus_nobody;
grant execute on function
    pyramid.base_tiles, pyramid.level_7, pyramid.level_6, pyramid.level_5, pyramid.level_4
to stagebus_nobody;

-- A missing tile would leave a hole in all levels above: the job waits until it is there. The last
-- stage runs however the others end.
select stagebus.define_job_type('tile_pyramid', '{
    "stages": [
        {"name": "zoom_8", "task_type": "render_tile", "tasks": "pyramid.base_tiles",
            "tolerated_failures": "0", "on_failure": "wait"},
        {"name": "zoom_7", "task_type": "merge_tiles", "tasks": "pyramid.level_7",
            "tolerated_failures": "0", "on_failure": "wait"},
        {"name": "zoom_6", "task_type": "merge_tiles", "tasks": "pyramid.level_6",
            "tolerated_failures": "0", "on_failure": "wait"},
        {"name": "zoom_5", "task_type": "merge_tiles", "tasks": "pyramid.level_5",
            "tolerated_failures": "0", "on_failure": "wait"},
        {"name": "zoom_4", "task_type": "merge_tiles", "tasks": "pyramid.level_4",
            "tolerated_failures": "0", "on_failure": "wait"},
        {"name": "clean_up", "task_type": "clean_up", "count": 1, "final": true}
    ]
}');
