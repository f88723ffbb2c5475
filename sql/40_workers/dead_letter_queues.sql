-- Where bridges look for dead letters: all queues, since messages may be where no task type leads
-- any more. The destination of job messages is always there, its queue need not be. A topic's dead
-- letters are with its subscriptions, of which nothing is known here.
create or replace function stagebus.dead_letter_queues()
returns table (destination text, entity text)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select distinct on (d.entity) d.destination, d.entity
    from stagebus_data.destinations as d
    where d.entity_kind = 'queue' and (d.destination <> 'jobs' or exists (
        select from stagebus_data.task_types as ty
        where ty.job_messages or ty.destination = d.destination))
    order by d.entity, d.destination;
$$;
comment on function stagebus.dead_letter_queues() is
    'A destination, and its queue, for each queue there is; the one of job messages only if some '
    'task type has any.';
