-- How far the publication of a stage has come; nothing decides by it.
create or replace function stagebus.queued_batches(
    p_job_id uuid,
    p_stage integer
) returns integer
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select count(*)::integer
    from stagebus_data.batches as b
    where b.job_id = p_job_id and b.stage = p_stage and not b.scattered and b.state = 'queued';
$$;
comment on function stagebus.queued_batches(uuid, integer) is
    'How many range batches of the stage are queued.';
