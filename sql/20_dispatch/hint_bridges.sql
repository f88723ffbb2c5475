-- Called before batches are made: bridges hear of them at commit. While others of the destination
-- wait already, somebody is at work on them, and a notification would only cost the commit. Only
-- the last thousand are looked at: while a transaction is open somewhere, those that were claimed
-- stay in the index, and a notification too many harms nothing.
create or replace function stagebus.hint_bridges(p_destination text) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now  timestamptz := stagebus.clock();
    v_last bigint := (select s.last_value from batches_seq_seq as s);
begin
    -- In the order of the index of waiting batches, so that nothing else of the table is read.
    perform
    from batches as b
    where b.destination = p_destination and b.state = 'pending_queue' and b.ready_at <= v_now
        and b.seq > v_last - 1000
    order by b.seq
    limit 1;
    if not found then
        notify stagebus_ready;
    end if;
end;
$$;
comment on function stagebus.hint_bridges(text) is
    'Notifies stagebus_ready, unless new batches of the destination wait already.';
