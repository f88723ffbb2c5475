-- Where a stage is cut into batches, which its task type says.
create or replace function stagebus.cut_batches(
    p_stage stagebus_data.stages,
    p_type stagebus_data.task_types,
    p_job_type text default null
) returns table (first_index integer, last_index integer)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    -- A by_stage stage is one batch, cut only as far as several connections need it.
    v_size integer := case p_type.boundary when 'by_stage' then 10000 else p_type.batch_size end;
begin
    if p_stage.atomic then
        return query select * from stagebus.cut_atomic_batches(p_stage, p_type, p_job_type);
    else
        return query
        select f, least(f::bigint + v_size - 1, p_stage.task_count)::integer
        from generate_series(1, p_stage.task_count, v_size) as f;
    end if;
end;
$$;
comment on function stagebus.cut_batches(
    stagebus_data.stages, stagebus_data.task_types, text) is
    'The ranges of the batches of a stage that is being sealed, which cover it without gaps. '
    'p_job_type: of a job that is not there yet. Raises SB126 when it is atomic and cannot be '
    'packed.';
