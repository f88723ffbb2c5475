-- How many bytes a message adds to a send: its body as batch_messages renders it, its ids and what
-- the encoding puts around them. The index is three times in it (twice in ids), the attempt twice.
-- No set clause: it would keep this from being inlined, and it names nothing but operators and
-- functions that the caller's pinned path finds in pg_catalog.
create or replace function stagebus.message_bytes(
    p_fixed integer,
    p_numbered integer,
    p_common jsonb,
    p_parameters jsonb,
    p_task_index integer,
    p_attempt integer
) returns integer
language sql
immutable
parallel safe
as $$
    select p_fixed + 3 * length(p_task_index::text) + 2 * length(p_attempt::text) + case
        when p_parameters is null then p_numbered + length(p_task_index::text)
        when p_common is null then octet_length(p_parameters::text)
        else octet_length((p_common || p_parameters)::text) end;
$$;
comment on function stagebus.message_bytes(integer, integer, jsonb, jsonb, integer, integer) is
    'The bytes that a task''s message adds to a send, in any dispatch; the first three arguments '
    'are those of message_frame.';
