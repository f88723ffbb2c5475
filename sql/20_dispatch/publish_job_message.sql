-- What a controller is told travels like a task: as a batch, through the same bridge.
create or replace function stagebus.publish_job_message(
    p_job_id uuid,
    p_event text,
    p_stage integer,
    p_status text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_batch_id uuid := gen_random_uuid();
begin
    perform stagebus.hint_bridges('jobs');
    insert into batches (
        job_id, batch_id, stage, kind, destination, scattered, first_index, last_index,
        task_count, turn, ready_at, published_through, created_at)
    select p_job_id, v_batch_id, coalesce(p_stage, max(s.stage)), 'job', 'jobs', true, 1, 1, 1,
        (
            select d.turn + stagebus.turns_per_task(j.priority)
            from jobs as j
            cross join destinations as d
            where j.job_id = p_job_id and d.destination = 'jobs'
        ),
        v_now, 0, v_now
    from stages as s
    where s.job_id = p_job_id;
    insert into job_messages (job_id, batch_id, event, stage, status, created_at)
    values (p_job_id, v_batch_id, p_event, p_stage, p_status, v_now);
end;
$$;
comment on function stagebus.publish_job_message(uuid, text, integer, text) is
    'Makes a batch of kind job: one JobQueueMessage for the destination jobs. The job has a stage.';
