-- Retention, a step at a time: a week is hidden, then its jobs' rows go, at last its tasks, with
-- their partition. Each step is a transaction, and the next one goes on wherever that ended.
create or replace function stagebus.drop_expired(
    p_limit integer default 10000,
    at_once boolean default true,
    dry_run boolean default false
) returns table (partition text, status text, removed_rows integer, note text)
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_limit   integer := least(greatest(coalesce(p_limit, 10000), 1), 100000);
    v_now     timestamptz := stagebus.clock();
    v_removal stagebus_data.removals;
begin
    if dry_run then
        return query
        select s.partition, 'dry run', 0, format('about %s tasks, %s', s.tasks,
            pg_size_pretty(s.bytes))
        from stagebus.retention_status() as s
        where s.status in ('expired', 'being removed');
        return;
    end if;
    perform stagebus.require_read_committed('drop_expired');
    if not stagebus.is_removal_due(at_once) then
        return query select null, 'nothing expired', 0, null;
        return;
    end if;
    if not pg_try_advisory_xact_lock(hashtextextended('stagebus.drop_expired', 0)) then
        return query select null, 'busy', 0, 'another session is at it';
        return;
    end if;
    removed_rows := 0;
    select g.* into v_removal from removals as g where g.ended_at is null;
    if not found then
        begin
            v_removal := stagebus.begin_removal();
            partition := v_removal.partition;
            status := case when partition is null then 'nothing expired' else 'begun' end;
            note := case
                when partition is null then 'retention_status() says what is held back' end;
        exception when lock_not_available then
            status := 'waits';
            note := 'an order is just being given';
        end;
        return next;
        return;
    end if;
    partition := v_removal.partition;
    -- Nobody tries again at once what waits for a lock: others wait behind each try to drop a
    -- partition.
    if v_removal.next_step_at > v_now and (not at_once or v_removal.tries > 0) then
        status := 'waits';
        note := v_removal.last_error;
    elsif not v_removal.rows_are_gone then
        removed_rows := stagebus.remove_rows(v_removal, v_limit);
        if removed_rows is null then
            removed_rows := 0;
            status := 'waits';
            note := (
                select g.last_error from removals as g where g.partition = v_removal.partition);
        else
            status := 'being removed';
        end if;
    else
        note := stagebus.drop_partition(v_removal);
        status := case when note is null then 'dropped' else 'waits' end;
    end if;
    return next;
end;
$$;
comment on function stagebus.drop_expired(integer, boolean, boolean) is
    'One step of removing what retention no longer keeps, of up to p_limit rows (1 to 100,000): '
    'begun, being removed, dropped; waits: for locks, which the note names; busy: another session '
    'is at it; nothing expired. Call it once per transaction, again and again. at_once => false '
    'is how bridges call it, when maintain says that it is due: a step a second, a look each hour. '
    'Raises SB115.';
