-- How far a task moves the turn of its stage on: with half of it, twice as many get their turn.
-- No set clause, as in slot_of.
create or replace function stagebus.turns_per_task(p_priority smallint) returns bigint
language sql
immutable
parallel safe
as $$
    select 1::bigint << (9 - p_priority);
$$;
comment on function stagebus.turns_per_task(smallint) is
    'What a task of a job of this priority (0 to 9) adds to the turn of its batch: 512 to 1.';
