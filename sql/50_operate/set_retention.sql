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
    if coalesce(p_keep not between interval '1 day' and interval '36500 days', true) then
        perform stagebus.raise_error(
            'SB116', format('jobs cannot be kept for %s', coalesce(p_keep::text, 'null')),
            'Ended jobs are kept for 1 to 36500 days.',
            'Pass an interval such as ''90 days''; stop_retention() keeps them for ever.');
    end if;
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
    'Keeps ended jobs for p_keep (1 to 36500 days) and then lets drop_expired remove them, a whole '
    'week at a time; archive_first (false unless it was set): only once they are marked with '
    'mark_archived. Raises SB116.';
