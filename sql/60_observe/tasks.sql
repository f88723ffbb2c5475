create or replace view stagebus.tasks as
select
    t.job_id::text || '-s' || t.stage::text || '-' || t.task_index::text as task_id,
    t.job_id, t.stage, t.task_index, s.task_type,
    coalesce(t.state, case b.state when 'queued' then 'queued' else 'pending_queue' end) as status,
    t.attempt::smallint, b.batch_id, b.queued_at as batch_queued_at,
    s.parameters || coalesce(t.parameters, jsonb_build_object('index', t.task_index))
        as parameters,
    t.result, r.worker, r.started_at, r.lease_until,
    coalesce(f.error, w.error) as error, w.due_at as retry_at
from stagebus_data.tasks as t
join stagebus_data.stages as s on s.job_id = t.job_id and s.stage = t.stage
left join stagebus_data.batch_members as m on m.job_id = t.job_id and m.stage = t.stage
    and m.task_index = t.task_index
left join lateral (
    select own.batch_id, own.state, own.queued_at
    from stagebus_data.batches as own
    where own.job_id = t.job_id and own.batch_id = m.batch_id
    union all
    (
        select ranged.batch_id, ranged.state, ranged.queued_at
        from stagebus_data.batches as ranged
        where m.batch_id is null and not ranged.scattered
            and ranged.job_id = t.job_id and ranged.stage = t.stage
            and ranged.first_index <= t.task_index
        order by ranged.first_index desc
        limit 1
    )
) as b on true
left join stagebus_data.running_attempts as r on r.job_id = t.job_id and r.stage = t.stage
    and r.task_index = t.task_index
left join stagebus_data.waiting_retries as w on w.job_id = t.job_id and w.stage = t.stage
    and w.task_index = t.task_index
left join stagebus_data.failed_tasks as f on f.job_id = t.job_id and f.stage = t.stage
    and f.task_index = t.task_index
where t.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or t.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.tasks is
    'The tasks; one that no worker has started has the status of its batch. Ask for a job_id.';
