-- What the paths of a plan are about.
create or replace function stagebus.plan_context(p_job_id uuid) returns jsonb
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select jsonb_build_object(
            'parameters', j.parameters,
            'stages', coalesce((
                select jsonb_object_agg(n.name, jsonb_build_object(
                    'stages', n.stages, 'tasks', n.tasks, 'completed', n.completed,
                    'failed', n.failed, 'cancelled', n.cancelled, 'status', n.status,
                    'skipped', n.skipped))
                from (
                    select s.name, count(*) as stages, sum(s.task_count) as tasks,
                        sum(s.completed) as completed, sum(s.failed) as failed,
                        sum(s.cancelled) as cancelled, bool_and(s.skipped) as skipped,
                        case
                            when bool_or(s.ended_at is null) then 'open'
                            when bool_or(s.state = 'failed') then 'failed'
                            when bool_and(s.state = 'completed') then 'completed'
                            when bool_and(s.state = 'cancelled') then 'cancelled'
                            else 'completed_with_errors' end as status
                    from stages as s
                    where s.job_id = j.job_id and s.name is not null
                    group by s.name
                ) as n), '{}'))
        from jobs as j
        where j.job_id = p_job_id);
end;
$$;
comment on function stagebus.plan_context(uuid) is
    'The object that a plan''s paths are evaluated on: the job''s parameters, and of each stage so '
    'far its stages, tasks, completed, failed, cancelled, status and skipped.';
