-- Statements that the code of others prepared go, also after an error: a client that executes one
-- of its own by that name would run theirs.
create or replace function stagebus.forget_statements(p_before text[]) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_name text;
begin
    for v_name in
        select s.name
        from pg_prepared_statements as s
        where s.name || '=' || s.prepare_time <> all (p_before)
    loop
        execute format('deallocate %I', v_name);
    end loop;
end;
$$;
comment on function stagebus.forget_statements(text[]) is
    'Drops the session''s prepared statements but these, each given as its name, = and its time.';
