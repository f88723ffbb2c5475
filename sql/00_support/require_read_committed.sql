-- Decisions are made on rows that were locked first and read after. That needs a new snapshot for
-- each statement, which only READ COMMITTED gives.
create or replace function stagebus.require_read_committed(p_function text) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        perform stagebus.raise_error(
            'SB115',
            format('%s cannot run in a %s transaction',
                p_function, current_setting('transaction_isolation')),
            'It locks rows and then reads what other sessions have just committed.',
            'Call it in a READ COMMITTED transaction, the default.');
    end if;
end;
$$;
comment on function stagebus.require_read_committed(text) is
    'Raises SB115 in a REPEATABLE READ or SERIALIZABLE transaction.';
