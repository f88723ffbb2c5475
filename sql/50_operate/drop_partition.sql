-- The end of a removal. Whoever wants tasks while this waits for its lock, waits behind it: so it
-- waits for 100 ms at most, and tries again later, and later each time. The first lock keeps nobody
-- waiting; it finds a vacuum of the partition, or who still writes to it, before the second.
create or replace function stagebus.drop_partition(p_removal stagebus_data.removals) returns text
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
set lock_timeout = '100ms'
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_error text;
begin
    begin
        execute format('lock table stagebus_data.%I in share mode', p_removal.partition);
        -- Made in a transaction that stayed open for longer than jobs are kept.
        if exists (
            select
            from jobs as j
            where j.job_id >= p_removal.first_job_id and j.job_id < p_removal.next_job_id)
        then
            v_error := 'a job was committed after its week had expired: the partition stays';
            delete from removals as g where g.partition = p_removal.partition;
        else
            update removals as g set ended_at = v_now, last_error = null
            where g.partition = p_removal.partition;
        end if;
        -- May wait for whoever gives an order, and so comes before the lock that others wait for.
        update retention as r set hidden_from = default, hidden_until = default where r.only_row;
        if v_error is null then
            execute format('drop table stagebus_data.%I', p_removal.partition);
        end if;
        return v_error;
    exception when lock_not_available then
        v_error := coalesce((
            select 'processes that use tasks: ' || string_agg(distinct l.pid::text, ', ')
            from pg_locks as l
            where l.granted and l.pid <> pg_backend_pid() and l.relation in (
                'stagebus_data.tasks'::regclass,
                ('stagebus_data.' || p_removal.partition)::regclass)),
            'an order is just being given');
    end;
    update removals as g set
        tries = g.tries + 1,
        next_step_at = v_now + least(interval '1 second' * 2 ^ least(g.tries, 8), interval '2 min'),
        last_error = v_error
    where g.partition = p_removal.partition;
    return v_error;
end;
$$;
comment on function stagebus.drop_partition(stagebus_data.removals) is
    'Drops the partition of a week that has no rows elsewhere, and shows what is no longer hidden; '
    'returns why it could not, or null. Locks tasks against everybody, for milliseconds.';
