-- What every order about a job begins with. It shares a lock with those who begin to remove a week,
-- who therefore see what was ordered before them. A younger job is never among theirs, also where
-- 7 days had 167 hours, since the clocks went forward.
create or replace function stagebus.require_kept_job(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_retention stagebus_data.retention;
begin
    if p_job_id >= stagebus.first_job_id_at(stagebus.clock() - interval '160 hours') then
        return;
    end if;
    select r.* into strict v_retention from retention as r for share;
    if p_job_id >= v_retention.hidden_from and p_job_id < v_retention.hidden_until then
        perform stagebus.raise_error(
            'SB101', format('job %s is being removed', p_job_id),
            'It ended longer ago than jobs are kept.', 'Make it again, as a new job.');
    end if;
end;
$$;
comment on function stagebus.require_kept_job(uuid) is
    'Refuses a job that is being removed. Locks the policy of retention, shared. Raises SB101.';
