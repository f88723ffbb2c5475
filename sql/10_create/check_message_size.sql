-- What cannot fit in a send is refused when it is made, not when it is sent.
-- 1,024 bytes are kept for the AMQP envelope, the ids and the properties around a body.
create or replace function stagebus.check_message_size(
    p_destination text,
    p_what text,
    p_body_bytes bigint
) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_limit integer := (
        select d.max_send_bytes - 1024 from destinations as d where d.destination = p_destination);
begin
    if p_body_bytes > v_limit then
        perform stagebus.raise_error(
            'SB111', format('%s is too big', p_what),
            format('Its body has %s bytes; destination %s takes %s.',
                p_body_bytes, quote_literal(p_destination), v_limit),
            'Put the data elsewhere and pass a reference, or raise max_send_bytes with '
            'set_destination if the broker takes more.');
    end if;
end;
$$;
comment on function stagebus.check_message_size(text, text, bigint) is
    'Raises SB111 when a body of this many bytes cannot fit in one send of the destination.';
