-- The same look by several processes. An operator is said to be dear, since to make text of
-- parameters is, and what the planner knows of the table is older than these tasks: it would go
-- alone. By groups, so that the text is made once for each task.
create or replace function stagebus.measure_many_tasks(
    p_stage stagebus_data.stages
) returns table (
    total   bigint,
    largest integer,
    objects boolean,
    nested  boolean
)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set cpu_operator_cost = 1000000
set min_parallel_index_scan_size = 0
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
    select sum(g.bytes * g.tasks)::bigint, max(g.bytes),
        bool_and(g.kind is not distinct from 'object'), bool_or(g.nested)
    from (
        select octet_length(t.parameters::text) as bytes, jsonb_typeof(t.parameters) as kind,
            count(*) as tasks,
            bool_or(case when octet_length(t.parameters::text) > 121
                then t.parameters @? 'strict $.**{61}' end) as nested
        from tasks as t
        where t.job_id = p_stage.job_id and t.stage = p_stage.stage
            and t.task_index > p_stage.task_count
        group by 1, 2
    ) as g;
end;
$$;
comment on function stagebus.measure_many_tasks(stagebus_data.stages) is
    'What account_for_tasks asks of the tasks beyond the stage''s task_count, for so many that '
    'parallel workers pay: bytes in all and of the largest, whether all are objects, whether one '
    'may be nested too deeply. Without free workers it looks alone.';
