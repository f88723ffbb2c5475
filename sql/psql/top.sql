-- What is busiest: jobs by the tasks that end per second, destinations by the batches that wait,
-- bridges by the tasks that they have in hand; the first ten of each.
select p.job_id as job, left(p.job_type, 14) as type, left(sum(p.rate)::text, 9) as per_s,
    sum(p.processing)::bigint as running,
    lpad(left(date_trunc('second', max(p.eta) - stagebus.clock())::text, 9), 9) as left
from stagebus.job_progress as p
where p.stage_status = 'open'
group by p.job_id, p.job_type
order by sum(p.rate) desc nulls last, p.job_id
limit 10
\g (format=aligned expanded=off footer=off null='')
select left(d.destination, 30) as destination, d.status, d.waiting_batches as waiting,
    d.publishing_batches as leased, left(d.per_second::text, 9) as per_s,
    left(round(extract(epoch from d.oldest_ready_age) / 60) || ' min', 11) as oldest
from stagebus.destination_status as d
order by d.waiting_batches desc, d.publishing_batches desc, d.destination
limit 10
\g (format=aligned expanded=off footer=off null='')
select b.bridge_id as bridge, left(b.host, 14) as host, b.pid, b.batches, b.tasks,
    date_trunc('second', b.seen_at)::time as seen_at
from stagebus.bridges as b
order by b.tasks desc, b.bridge_id
limit 10
\g (format=aligned expanded=off footer=off null='')
