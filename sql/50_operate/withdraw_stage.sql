-- A caller gives up, or an operator does for it. Only what is provisional can be withdrawn; what is
-- confirmed by then is answered so, and then the caller knows the truth.
create or replace function stagebus.withdraw_stage(
    p_job_id uuid,
    p_stage integer,
    reason text default null,
    nonce text default null
) returns stagebus.publication_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_found stagebus.publication_report;
begin
    perform stagebus.require_read_committed('withdraw_stage');
    -- Or the stage could have gone, and another of its number be there, between two looks.
    perform
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
    for no key update;
    v_found := stagebus.report_publication(p_job_id, p_stage, withdraw_stage.nonce);
    if v_found.status = 'waiting' then
        perform stagebus.withdraw_provisional(
            p_job_id, p_stage,
            coalesce(nullif(withdraw_stage.reason, ''), format('withdrawn by %s', session_user)));
        v_found := stagebus.report_publication(p_job_id, p_stage, withdraw_stage.nonce);
    end if;
    return v_found;
end;
$$;
comment on function stagebus.withdraw_stage(uuid, integer, text, text) is
    'Withdraws a provisional stage and returns what stands then: withdrawn, now or before, or '
    'confirmed, and then nothing has changed. nonce: only that publication, not a later one of the '
    'same number. It cannot be undone. Locks the stage; notifies stagebus_jobs. '
    'Raises SB105, SB115, SB130.';
