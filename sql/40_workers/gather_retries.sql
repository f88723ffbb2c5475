-- Tasks whose next attempt is due become batches again, of the size that their type has; those of
-- an atomic stage are packed into sends.
create or replace function stagebus.gather_retries(p_limit integer) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_job_ids  uuid[];
    v_stages   integer[];
    v_indexes  integer[];
    v_gathered integer;
begin
    perform stagebus.require_read_committed('gather_retries');
    select array_agg(d.job_id), array_agg(d.stage), array_agg(d.task_index)
    into v_job_ids, v_stages, v_indexes
    from (
        select t.job_id, t.stage, t.task_index
        from (
            -- A cancelling that begins now waits for these batches, and so meets them; otherwise
            -- one that is ordered and stopped meanwhile could leave them cancelled. Nobody is
            -- waited for: who maintains has locked other stages.
            select w.job_id, w.stage, w.task_index
            from (
                -- More that are locked than this, and the round would have time for nothing else.
                select r.job_id, r.stage, r.task_index, r.due_at
                from waiting_retries as r
                where r.due_at <= v_now
                order by r.due_at
                limit 1000 * p_limit
            ) as w
            join stages as s on s.job_id = w.job_id and s.stage = w.stage
            where s.ending is null
            order by w.due_at
            limit p_limit
            for share of s skip locked
        ) as due
        join tasks as t on t.job_id = due.job_id and t.stage = due.stage
            and t.task_index = due.task_index
        where t.state = 'retry_wait'
        order by t.job_id, t.stage, t.task_index
        for no key update of t skip locked
    ) as d;
    if v_job_ids is null then
        return 0;
    end if;

    with ready as (
        select d.job_id, d.stage, d.task_index, s.destination, s.atomic,
            row_number() over (partition by d.job_id, d.stage order by d.task_index) as nth,
            case ty.boundary when 'by_stage' then 10000 else ty.batch_size end as size
        from unnest(v_job_ids, v_stages, v_indexes) as d (job_id, stage, task_index)
        join stages as s on s.job_id = d.job_id and s.stage = d.stage
        join task_types as ty on ty.task_type = s.task_type
    ),
    -- Each batch of an atomic stage is one send again.
    framed as materialized (
        select r.job_id, r.stage, f.*, d.max_send_bytes - 512 as max_bytes,
            least(r.size, d.max_send_messages) as max_messages
        from ready as r
        join stages as s on s.job_id = r.job_id and s.stage = r.stage
        join destinations as d on d.destination = s.destination
        cross join lateral stagebus.message_frame(s) as f
        where r.atomic and r.nth = 1
    ),
    -- Looked up by their key, each once, before they meet the rest.
    found as materialized (
        select r.job_id, r.stage, r.nth, t.task_index, t.attempt, t.parameters
        from ready as r
        join tasks as t on t.job_id = r.job_id and t.stage = r.stage
            and t.task_index = r.task_index
        where r.atomic
    ),
    packed as materialized (
        select f.job_id, f.stage, stagebus.pack_sends(
            array_agg(stagebus.message_bytes(
                f.fixed, f.numbered, f.common, t.parameters, t.task_index, t.attempt)
                order by t.nth),
            f.max_bytes, f.max_messages) as starts
        from framed as f
        join found as t on t.job_id = f.job_id and t.stage = f.stage
        group by f.job_id, f.stage, f.max_bytes, f.max_messages
    ),
    due as (
        select r.job_id, r.stage, r.task_index, r.destination, r.atomic,
            case when r.atomic then width_bucket(r.nth::integer, p.starts)
                else (r.nth - 1) / r.size end as part
        from ready as r
        left join packed as p on p.job_id = r.job_id and p.stage = r.stage
    ),
    cut as materialized (
        select d.job_id, d.stage, d.destination, d.atomic, d.part,
            gen_random_uuid() as batch_id,
            min(d.task_index) as first_index, max(d.task_index) as last_index,
            count(*) as tasks
        from due as d
        group by d.job_id, d.stage, d.destination, d.atomic, d.part
    ),
    unscheduled as (
        delete from waiting_retries as w
        using due as d
        where w.job_id = d.job_id and w.stage = d.stage and w.task_index = d.task_index
    ),
    reset as (
        update tasks as t set state = null
        from due as d
        where t.job_id = d.job_id and t.stage = d.stage and t.task_index = d.task_index
            and t.state = 'retry_wait'
    ),
    batch as (
        insert into batches (
            job_id, batch_id, stage, destination, scattered, atomic, first_index, last_index,
            task_count, turn, ready_at, published_through, created_at)
        select c.job_id, c.batch_id, c.stage, c.destination, true, c.atomic, c.first_index,
            c.last_index, c.tasks,
            ds.turn + stagebus.turns_per_task(j.priority) * sum(c.tasks) over (
                partition by c.job_id, c.stage order by c.first_index),
            v_now, c.first_index - 1, v_now
        from cut as c
        join jobs as j on j.job_id = c.job_id
        join destinations as ds on ds.destination = c.destination
        order by c.job_id, c.stage, c.first_index
    )
    insert into batch_members as m (job_id, stage, task_index, batch_id)
    select d.job_id, d.stage, d.task_index, c.batch_id
    from due as d
    join cut as c on c.job_id = d.job_id and c.stage = d.stage and c.part = d.part
    on conflict on constraint batch_members_pkey do update set batch_id = excluded.batch_id;
    get diagnostics v_gathered = row_count;
    if v_gathered > 0 then
        notify stagebus_ready;
    end if;
    return v_gathered;
end;
$$;
comment on function stagebus.gather_retries(integer) is
    'Puts up to p_limit tasks that are due into new batches, notifies stagebus_ready, and returns '
    'how many tasks. Passes over locked tasks and stages, and stages that are being cancelled. '
    'Locks stages, then tasks. Raises SB115.';
