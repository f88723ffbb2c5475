-- Where bridges look for dead letters: the queues that task types use. A topic's dead letters are
-- with its subscriptions, of which nothing is known here.
create or replace function stagebus.dead_letter_queues()
returns table (destination text, entity text)
language sql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select distinct on (d.entity) d.destination, d.entity
    from stagebus_data.destinations as d
    where d.entity_kind = 'queue' and exists (
        select from stagebus_data.task_types as ty
        where ty.destination = d.destination or ty.job_messages and d.destination = 'jobs')
    order by d.entity, d.destination;
$$;
comment on function stagebus.dead_letter_queues() is
    'A destination, and its queue, for each queue that messages of some task type go to.';
