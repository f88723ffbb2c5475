-- Which jobs stand still, why, and what to type: of the oldest twenty that have not ended. With a
-- variable :job, of that one, and what it does if nothing is stuck.
\ir only.sql
\set findings 'select c.cause || \', job \' || j.job_id || coalesce(\', stage \' || c.stage, \'\'),'
\set findings :findings ' c.evidence, c.fix from (select * from stagebus.jobs where case :\'only\' '
\set findings :findings ' when \'\' then status in (\'created\', \'running\') else job_id ='
\set findings :findings ' nullif(:\'only\', \'\')::uuid end order by job_id limit 20) as j'
\set findings :findings ' cross join lateral stagebus.why_stuck(j.job_id) as c'
\set findings :findings ' where :\'only\' <> \'\' or c.cause <> \'runs\''
\ir told.sql
