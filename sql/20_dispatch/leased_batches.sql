-- What bridges have in hand: along the index of leases, never by way of the whole table.
create or replace function stagebus.leased_batches()
returns table (
    bridge_id uuid,
    destination text,
    batches bigint,
    tasks bigint,
    lease_until timestamptz
)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
    return query
    select b.claimed_by, b.destination, count(*), sum(b.task_count), min(b.lease_until)
    from batches as b
    where b.lease_until is not null
    group by b.claimed_by, b.destination;
end;
$$;
comment on function stagebus.leased_batches() is
    'How many batches, with how many tasks, each bridge has leased for each destination, and when '
    'the first of these leases runs out.';
