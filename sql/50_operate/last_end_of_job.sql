-- A stage that an operator retries after its job has ended (a repair) ends after its job.
create or replace function stagebus.last_end_of_job(p_job_id uuid) returns timestamptz
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select greatest(j.ended_at, max(s.ended_at))
        from jobs as j
        left join stages as s on s.job_id = j.job_id
        where j.job_id = p_job_id and j.ended_at is not null
        group by j.job_id
        having count(s.stage) = count(s.ended_at));
end;
$$;
comment on function stagebus.last_end_of_job(uuid) is
    'When the job or one of its stages last ended; null while one of them has not.';
