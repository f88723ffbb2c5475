-- The last part of repair_job: what is over ends, what is not opens again, and the job is what its
-- stages make of it; one that was cancelled stays so, unless tasks of it are open.
create or replace function stagebus.repair_ends(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now       timestamptz := stagebus.clock();
    v_stage     stagebus_data.stages;
    v_last      stagebus_data.stages;
    v_cancelled boolean := (
        select j.state = 'cancelled' from jobs as j where j.job_id = p_job_id);
begin
    for v_stage in
        select s.*
        from stages as s
        join stagebus.ends_that_are_due(p_job_id) as e on e.stage = s.stage and not e.of_job
        where s.job_id = p_job_id
        order by s.stage
    loop
        if v_stage.open_groups = 0 and v_stage.ended_at is not null and v_cancelled then
            -- Nothing follows from it.
            update stages as s set state = stagebus.stage_end_state(s)
            where s.job_id = p_job_id and s.stage = v_stage.stage and s.state = v_stage.state;
            continue;
        elsif v_stage.ended_at is not null then
            perform stagebus.reopen_stage(p_job_id, v_stage.stage);
        end if;
        if v_stage.open_groups = 0 then
            delete from due_advances as d where d.job_id = p_job_id and d.stage = v_stage.stage;
            perform stagebus.end_stage(p_job_id, v_stage.stage);
        end if;
    end loop;

    select s.* into v_last
    from stages as s
    join stagebus.ends_that_are_due(p_job_id) as e on e.stage = s.stage and e.of_job
    where s.job_id = p_job_id;
    if not found then
        return;
    elsif (select j.cancelling from jobs as j where j.job_id = p_job_id) then
        perform stagebus.end_cancelled_job(p_job_id);
    elsif v_last.state = 'failed' then
        perform stagebus.end_job(p_job_id, 'failed');
    else
        insert into due_advances (job_id, stage, due_since) values (p_job_id, v_last.stage, v_now);
        perform pg_notify('stagebus_jobs', p_job_id::text);
    end if;
end;
$$;
comment on function stagebus.repair_ends(uuid) is
    'Ends or reopens the stages of the job whose state is not what their counters say, and ends '
    'the job or makes it due, if it should be. The caller has locked the stages, then the job. '
    'Notifies stagebus_jobs. Raises SB120.';
