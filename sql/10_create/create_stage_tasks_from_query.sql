-- A whole stage in one call: one task for each row of a query of the caller.
-- The query runs as the caller and never as the owner: this function is security invoker, sets
-- nothing, and hands only values to the owner's append_tasks. Hence every name is qualified.
create or replace function stagebus.create_stage_tasks_from_query(
    p_job_id uuid,
    p_stage integer,
    p_task_type text,
    p_query text,
    parameters jsonb default '{}',
    seal boolean default true,
    if_exists text default 'error',
    task_key text default null,
    on_conflict text default 'error'
) returns stagebus.stage_summary
language plpgsql
security invoker
as $$
declare
    v_cursor  pg_catalog.refcursor;
    v_row     record;
    v_columns bigint;
    v_task    pg_catalog.jsonb;
    v_chunk   pg_catalog.jsonb[] := array[]::pg_catalog.jsonb[];
    v_fetched integer;
begin
    if p_query is null then
        perform stagebus.raise_error(
            'SB112', 'the query is null', 'It returns one jsonb column of objects, a row per task.',
            'Pass a query, e.g. ''select jsonb_build_object(''''id'''', id) from tile''.');
    end if;
    if not stagebus.begin_stage(p_job_id, p_stage, p_task_type,
        create_stage_tasks_from_query.parameters, if_exists)
    then
        return stagebus.summarise_stage(p_job_id, p_stage);
    end if;

    open v_cursor no scroll for execute p_query;
    fetch v_cursor into v_row;
    if found then
        select pg_catalog.count(*), (pg_catalog.jsonb_agg(c.value))[0]
        into v_columns, v_task
        from pg_catalog.json_each(pg_catalog.row_to_json(v_row)) as c;
        if v_columns operator(pg_catalog.<>) 1 then
            perform stagebus.raise_error(
                'SB112', pg_catalog.format('the query returns %s columns', v_columns),
                'It returns one jsonb column of objects, a row per task.',
                'Build the object in the query: select jsonb_build_object(''id'', id, …) from …');
        end if;
        v_chunk := array[v_task];
        if pg_catalog.jsonb_typeof(v_task) operator(pg_catalog.<>) 'object' then
            -- Refused here, since further rows of another type would not even become jsonb.
            perform stagebus.append_tasks(p_job_id, p_stage, v_chunk, task_key, on_conflict);
        end if;
        loop
            v_fetched := 0;
            for v_task in execute pg_catalog.format('fetch forward 10000 from %I', v_cursor) loop
                v_chunk := pg_catalog.array_append(v_chunk, v_task);
                v_fetched := v_fetched operator(pg_catalog.+) 1;
            end loop;
            perform stagebus.append_tasks(p_job_id, p_stage, v_chunk, task_key, on_conflict);
            exit when v_fetched operator(pg_catalog.<) 10000;
            v_chunk := array[]::pg_catalog.jsonb[];
        end loop;
    end if;
    close v_cursor;

    if coalesce(seal, true) then
        return stagebus.seal_stage(p_job_id, p_stage);
    end if;
    return stagebus.summarise_stage(p_job_id, p_stage);
end;
$$;
comment on function stagebus.create_stage_tasks_from_query(
    uuid, integer, text, text, jsonb, boolean, text, text, text) is
    'Creates a stage with one task per row of p_query, which runs with the caller''s rights and '
    'returns one jsonb column of objects. No row makes a stage that completes at once. '
    'Returns the stage''s summary. task_key and on_conflict as for '
    'append_tasks. Raises SB101 to SB112, SB114, SB116, SB118, SB122, SB126, SB127, and what the '
    'query raises.';
