-- How much a role may ask for, so that a slip of its hand does not fill the disk.
create or replace function stagebus.set_limit(
    p_what text,
    p_value bigint,
    for_role text default 'public'
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    if p_what is null or p_what not in (
        'job_parameter_bytes', 'stage_parameter_bytes', 'stage_tasks', 'jobs_in_flight')
    then
        perform stagebus.raise_error(
            'SB116', format('%s is not a limit', coalesce(quote_literal(p_what), 'null')),
            'The limits are job_parameter_bytes, stage_parameter_bytes, stage_tasks and '
            'jobs_in_flight.', 'The view limits shows which are set.');
    end if;
    if coalesce(p_value not between 0 and 999999999, false) then
        perform stagebus.raise_error(
            'SB116', format('a limit of %s is not usable', p_value), 'It is 0 to 999,999,999.',
            'Pass null to take a limit away.');
    end if;
    if for_role is null
        or for_role <> 'public' and p_value is not null
            and not exists (select from pg_roles as r where r.rolname = for_role)
    then
        perform stagebus.raise_error(
            'SB116', format('there is no role %s', coalesce(quote_literal(for_role), 'null')),
            'A limit is for a role that logs in, or, left out, for all that have none of their '
            'own.', 'Correct the name; \du lists the roles.');
    end if;
    if for_role <> 'public' and p_value is not null and not (
        select r.rolcanlogin from pg_roles as r where r.rolname = for_role)
    then
        perform stagebus.raise_error(
            'SB116', format('role %s does not log in', quote_literal(for_role)),
            'A limit goes by who logged in, also after set role: those who are in a group have the '
            'limit of their own role, or that of all.',
            'Set it for each of its members, or leave for_role out.');
    end if;
    if p_value is null then
        delete from limits as l where l.what = p_what and l.role = for_role;
    else
        insert into limits as l (what, role, value, set_by, set_at)
        values (p_what, for_role, p_value, session_user, v_now)
        on conflict on constraint limits_pkey do update
        set value = excluded.value, set_by = excluded.set_by, set_at = excluded.set_at;
    end if;
end;
$$;
comment on function stagebus.set_limit(text, bigint, text) is
    'Sets a limit of the jobs that a role makes (it is who logged in, also after set role), or of '
    'all roles that have none of their own; null takes it away: a role then has that of all, and '
    'all have none. A job that a plan''s function submits is made by whoever advances the plan''s '
    'job, mostly a bridge. What is there already stays. Sessions that are at jobs_in_flight at the '
    'same moment do not see each other''s jobs, and may each make one more. Raises SB116.';
