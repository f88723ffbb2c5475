-- What an operator allows a role: its own limit, or that of all.
create or replace function stagebus.limit_of(
    p_what text,
    p_role text
) returns integer
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select l.value
        from limits as l
        where l.what = p_what and l.role in (p_role, 'public')
        order by l.role = 'public'
        limit 1);
end;
$$;
comment on function stagebus.limit_of(text, text) is
    'The limit of this name for the role; null: none. One look at a table with a row per limit.';
