-- What is beyond a role's limit is refused, with the call that would allow it.
create or replace function stagebus.check_limit(
    p_what text,
    p_role text,
    p_size bigint,
    p_message text,
    p_way_out text,
    p_enough text default null
) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_limit integer := stagebus.limit_of(p_what, p_role);
begin
    if p_size > v_limit then
        perform stagebus.raise_error(
            'SB127', p_message,
            format('The limit %s of role %s is %s; the view limits shows it.',
                p_what, quote_literal(p_role), v_limit),
            format('%s, or let an operator allow more: select set_limit(%L, %s, for_role => %L);',
                p_way_out, p_what, coalesce(p_enough, least(p_size, 999999999)::text), p_role));
    end if;
end;
$$;
comment on function stagebus.check_limit(text, text, bigint, text, text, text) is
    'Raises SB127 with this message when p_size is above the role''s limit; p_enough is the limit '
    'to set that the hint shows, p_size unless it is given.';
