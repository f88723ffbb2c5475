-- The next stages of a job, once what they wait for is over. A bridge calls it, or somebody by
-- hand; one job in a transaction. What fails is undone, shown by the view jobs, and tried again
-- later.
create or replace function stagebus.advance_job(p_job_id uuid) returns stagebus.advance_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_advance stagebus_data.job_advances;
    v_job     stagebus_data.jobs;
    v_owner   text;
    v_at      stagebus_data.plan_stages;
    v_due     tid[];
    v_stages  integer[] := array[]::integer[];
    v_relied  text[] := array[]::text[];
    v_made    integer[];
    v_known   text[] := array(
        select s.name || '=' || s.prepare_time from pg_prepared_statements as s);
    v_error   text;
    v_detail  text;
    v_hint    text;
begin
    perform stagebus.require_read_committed('advance_job');
    select a.* into v_advance
    from job_advances as a
    where a.job_id = p_job_id
    for update skip locked;
    if not found then
        perform stagebus.require_planned_job(p_job_id);
        return stagebus.report_advance(p_job_id, 'busy', null, 'another session is at it');
    end if;
    begin
        -- Before anything else is looked at: whose end is not seen here is due again. They are
        -- taken in the end, so that nobody waits meanwhile who cancels the job or reopens a stage.
        v_due := array(select d.ctid from due_advances as d where d.job_id = p_job_id);
        select j.* into strict v_job from jobs as j where j.job_id = p_job_id;
        select p.owner into v_owner
        from plans as p
        where p.job_type = v_job.job_type and p.version = v_job.plan_version;
        if v_job.ended_at is null and not v_job.cancelling then
            loop
                v_made := v_stages;
                for v_at in select r.* from stagebus.ready_stages(p_job_id) as r loop
                    v_relied := v_relied || array(
                        select format('%s %s', b.stage, b.ended_at)
                        from stagebus.stages_before(p_job_id, v_at.waits_for) as b);
                    v_stages := v_stages
                        || stagebus.make_planned_stage(p_job_id, v_at, v_owner);
                end loop;
                -- One that has no tasks is over at once, and others may begin after it.
                exit when not exists (
                    select from stages as s
                    where s.job_id = p_job_id and s.stage = any (v_stages)
                        and s.stage <> all (v_made) and s.ended_at is not null);
            end loop;
        end if;
        v_at := null;
        perform stagebus.lock_advanced_job(v_job, v_relied);
        update jobs as j set state = 'running', started_at = v_now
        where j.job_id = p_job_id and j.state = 'created';
        while v_job.ended_at is null and stagebus.nothing_runs(p_job_id) loop
            select f.* into v_at from stagebus.final_stage(p_job_id) as f;
            if not found then
                perform stagebus.end_job(p_job_id, stagebus.planned_end_state(p_job_id));
                exit;
            end if;
            v_stages := v_stages || stagebus.make_planned_stage(p_job_id, v_at, v_owner);
        end loop;
        -- What was made here and had no tasks has been acted on, too. One that is due anew since
        -- the look is another version of its row, at another place: none is cleaned up and its
        -- place given away while this call's snapshot may see it.
        delete from due_advances as d
        where d.job_id = p_job_id and (d.ctid = any (v_due) or d.stage = any (v_stages));
    exception
        -- All that a plan's code can raise; a statement that runs out of time is cancelled.
        when others or query_canceled or assert_failure then
            perform stagebus.forget_statements(v_known);
            if sqlstate = 'SB123' and v_at.name is null then
                return stagebus.report_advance(p_job_id, 'changed', null, 'it is due again');
            end if;
            get stacked diagnostics
                v_error = message_text, v_detail = pg_exception_detail,
                v_hint = pg_exception_hint;
            perform stagebus.fail_advance(
                v_advance, v_at, format('%s: %s', sqlstate, concat_ws(
                    chr(10), v_error, nullif(v_detail, ''), nullif(v_hint, ''))));
            return stagebus.report_advance(p_job_id, 'failed', null, v_error);
    end;
    perform stagebus.forget_statements(v_known);
    if v_advance.failures > 0 then
        update job_advances as a set
            failures = 0,
            stage_name = null,
            why = null,
            error = null
        where a.job_id = p_job_id;
    end if;
    return stagebus.report_advance(
        p_job_id, case when cardinality(v_stages) > 0 then 'advanced' else 'nothing to make' end,
        v_stages, null);
end;
$$;
comment on function stagebus.advance_job(uuid) is
    'Makes the stages of a job''s plan that can begin, or ends the job, and returns what it did: '
    'advanced, nothing to make, busy, changed (meanwhile: it is due again), or failed, which the '
    'view jobs then explains and which is tried again later. Once per transaction. Locks new '
    'stages, then the job. Raises SB101, SB115, SB143 (SB123 is caught inside).';
