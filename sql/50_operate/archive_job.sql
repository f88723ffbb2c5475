-- All that there is of a job, in one snapshot.
create or replace function stagebus.archive_job(p_job_id uuid)
returns table (table_name text, content jsonb)
language plpgsql
stable
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    if not exists (select from stagebus.jobs as j where j.job_id = p_job_id) then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'It was never made, or was removed.', 'Look it up in the view jobs.');
    end if;
    for table_name in
        select c.relname::text
        from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attname = 'job_id'
        where c.relnamespace = 'stagebus_data'::regnamespace
            and c.relkind in ('r', 'p') and not c.relispartition
        order by c.relname <> 'jobs', c.relname <> 'stages', c.relname
    loop
        for content in execute format(
            'select to_jsonb(t) from stagebus_data.%I as t where t.job_id = $1', table_name)
            using p_job_id
        loop
            return next;
        end loop;
    end loop;
end;
$$;
comment on function stagebus.archive_job(uuid) is
    'The rows of all tables that are about the job, each as jsonb: the job first, then its stages. '
    'For \copy (select * from archive_job(…)) to a file. Raises SB101.';
