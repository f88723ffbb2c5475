-- Every error of ours: an SQLSTATE of class SB, what happened, the rule, and the way out.
create or replace function stagebus.raise_error(
    p_sqlstate text,
    p_message text,
    p_detail text,
    p_hint text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    raise exception using
        errcode = p_sqlstate, message = p_message, detail = p_detail, hint = p_hint;
end;
$$;
comment on function stagebus.raise_error(text, text, text, text) is
    'Raises the error; docs/errors.md lists the codes.';
