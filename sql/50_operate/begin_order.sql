-- Who ordered what, when and why. What an order does at once is done in the same transaction; the
-- rest is worked off in steps.
create or replace function stagebus.begin_order(
    p_action text,
    p_job_id uuid,
    p_stage integer,
    p_batch_id uuid,
    p_details jsonb,
    p_reason text,
    p_tasks integer,
    p_undoes bigint default null
) returns bigint
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_order_id bigint;
begin
    perform stagebus.require_kept_job(p_job_id);
    insert into orders as o (
        job_id, action, stage, batch_id, details, reason, tasks, undoes, ordered_at)
    values (
        p_job_id, p_action, p_stage, p_batch_id, p_details, left(p_reason, 8192), p_tasks,
        p_undoes, v_now)
    returning o.order_id into v_order_id;
    return v_order_id;
end;
$$;
comment on function stagebus.begin_order(
    text, uuid, integer, uuid, jsonb, text, integer, bigint) is
    'Records an order, which is then working, and returns its id. Raises SB101 for a job that is '
    'being removed.';
