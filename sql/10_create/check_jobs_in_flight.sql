-- How many jobs one role may have that have not ended. Looked up along an index, only where there
-- is a limit, and no further than it; what is refused is told how many there are.
-- Sessions at the limit at the same moment do not see each other's jobs: each may get one more.
create or replace function stagebus.check_jobs_in_flight(p_role text) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
set enable_seqscan = off
as $$
declare
    v_limit integer := stagebus.limit_of('jobs_in_flight', p_role);
    v_jobs  bigint;
begin
    if v_limit is null then
        return;
    end if;
    if v_limit > 0 then
        perform from jobs as j
        where j.created_by = p_role and j.ended_at is null
        offset v_limit - 1
        limit 1;
        if not found then
            return;
        end if;
    end if;
    v_jobs := (
        select count(*) from jobs as j where j.created_by = p_role and j.ended_at is null);
    perform stagebus.check_limit(
        'jobs_in_flight', p_role, v_jobs + 1,
        format('role %s has %s jobs that have not ended', quote_literal(p_role), v_jobs),
        'Wait until one has ended, have an operator cancel one with cancel_job');
end;
$$;
comment on function stagebus.check_jobs_in_flight(text) is
    'Raises SB127 when the role has as many jobs that have not ended as it may have.';
