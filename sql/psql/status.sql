-- How it all stands: the jobs that run, with their stages; the destinations; the bridges. Of the
-- oldest twenty jobs; with a variable :job, of that one. waiting: not on the bus; sent: on it.
\ir only.sql
with chosen as (
    select j.job_id, j.job_type, j.status
    from stagebus.jobs as j
    where case :'only' when '' then j.status in ('created', 'running')
        else j.job_id = nullif(:'only', '')::uuid end
    order by j.job_id
    limit 20
),
line as (
    select c.job_id, -1 as stage, c.job_id::text as text, array[]::bigint[] as counts,
        null::numeric as done
    from chosen as c
    union all
    select c.job_id, 0, '  ' || left(c.job_type, 24) || ': ' || c.status, '{}', null
    from chosen as c
    union all
    select p.job_id, p.stage,
        '  ' || p.stage || ' ' || left(concat_ws(' ', coalesce(p.name, p.task_type), p.group_value),
            20) || ': ' || p.stage_status,
        array[p.tasks, p.pending_queue + p.retry_wait, p.queued, p.processing, p.failed], p.percent
    from chosen as c
    join stagebus.job_progress as p on p.job_id = c.job_id
)
select left(l.text, 36) as "job, its stages", f.n[1] as tasks, f.n[2] as waiting, f.n[3] as sent,
    f.n[4] as running, f.n[5] as dead, l.done as "done %"
from line as l
cross join lateral (
    select array_agg(lpad(case when c.n > 9999999 then round(c.n / 1e6) || 'M' else c.n::text end,
        7) order by c.place) as n
    from unnest(l.counts) with ordinality as c (n, place)
) as f
order by l.job_id, l.stage
\g (format=aligned expanded=off footer=off null='')
select left(d.destination, 20) as destination, d.status, d.waiting_batches as waiting,
    left(round(extract(epoch from d.oldest_ready_age) / 60) || ' min', 9) as oldest,
    d.publishing_batches as leased, left(d.per_second::text, 9) as per_s,
    left(regexp_replace(d.pause_reason, '\s+', ' ', 'g'), 20) as why
from stagebus.destination_status as d
order by d.waiting_batches desc, d.destination
limit 20
\g (format=aligned expanded=off footer=off null='')
select b.bridge_id as bridge, b.alive, left(b.host, 14) as host, b.pid, b.batches, b.tasks
from stagebus.bridges as b
order by b.alive desc, b.tasks desc, b.bridge_id
limit 20
\g (format=aligned expanded=off footer=off null='')
