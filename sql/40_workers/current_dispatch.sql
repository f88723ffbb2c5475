-- The dispatch that a task's message has when it is sent now; one of another dispatch says nothing
-- of the task any more.
create or replace function stagebus.current_dispatch(p_task_id text) returns integer
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job_id     uuid := stagebus.job_id_of(p_task_id);
    v_stage      integer := stagebus.stage_of(p_task_id);
    v_task_index integer := stagebus.task_index_of(p_task_id);
begin
    return coalesce(
        (
            select b.dispatch
            from batch_members as m
            join batches as b on b.job_id = m.job_id and b.batch_id = m.batch_id
            where m.job_id = v_job_id and m.stage = v_stage and m.task_index = v_task_index
        ),
        (
            select b.dispatch
            from batches as b
            where not b.scattered and b.job_id = v_job_id and b.stage = v_stage
                and b.first_index <= v_task_index
            order by b.first_index desc
            limit 1
        ));
end;
$$;
comment on function stagebus.current_dispatch(text) is
    'Of the batch that the task is in; null where there is none.';
