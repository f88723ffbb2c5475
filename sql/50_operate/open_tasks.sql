-- How much of a stage has not ended, from its counters.
create or replace function stagebus.open_tasks(
    p_job_id uuid,
    p_stage integer
) returns integer
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select case when s.state = 'filling' then s.task_count else coalesce((
            select sum(c.open_tasks)::integer
            from stagebus_data.counter_slots as c
            where c.job_id = s.job_id and c.stage = s.stage), 0) end
        from stagebus_data.stages as s
        where s.job_id = p_job_id and s.stage = p_stage);
end;
$$;
comment on function stagebus.open_tasks(uuid, integer) is
    'How many tasks of the stage have not ended; null where there is no such stage.';
