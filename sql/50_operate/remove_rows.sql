-- All tables that have a job_id, but for tasks; those last that other rows refer to, so that no
-- delete has anything to cascade to. It goes on at the job where the last step ended: the index
-- entries of what is deleted cannot be cleaned up while a long transaction is open, and need not be
-- walked over each time. Those of one job are, which is slow for one of many millions of rows.
create or replace function stagebus.remove_rows(
    p_removal stagebus_data.removals,
    p_limit integer
) returns integer
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set lock_timeout = '100ms'
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_table text := p_removal.table_reached;
    v_from  uuid := coalesce(p_removal.job_reached, p_removal.first_job_id);
    v_left  integer := p_limit;
    v_gone  integer;
    v_last  uuid;
begin
    loop
        if v_table is not null then
            -- What changes meanwhile has another place, and is found again by the next step.
            execute format(
                'with gone as (delete from stagebus_data.%1$I where ctid = any (array('
                'select ctid from stagebus_data.%1$I where job_id >= $1 and job_id < $2'
                ' order by job_id limit $3)) returning job_id)'
                ' select count(*)::integer, (array_agg(job_id order by job_id desc))[1] from gone',
                v_table)
            into v_gone, v_last
            using v_from, p_removal.next_job_id, v_left;
            v_left := v_left - v_gone;
            v_from := coalesce(v_last, v_from);
            exit when v_left = 0;
        end if;
        v_table := (
            with listed as (
                select
                    c.relname::text as name,
                    coalesce(array_position(
                        array['sends', 'job_messages', 'batches', 'stages', 'jobs'],
                        c.relname::text), 0) as place
                from pg_class as c
                join pg_attribute as a on a.attrelid = c.oid and a.attname = 'job_id'
                where c.relnamespace = 'stagebus_data'::regnamespace
                    and c.relkind = 'r' and not c.relispartition
            )
            select l.name
            from listed as l
            where v_table is null or (l.place, l.name) > (
                select r.place, r.name from listed as r where r.name = v_table)
            order by l.place, l.name
            limit 1);
        v_from := p_removal.first_job_id;
        exit when v_table is null;
    end loop;
    update removals as g set
        rows_removed = g.rows_removed + p_limit - v_left,
        rows_are_gone = v_table is null,
        table_reached = v_table,
        job_reached = v_from,
        tries = 0,
        next_step_at = v_now + interval '1 second',
        last_error = null
    where g.partition = p_removal.partition;
    return p_limit - v_left;
exception when lock_not_available then
    -- Somebody has left a transaction open that changed one of the jobs, though it has ended.
    update removals as g set
        tries = g.tries + 1,
        next_step_at = v_now + least(interval '1 second' * 2 ^ least(g.tries, 8), interval '2 min'),
        last_error = format('processes that write to %s: %s', v_table, coalesce((
            select string_agg(distinct l.pid::text, ', ')
            from pg_locks as l
            where l.granted and l.pid <> pg_backend_pid()
                and l.relation = ('stagebus_data.' || v_table)::regclass
                and l.mode in ('RowShareLock', 'RowExclusiveLock')), 'gone by now'))
    where g.partition = p_removal.partition;
    return null;
end;
$$;
comment on function stagebus.remove_rows(stagebus_data.removals, integer) is
    'Deletes up to p_limit rows of the week''s jobs; their tasks go with the partition. Returns '
    'how many it deleted; null, and none, where somebody has one locked: last_error says who.';
