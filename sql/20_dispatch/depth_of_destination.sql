-- How much waits for a destination: along the index of what waits, never by way of the whole table.
create or replace function stagebus.depth_of_destination(p_destination text)
returns table (batches bigint, oldest timestamptz)
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
    select
        (
            select count(*)
            from batches as b
            where b.destination = p_destination and b.state = 'pending_queue'
        ),
        (
            select min(f.ready_at)
            from (
                select b.ready_at
                from batches as b
                where b.destination = p_destination and b.state = 'pending_queue'
                order by b.seq
                limit 100
            ) as f
        );
end;
$$;
comment on function stagebus.depth_of_destination(text) is
    'How many batches wait for the destination, and since when the first of the hundred that come '
    'next is ready.';
