-- The stages that go on, every two seconds until Ctrl-C; with a variable :job, those of that job.
\ir only.sql
select p.job_id as job, left(p.stage || ' ' || coalesce(p.name, p.task_type), 12) as stage,
    rpad(repeat('#', floor(p.percent / 10)::integer), 10, '.') as progress,
    lpad(p.percent || ' %', 7) as done, lpad(p.rate::text, 8) as per_s,
    lpad(left(date_trunc('second', p.eta - stagebus.clock())::text, 8), 8) as left
from stagebus.job_progress as p
where p.stage_status in ('open', 'provisional')
    and case :'only' when '' then true else p.job_id = nullif(:'only', '')::uuid end
order by p.job_id, p.stage
limit 20
\watch 2
