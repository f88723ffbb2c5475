-- Where the tasks of a stage are, told from their rows and from what was published of their batch.
create or replace function stagebus.places_of_tasks(
    p_job_id uuid,
    p_stage integer
) returns table (
    waiting bigint,
    sent bigint,
    running bigint,
    done bigint,
    dead bigint,
    cancelled bigint,
    astray bigint
)
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with place as (
        select
            count(*) filter (where u.task_index <= u.published_through) as sent,
            count(*) filter (where u.published_through is null) as astray,
            count(*) as all_of_them
        from stagebus.unstarted_places(p_job_id, p_stage) as u
    ),
    begun as (
        select
            count(*) filter (where t.state = 'retry_wait') as retry_wait,
            count(*) filter (where t.state = 'processing') as running,
            count(*) filter (where t.state = 'completed') as done,
            count(*) filter (where t.state = 'failed') as dead,
            count(*) filter (where t.state = 'cancelled') as cancelled
        from stagebus_data.tasks as t
        where t.job_id = p_job_id and t.stage = p_stage
    )
    select p.all_of_them - p.sent + b.retry_wait, p.sent, b.running, b.done, b.dead, b.cancelled,
        case when (
            select s.state = 'filling'
            from stagebus_data.stages as s
            where s.job_id = p_job_id and s.stage = p_stage) then 0 else p.astray end
    from place as p
    cross join begun as b;
$$;
comment on function stagebus.places_of_tasks(uuid, integer) is
    'How many tasks of the stage are where; astray: those that wait and are in no batch, which are '
    'never published. A filling stage has no batches yet. Reads all tasks of the stage.';
