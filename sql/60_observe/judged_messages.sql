-- What a message on a queue is to the database, beside those that should be there.
create or replace function stagebus.judged_messages(p_message_ids text[])
returns table (message_id text, job_id uuid, stage integer, verdict text)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
    v_first integer;
begin
    -- By the thousand: the parser is made for pages.
    for v_first in select * from generate_series(1, cardinality(p_message_ids), 1000) loop
        return query
        select p_message_ids[v_first + m.ordinal - 1], t.job_id, t.stage,
            case
                when m.kind is null then 'not ours'
                when m.kind = 'job' then 'job message'
                when t.job_id is null or s.nonce <> m.nonce or m.attempt > t.attempt
                    or s.ending = 'withdraw' then 'ghost'
                when t.state in ('completed', 'failed') then 'done'
                when t.state = 'cancelled' or s.ending is not null then 'cancelled'
                when m.attempt < t.attempt or t.state = 'retry_wait' then 'stale'
                when t.state = 'processing' then 'running'
                when m.dispatch is distinct from stagebus.current_dispatch(m.task_id) then 'stale'
                else 'on its way'
            end
        from stagebus.parse_message_ids(p_message_ids[v_first:v_first + 999]) as m
        left join stages as s on s.job_id = stagebus.job_id_of(m.task_id)
            and s.stage = stagebus.stage_of(m.task_id)
        -- Each by all of its key: a join may read all of a stage for every page.
        left join lateral (
            select k.*
            from tasks as k
            where k.job_id = s.job_id and k.stage = s.stage
                and k.task_index = stagebus.task_index_of(m.task_id)
            limit 1
        ) as t on true;
    end loop;
end;
$$;
comment on function stagebus.judged_messages(text[]) is
    'A row for each id: running; done, cancelled, ghost, of which a worker is told so when it '
    'receives them; stale, likewise, but by one of the present attempt and an earlier dispatch a '
    'task that waits is started; on its way: not recorded yet, or only just; job message; not '
    'ours.';
