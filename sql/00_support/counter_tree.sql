-- The shape of the counter tree: which slot a task counts in, which group a slot counts in.
-- 4,096 neighbouring tasks spread over 64 slots, so that workers on neighbouring tasks seldom
-- meet; a slot takes 64 updates, a group 64, so that no row grows a long chain of versions.
-- No set clause: it would keep them from being inlined, and they name nothing but operators, which
-- the caller's pinned path finds in pg_catalog.
create or replace function stagebus.slot_of(p_task_index integer) returns integer
language sql
immutable
strict
parallel safe
as $$
    select ((p_task_index - 1) / 4096) * 64 + (p_task_index - 1) % 64;
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
