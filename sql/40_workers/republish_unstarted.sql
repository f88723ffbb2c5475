-- Messages can go without a trace: they expire, or somebody empties the queue. What nobody started
-- within its task type's start_timeout is published again.
create or replace function stagebus.republish_unstarted(p_limit integer) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now         timestamptz := stagebus.clock();
    v_batch       stagebus_data.batches;
    v_job_ids     uuid[] := array[]::uuid[];
    v_batch_ids   uuid[] := array[]::uuid[];
    v_stage       record;
begin
    perform stagebus.require_read_committed('republish_unstarted');
    for v_batch in
        select b.*
        from batches as b
        where b.start_due_at <= v_now
        order by b.start_due_at
        limit p_limit
        for update skip locked
    loop
        select s.state, s.ending, s.ended_at, ty.start_timeout into v_stage
        from stages as s
        join task_types as ty on ty.task_type = s.task_type
        where s.job_id = v_batch.job_id and s.stage = v_batch.stage;
        if v_stage.state = 'provisional' and v_stage.start_timeout > interval '0' then
            -- Nobody could start it yet.
            update batches as b set start_due_at = v_now + v_stage.start_timeout
            where b.job_id = v_batch.job_id and b.batch_id = v_batch.batch_id;
        elsif v_stage.start_timeout > interval '0' and v_stage.ending is null
            and v_stage.ended_at is null and stagebus.unstarted_tasks(v_batch) > 0
        then
            perform stagebus.publish_again(
                v_batch.job_id, v_batch.batch_id, stagebus.unstarted_tasks(v_batch),
                'not all was started within start_timeout');
            v_job_ids := v_job_ids || v_batch.job_id;
            v_batch_ids := v_batch_ids || v_batch.batch_id;
        else
            update batches as b set start_due_at = null
            where b.job_id = v_batch.job_id and b.batch_id = v_batch.batch_id;
        end if;
    end loop;
    perform stagebus.take_turns(v_job_ids, v_batch_ids);
    return cardinality(v_batch_ids);
end;
$$;
comment on function stagebus.republish_unstarted(integer) is
    'Looks at up to p_limit batches whose start is overdue, begins a new dispatch of those with '
    'tasks that no worker has started, and returns how many. Passes over locked batches. '
    'Raises SB115.';
