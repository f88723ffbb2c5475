-- The shape of the counter tree: which slot a task counts in, which group a slot counts in. A slot
-- takes 64 updates, a group 64, so that no row grows a long chain of versions. Neighbouring tasks
-- count in different slots, since who meets another in a slot waits for its commit: the first 4,096
-- in 64 slots, the next 16,384 in 256, every further 65,536 in 1,024. (Fewer at first, so that the
-- slots of a small stage hold several tasks each.) Slots are numbered from 0 without gaps;
-- seal_stage lays them out.
-- No set clause, and slot_of not strict: it would keep them from being inlined. They name nothing
-- but operators, which the caller's pinned path finds in pg_catalog.
create or replace function stagebus.slot_of(p_task_index integer) returns integer
language sql
immutable
parallel safe
as $$
    select case
        when p_task_index <= 4096 then (p_task_index - 1) % 64
        when p_task_index <= 20480 then 64 + (p_task_index - 4097) % 256
        else 320 + (p_task_index - 20481) / 65536 * 1024 + (p_task_index - 20481) % 1024
    end;
$$;
comment on function stagebus.slot_of(integer) is 'The slot that counts the task.';

create or replace function stagebus.group_of(p_slot_no integer) returns integer
language sql
immutable
strict
parallel safe
as $$
    select p_slot_no / 64;
$$;
comment on function stagebus.group_of(integer) is
    'The group that counts the slot: 64 slots, 4,096 tasks.';
