-- Callers and bridges die; the time of what they wanted to be published passes all the same.
create or replace function stagebus.withdraw_overdue_stages(p_limit integer) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now       timestamptz := stagebus.clock();
    v_stage     record;
    v_withdrawn integer := 0;
begin
    perform stagebus.require_read_committed('withdraw_overdue_stages');
    for v_stage in
        select s.job_id, s.stage
        from stages as s
        where s.state = 'provisional' and s.ending is null and s.confirm_by <= v_now
        order by s.confirm_by
        limit p_limit
        for no key update skip locked
    loop
        if stagebus.withdraw_overdue_stage(v_stage.job_id, v_stage.stage) then
            v_withdrawn := v_withdrawn + 1;
        end if;
    end loop;
    return v_withdrawn;
end;
$$;
comment on function stagebus.withdraw_overdue_stages(integer) is
    'Withdraws up to p_limit provisional stages whose time is up, and returns how many. Passes '
    'over locked stages. Raises SB115.';
