-- The way back from one id to its key. No set clause: it would keep these from being inlined, and
-- they name nothing but functions and operators, which the caller's pinned path finds in
-- pg_catalog. The last three hold for what is_task_id holds for; for anything else they may fail.
create or replace function stagebus.is_task_id(p_text text) returns boolean
language sql
immutable
strict
parallel safe
as $$
    select p_text ~ ('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
        '-s[1-9][0-9]{0,4}-[1-9][0-9]{0,8}$');
$$;
comment on function stagebus.is_task_id(text) is
    'Whether the text is {job_id}-s{stage}-{task_index}, as task_id writes it.';

create or replace function stagebus.job_id_of(p_task_id text) returns uuid
language sql
immutable
strict
parallel safe
as $$
    select left(p_task_id, 36)::uuid;
$$;
comment on function stagebus.job_id_of(text) is 'The job of the task with this id.';

create or replace function stagebus.stage_of(p_task_id text) returns integer
language sql
immutable
strict
parallel safe
as $$
    select substr(split_part(p_task_id, '-', 6), 2)::integer;
$$;
comment on function stagebus.stage_of(text) is 'The stage of the task with this id.';

create or replace function stagebus.task_index_of(p_task_id text) returns integer
language sql
immutable
strict
parallel safe
as $$
    select split_part(p_task_id, '-', 7)::integer;
$$;
comment on function stagebus.task_index_of(text) is 'The index of the task with this id.';
