-- Part of a stage cannot be published, or nobody wants it any more: if it is provisional still, all
-- of it goes.
create or replace function stagebus.withdraw_provisional(
    p_job_id uuid,
    p_stage integer,
    p_reason text
) returns boolean
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage stagebus_data.stages;
begin
    select s.* into v_stage
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage
    for no key update;
    if v_stage.state is distinct from 'provisional' or v_stage.ending is not null then
        return false;
    end if;
    perform stagebus.begin_withdrawal(v_stage, p_reason);
    return true;
end;
$$;
comment on function stagebus.withdraw_provisional(uuid, integer, text) is
    'True when the stage was provisional and is withdrawn now. Locks it.';
