-- A retry is ordered first and worked off later. From the order on its stage is not over, though
-- the first of its tasks may be opened only then: nothing is to begin from half of its results.
create or replace function stagebus.being_retried(
    p_job_id uuid,
    p_stage integer
) returns boolean
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return exists (
        select
        from stagebus_data.orders as o
        where o.job_id = p_job_id and o.stage = p_stage and o.action = 'retry_tasks'
            and o.state = 'working');
end;
$$;
comment on function stagebus.being_retried(uuid, integer) is
    'True while an order to retry tasks of the stage is worked off.';
