-- Joined to a bridge's calls: nothing is done by a server of which it has not yet asked whether it
-- has all that was committed. A pooler may lead to another one without a word.
create or replace function stagebus.require_server(p_server timestamptz) returns void
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if pg_postmaster_start_time() is distinct from p_server then
        perform stagebus.raise_error(
            'SB126',
            format('this server was started at %s, not at %s',
                pg_postmaster_start_time(), coalesce(p_server::text, 'null')),
            'A bridge first asks a server whether it has what was committed.',
            'Call check_writes on the same connection.');
    end if;
end;
$$;
comment on function stagebus.require_server(timestamptz) is
    'Raises SB126 unless the server was started at p_server, which check_writes returns.';
