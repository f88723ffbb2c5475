-- The time of a provisional stage is up, and not all of it is queued: a stage whose last batch was
-- queued, however late, is confirmed by then.
create or replace function stagebus.withdraw_overdue_stage(
    p_job_id uuid,
    p_stage integer
) returns boolean
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_stage stagebus_data.stages;
    v_why   text;
begin
    perform
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage and s.state = 'provisional'
        and s.ending is null and s.confirm_by <= v_now;
    if not found then
        return false;
    end if;
    perform stagebus.require_read_committed('the end of a publication');
    select s.* into v_stage
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
    for no key update;
    if v_stage.state is distinct from 'provisional' or v_stage.ending is not null then
        return false;
    end if;
    v_why := (
        select coalesce(d.pause_reason, (
            select b.last_error
            from batches as b
            where b.job_id = p_job_id and b.stage = p_stage and b.state <> 'queued'
                and b.last_error is not null
            order by b.seq
            limit 1))
        from destinations as d
        where d.destination = v_stage.destination);
    perform stagebus.begin_withdrawal(
        v_stage, format('its time was up at %s: %s of %s batches are queued%s',
            v_stage.confirm_by, stagebus.queued_batches(p_job_id, p_stage), v_stage.batch_count,
            coalesce('; ' || v_why, '')));
    return true;
end;
$$;
comment on function stagebus.withdraw_overdue_stage(uuid, integer) is
    'True when the stage was provisional beyond its time and is withdrawn now. Locks it. '
    'Raises SB115.';
