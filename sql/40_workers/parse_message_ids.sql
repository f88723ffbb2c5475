-- What the ids of messages say: batch_messages and job_message write them. One pattern with a
-- place for each part would take ten times as long.
create or replace function stagebus.parse_message_ids(p_message_ids text[])
returns table (
    ordinal integer,
    kind text,
    task_id text,
    attempt integer,
    dispatch integer,
    nonce text
)
language plpgsql
immutable
rows 10
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return query
    with split as materialized (
        select i.ordinal::integer, string_to_array(i.message_id, '.') as parts
        from unnest(p_message_ids) with ordinality as i (message_id, ordinal)
    ),
    known as materialized (
        select s.ordinal, s.parts, case
            when s.parts[cardinality(s.parts)] !~ '^[0-9a-f]{10}$'
                or s.parts[cardinality(s.parts) - 1] !~ '^[1-9][0-9]{0,8}$' then null
            when cardinality(s.parts) = 4 and t.job_id is not null
                and s.parts[2] ~ '^[1-9][0-9]{0,4}$' then 'tasks'
            when cardinality(s.parts) = 3
                and s.parts[1] ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then 'job'
            end as kind
        from split as s
        join stagebus.parse_task_ids(array(
            select l.parts[1] from split as l order by l.ordinal)) as t on t.ordinal = s.ordinal
    )
    select k.ordinal, k.kind, o.parts[1], o.parts[2]::integer, o.parts[3]::integer, o.parts[4]
    from known as k
    cross join lateral (select case when k.kind = 'tasks' then k.parts end as parts) as o
    order by k.ordinal;
end;
$$;
comment on function stagebus.parse_message_ids(text[]) is
    'A row for each id, in its order: of what kind of batch it is, and of a task''s message the '
    'task, attempt, dispatch and nonce; all null where no batch of ours has such ids.';
