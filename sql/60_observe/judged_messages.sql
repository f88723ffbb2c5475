-- What a message on a queue is to the database, beside those that should be there.
create or replace function stagebus.judged_messages(p_message_ids text[])
returns table (message_id text, job_id uuid, stage integer, verdict text)
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
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
        left join tasks as t on t.job_id = s.job_id and t.stage = s.stage
            and t.task_index = stagebus.task_index_of(m.task_id);
    end loop;
end;
$$;
comment on function stagebus.judged_messages(text[]) is
    'A row for each id: running; done, cancelled, stale, ghost, of which a worker is told so when '
    'it receives them; on its way: not recorded yet, or only just; job message; not ours.';
