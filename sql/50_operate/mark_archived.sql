-- Whoever stored what archive_job returned says so. In the same REPEATABLE READ transaction it says
-- it of exactly what was stored; a job that is retried later counts as not archived.
create or replace function stagebus.mark_archived(p_job_id uuid) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now      timestamptz := stagebus.clock();
    v_last_end timestamptz := stagebus.last_end_of_job(p_job_id);
begin
    if not exists (select from stagebus.jobs as j where j.job_id = p_job_id) then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'It was never made, or was removed.', 'Look it up in the view jobs.');
    end if;
    if v_last_end is null then
        perform stagebus.raise_error(
            'SB120', format('job %s is not archived: it has not ended', p_job_id),
            'What is archived must not change any more.', 'Wait for the end of its stages.');
    end if;
    insert into archived_jobs as a (job_id, last_end, archived_at)
    values (p_job_id, v_last_end, v_now)
    on conflict on constraint archived_jobs_pkey do update
    set last_end = excluded.last_end, archived_at = excluded.archived_at,
        archived_by = excluded.archived_by;
end;
$$;
comment on function stagebus.mark_archived(uuid) is
    'Says that an ended job is stored elsewhere, so that retention with archive_first may remove '
    'it. Raises SB101, SB120.';
