-- The tasks of a stage that no worker has started, and how far their batch is published. A task is
-- in the batch that lists it, or else in the range that has its index.
create or replace function stagebus.unstarted_places(
    p_job_id uuid,
    p_stage integer
) returns table (task_index integer, published_through integer)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select t.task_index, b.published_through
    from stagebus_data.tasks as t
    left join stagebus_data.batch_members as m on m.job_id = t.job_id
        and m.stage = t.stage and m.task_index = t.task_index
    left join lateral (
        select own.published_through
        from stagebus_data.batches as own
        where own.job_id = t.job_id and own.batch_id = m.batch_id
        union all
        (
            select case when t.task_index <= r.last_index then r.published_through end
            from stagebus_data.batches as r
            where m.batch_id is null and not r.scattered
                and r.job_id = t.job_id and r.stage = t.stage
                and r.first_index <= t.task_index
            order by r.first_index desc
            limit 1
        )
    ) as b on true
    where t.job_id = p_job_id and t.stage = p_stage and t.state is null;
$$;
comment on function stagebus.unstarted_places(uuid, integer) is
    'A row for each task of the stage without a state of its own; published_through is that of its '
    'batch, or null: it is in none. Reads all tasks of the stage.';
