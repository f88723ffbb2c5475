-- Cancels a job: it takes no further stage, and what has not ended of its stages is cancelled. The
-- final stage of its plan still runs; where that cannot be made, a second call ends the job.
create or replace function stagebus.cancel_job(
    p_job_id uuid,
    reason text default null,
    dry_run boolean default false
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job      stagebus_data.jobs;
    v_stages   integer[];
    v_gives_up boolean;
    v_tasks    integer;
    v_order_id bigint;
begin
    perform stagebus.require_read_committed('cancel_job');
    loop
        -- Stages are locked before their job; a stage that was opened between the two locks makes
        -- it begin anew.
        begin
            select coalesce(array_agg(l.stage), array[]::integer[]) into v_stages
            from (
                select s.stage
                from stages as s
                where s.job_id = p_job_id and s.ended_at is null
                order by s.stage
                for no key update
            ) as l;
            select j.* into v_job from jobs as j where j.job_id = p_job_id for no key update;
            exit when not exists (
                select from stages as s
                where s.job_id = p_job_id and s.ended_at is null and s.stage <> all (v_stages));
            perform stagebus.raise_error(
                'SB123', 'a stage was opened meanwhile', 'The locks are taken anew.', 'Wait.');
        exception when sqlstate 'SB123' then
            null;
        end;
    end loop;
    if v_job.job_id is null then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Look it up in the view jobs.');
    end if;
    v_gives_up := v_job.cancelling and stagebus.final_stage_fails(p_job_id);
    if v_job.ended_at is not null or v_job.cancelling and not v_gives_up then
        perform stagebus.raise_error(
            'SB120', format('job %s cannot be cancelled', p_job_id),
            case when v_job.ended_at is not null then format('It has ended: %s.', v_job.state)
                else 'It is being cancelled already.' end,
            'Look at the views jobs and orders.');
    end if;
    v_tasks := coalesce((
        select sum(stagebus.open_tasks(p_job_id, s.stage))::integer
        from stages as s
        where s.job_id = p_job_id and s.stage = any (v_stages) and s.state <> 'provisional'), 0);
    if dry_run then
        return row(
            null, 'cancel_job', 'dry run', p_job_id, null, null, v_tasks, 0,
            case when v_gives_up then 'the job ends without its final stage, which cannot be made'
                else format('tasks that have not ended, in %s stages', cardinality(v_stages)) end
        )::stagebus.order_report;
    end if;
    v_order_id := stagebus.begin_order('cancel_job', p_job_id, null, null, '{}', reason, v_tasks);
    update jobs as j set cancelling = true
    where j.job_id = p_job_id and j.state in ('created', 'running');
    delete from due_advances as d where d.job_id = p_job_id;
    -- A provisional stage is withdrawn; the job ends with it.
    perform stagebus.withdraw_provisional(
        p_job_id, l.stage, concat_ws(': ', format('order %s cancels its job', v_order_id), reason))
    from unnest(v_stages) as l (stage);
    perform stagebus.begin_cancelling(p_job_id, l.stage, 'cancel')
    from unnest(v_stages) as l (stage);
    if v_gives_up then
        perform stagebus.end_job(p_job_id, 'cancelled');
    else
        perform stagebus.end_cancelled_job(p_job_id);
    end if;
    if v_tasks = 0 then
        perform stagebus.end_order(v_order_id);
    end if;
    return stagebus.report_order(v_order_id);
end;
$$;
comment on function stagebus.cancel_job(uuid, text, boolean) is
    'Orders the cancelling of a job and of all its stages that have not ended; a provisional one '
    'is withdrawn. Of a job that is being cancelled and whose final stage cannot be made: its end '
    'without that. Locks the stages, then the job. undo_order takes it back. '
    'Raises SB101, SB115, SB120 (SB123 is caught inside).';
