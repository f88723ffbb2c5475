-- The third step, for a caller who wants to know: the stage is whole and provisional. Bridges
-- publish it; workers wait. It is confirmed when all of it is on the broker, or withdrawn when the
-- broker refuses any of it or the time is up: never both, whoever is killed. Nothing begins before
-- the transaction of the call is committed.
create or replace function stagebus.publish_stage(
    p_job_id uuid,
    p_stage integer,
    timeout interval default interval '1 minute'
) returns stagebus.publication_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage stagebus_data.stages;
begin
    perform stagebus.require_read_committed('publish_stage');
    if coalesce(publish_stage.timeout not between interval '1 millisecond' and interval '1 day',
        true)
    then
        perform stagebus.raise_error(
            'SB116', format('timeout => %s cannot be the time of a publication',
                coalesce(quote_literal(publish_stage.timeout), 'null')),
            'It is at least a millisecond and at most a day.',
            'Workers hold the messages for so long: pass what the caller will wait, '
            'e.g. interval ''1 minute''.');
    end if;
    select s.* into v_stage
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
    for update;
    if v_stage.state = 'filling' then
        -- From when the stage is ours. A duration: a day from a moment may have 23 or 25 hours.
        if stagebus.lay_out_stage(
            v_stage, 'provisional', stagebus.clock()
                + interval '1 second' * extract(epoch from publish_stage.timeout)) = 0
        then
            perform stagebus.confirm_stage(p_job_id, p_stage);
        end if;
    elsif v_stage.state is not null and v_stage.confirm_by is null then
        -- It is sealed: an error.
        perform stagebus.lock_filling_stage(p_job_id, p_stage);
    else
        -- Told again because the answer was lost: what became of it, by now.
        perform stagebus.withdraw_overdue_stage(p_job_id, p_stage);
    end if;
    return stagebus.report_publication(p_job_id, p_stage, null);
end;
$$;
comment on function stagebus.publish_stage(uuid, integer, interval) is
    'Seals a filling stage as provisional, to be confirmed or withdrawn within timeout, and '
    'returns what stands: waiting, or confirmed for a stage without tasks. Called again for a '
    'stage that was published so, it changes nothing and answers what became of it; when its time '
    'is up, that it is withdrawn. Locks the stage, then the job; notifies stagebus_ready. '
    'Raises SB105, SB106, SB115, SB116, SB126.';
