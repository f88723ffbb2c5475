-- JSON that some reader of a message could not parse is refused when it is made. jsonb nests
-- thousands deep; .NET's System.Text.Json stops at 64 by default, Rust's serde_json at 128, Python
-- before 1,000. 60 levels leave room for the message around the parameters.
create or replace function stagebus.check_nesting(
    p_values jsonb[],
    p_what text,
    number_before integer default 0,
    names text[] default null
) returns void
language plpgsql
immutable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_ordinal bigint;
begin
    select a.ordinal into v_ordinal
    from unnest(p_values) with ordinality as a (value, ordinal)
    where a.value @? 'strict $.**{61}'
    order by a.ordinal
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB118',
            format('%s: nested too deep',
                format(p_what, coalesce(names[v_ordinal], (number_before + v_ordinal)::text))),
            'A value may lie inside at most 60 objects and arrays.',
            'Flatten it, or pass the deep part as a string of JSON.');
    end if;
end;
$$;
comment on function stagebus.check_nesting(jsonb[], text, integer, text[]) is
    'Raises SB118 for the first value that nests more than 60 levels deep; p_what says what it is, '
    'with %s for its name or its number.';
