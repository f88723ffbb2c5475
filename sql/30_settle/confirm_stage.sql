-- A batch of a provisional stage is queued. Whoever queues the last one confirms the stage: each
-- locks the stage before it looks, so of two that end at once the second sees the first one's.
create or replace function stagebus.confirm_stage(
    p_job_id uuid,
    p_stage integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_stage stagebus_data.stages;
begin
    perform stagebus.require_read_committed('confirm_stage');
    select s.* into v_stage
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
    for no key update;
    if v_stage.state <> 'provisional' or v_stage.ending is not null then
        return;
    end if;
    -- From the end, which is published last: in most calls the first row decides.
    perform
    from batches as b
    where b.job_id = p_job_id and b.stage = p_stage and not b.scattered
        and b.state <> 'queued'
    order by b.first_index desc
    limit 1;
    if found then
        return;
    end if;
    update stages as s set
        state = 'open',
        deadline = coalesce(s.deadline, v_now + nullif(ty.stage_timeout, interval '0'))
    from task_types as ty
    where ty.task_type = s.task_type
        and s.job_id = p_job_id and s.stage = p_stage and s.state = 'provisional';
    if v_stage.task_count = 0 then
        perform stagebus.end_stage(p_job_id, p_stage);
    end if;
    perform pg_notify('stagebus_jobs', p_job_id::text);
end;
$$;
comment on function stagebus.confirm_stage(uuid, integer) is
    'Opens a provisional stage, unless it is withdrawn or has a batch that is not queued; one '
    'that comes late, but before anybody has withdrawn it, is confirmed. Notifies stagebus_jobs. '
    'Locks the stage, then the job. Raises SB115.';
