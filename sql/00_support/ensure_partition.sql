-- Tasks are partitioned by the time in their job's id, one partition a week (from Monday, UTC).
-- A partition is made apart and then attached, which takes a weaker lock than creating it in place.
create or replace function stagebus.ensure_partition(p_at timestamptz) returns text
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_monday timestamptz := date_trunc('week', p_at at time zone 'UTC') at time zone 'UTC';
    v_name   text := 'tasks_from_' || to_char(v_monday at time zone 'UTC', 'YYYYMMDD');
    v_from   uuid := stagebus.first_job_id_at(v_monday);
    -- Not 7 days: where the session's clocks change, one of those has 23 or 25 hours.
    v_to     uuid := stagebus.first_job_id_at(v_monday + interval '168 hours');
begin
    if to_regclass('stagebus_data.' || v_name) is not null then
        return v_name;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('stagebus.ensure_partition', 0));
    -- to_regclass would answer from its cache, which has not heard of the session before us.
    if exists (
        select from pg_class as c
        where c.relname = v_name and c.relnamespace = 'stagebus_data'::regnamespace)
    then
        return v_name;
    end if;
    execute format(
        'create table stagebus_data.%I (like stagebus_data.tasks including all)'
        ' with (fillfactor = 85)', v_name);
    execute format(
        'alter table stagebus_data.tasks attach partition stagebus_data.%I'
        ' for values from (%L) to (%L)', v_name, v_from, v_to);
    return v_name;
end;
$$;
comment on function stagebus.ensure_partition(timestamptz) is
    'Makes the partition of tasks for the week of p_at where it is missing; returns its name.';
