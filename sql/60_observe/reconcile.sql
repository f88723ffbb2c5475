-- What the database says is on a queue beside what was seen there.
create or replace function stagebus.reconcile(
    p_destination text,
    p_message_ids text[],
    dead_letter_ids text[] default '{}',
    before timestamptz default null,
    whole boolean default true
) returns table (
    difference text,
    messages bigint,
    job_id uuid,
    stage integer,
    batch_id uuid,
    example text,
    fix text
)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_entity text;
    v_before timestamptz := coalesce(reconcile.before, stagebus.clock());
begin
    select d.entity into v_entity
    from destinations as d
    where d.destination = p_destination;
    if not found then
        perform stagebus.raise_error(
            'SB125', format('destination %s does not exist',
                coalesce(quote_literal(left(p_destination, 200)), 'null')),
            'A destination names a queue.', 'Look it up in the view destination_status.');
    end if;
    return query
    with seen as materialized (
        -- One that is moved while it is looked for may be seen in both.
        select i.message_id, bool_or(i.dead) as dead
        from (
            select q as message_id, false as dead from unnest(p_message_ids) as q
            union all
            select q, true from unnest(dead_letter_ids) as q
        ) as i
        where i.message_id is not null
        group by i.message_id
    ),
    expected as materialized (
        select * from stagebus.messages_on_queue(v_entity, v_before)
    ),
    other as materialized (
        select j.*
        from stagebus.judged_messages(array(
            select n.message_id
            from seen as n
            where not exists (
                select from expected as e where e.message_id = n.message_id))) as j
    ),
    compared as (
        select case when n.dead then 'dead letter' else 'as it should be' end as found,
            e.message_id, e.job_id, e.stage, null::uuid as batch_id
        from expected as e
        join seen as n on n.message_id = e.message_id
        union all
        select 'lost', e.message_id, e.job_id, e.stage, e.batch_id
        from expected as e
        where reconcile.whole and not exists (
            select from seen as n where n.message_id = e.message_id)
        union all
        select o.verdict, o.message_id, o.job_id, o.stage, null
        from other as o
    ),
    told as (
        select c.found, count(*) as messages, c.job_id, c.stage, c.batch_id,
            min(c.message_id) as example, bool_or(s.state = 'provisional') as provisional
        from compared as c
        left join stages as s on s.job_id = c.job_id and s.stage = c.stage
        group by c.found, c.job_id, c.stage, c.batch_id
    )
    select t.found, t.messages, t.job_id, t.stage, t.batch_id, t.example,
        case
            when t.found = 'lost' and t.provisional then format(
                '-- once its stage is confirmed, look again; or: '
                'select * from stagebus.withdraw_stage(%L, %s);', t.job_id, t.stage)
            when t.found = 'lost' then format(
                'select stagebus.retry_batch(%L, %L, reason => %L);',
                t.job_id, t.batch_id, 'reconcile: lost messages')
            when t.found = 'dead letter' then
                '-- a bridge brings it home; without --no-dead-letters it reads them'
            when t.found in ('as it should be', 'running') then '-- nothing'
            when t.found = 'on its way' then
                '-- nothing: a bridge is at it, or finished it while this was looked at'
            when t.found = 'job message' then '-- nothing: it waits for a controller'
            when t.found = 'not ours' then '-- ask who else sends to this queue'
            when t.found = 'stale' then
                '-- nothing: who receives it starts its task, if nobody has, or is told so'
            else '-- nothing: whoever receives it is told so, and completes it'
        end
    from told as t
    order by array_position(array[
            'lost', 'dead letter', 'not ours', 'ghost', 'stale', 'cancelled', 'done', 'on its way',
            'job message', 'running', 'as it should be'], t.found),
        t.job_id, t.stage, t.batch_id;
end;
$$;
comment on function stagebus.reconcile(text, text[], text[], timestamptz, boolean) is
    'Compares the messages that the destination''s queue should have with the ids that were peeked '
    'there and in its dead-letter queue. A row for each kind of difference, job and stage, of lost '
    'ones for each batch, with an example and the statement that mends it. lost: should be there '
    'and is not. before: when the look began; what was queued since need not be among the ids. '
    'whole => false: there is more than was looked at, and nothing is said to be lost. '
    'Raises SB125.';
