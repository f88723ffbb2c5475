-- A stage is whole: bridges claim it, and workers start it.
create or replace function stagebus.open_for_work(p_stage stagebus_data.stages)
returns stagebus.stage_summary
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if stagebus.lay_out_stage(p_stage, 'open', null) = 0 then
        perform stagebus.end_stage(p_stage.job_id, p_stage.stage);
    end if;
    return stagebus.summarise_stage(p_stage.job_id, p_stage.stage);
end;
$$;
comment on function stagebus.open_for_work(stagebus_data.stages) is
    'Seals a filling stage, whose row the caller has locked; one without tasks completes at once. '
    'Returns its summary. Locks the job if it does. Raises SB126.';
