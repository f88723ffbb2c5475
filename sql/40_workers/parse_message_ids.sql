-- What the ids of messages say: batch_messages and job_message write them.
create or replace function stagebus.parse_message_ids(p_message_ids text[])
returns table (
    ordinal integer,
    kind text,
    task_id text,
    attempt integer,
    dispatch integer,
    nonce text
)
language sql
immutable
rows 10
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select
        i.ordinal::integer,
        case when stagebus.is_task_id(t.parts[1]) then 'tasks'
            when i.message_id ~ ('^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
                '\.[1-9][0-9]{0,8}\.[0-9a-f]{10}$') then 'job' end,
        o.parts[1],
        o.parts[2]::integer,
        o.parts[3]::integer,
        o.parts[4]
    from unnest(p_message_ids) with ordinality as i (message_id, ordinal)
    cross join lateral (
        select regexp_match(i.message_id,
            '^([0-9a-f-]{36}-s[0-9]+-[0-9]+)\.([1-9][0-9]{0,4})\.([1-9][0-9]{0,8})'
            '\.([0-9a-f]{10})$') as parts
    ) as t
    cross join lateral (
        select case when stagebus.is_task_id(t.parts[1]) then t.parts end as parts
    ) as o;
$$;
comment on function stagebus.parse_message_ids(text[]) is
    'A row for each id, in its order: of what kind of batch it is, and of a task''s message the '
    'task, attempt, dispatch and nonce; all null where no batch of ours has such ids.';
