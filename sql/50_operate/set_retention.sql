-- From here on jobs are removed, once they ended so long ago.
create or replace function stagebus.set_retention(
    p_keep interval,
    archive_first boolean default null
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    perform stagebus.check_keep(p_keep);
    update retention as r set
        keep = p_keep,
        archive_first = coalesce(set_retention.archive_first, r.archive_first),
        set_by = session_user,
        set_at = v_now,
        next_look_at = v_now
    where r.only_row;
end;
$$;
comment on function stagebus.set_retention(interval, boolean) is
    'Keeps ended jobs for p_keep (7 to 36500 days) and then lets drop_expired remove them, a whole '
    'week at a time; archive_first (false unless it was set): only once they are marked with '
    'mark_archived. Raises SB116.';
