-- Publishes the tasks of dead letters again, by the order that retries any failed task: those that
-- failed as one, with another attempt each, and so with a message that no broker has seen.
create or replace function stagebus.redrive(
    p_job_id uuid,
    p_stage integer,
    error text default '%',
    parameters jsonb default '{}',
    at_most integer default null,
    reason text default null,
    dry_run boolean default false
) returns stagebus.order_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return stagebus.retry_tasks(
        p_job_id, p_stage, 'failed', redrive.parameters,
        -- As record_dead_letters begins their errors.
        'dead letter: ' || redrive.error, concat_ws(': ', 'redrive', redrive.reason),
        redrive.dry_run, redrive.at_most);
end;
$$;
comment on function stagebus.redrive(uuid, integer, text, jsonb, integer, text, boolean) is
    'Orders one more attempt (an order retry_tasks) for the tasks of the stage that failed as dead '
    'letters whose reason and description are like the pattern; at_most: for the first of them. '
    'Locks the stage. Raises SB105, SB115, SB116, SB120.';
