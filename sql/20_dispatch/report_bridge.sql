-- A bridge says that it is there, every ten seconds.
create or replace function stagebus.report_bridge(
    p_bridge_id uuid,
    p_host text,
    p_pid integer,
    p_version text,
    p_code_digest text,
    p_lease interval default null
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    if num_nulls(p_bridge_id, p_host, p_pid, p_version, p_code_digest) > 0 then
        perform stagebus.raise_error(
            'SB116', 'report_bridge lacks an argument', 'A bridge says all of it of itself.',
            'Pass the bridge''s id, host, process, version and the digest of its sql/.');
    end if;
    insert into bridges as b (
        bridge_id, host, pid, version, code_digest, lease, started_at, seen_at)
    values (p_bridge_id, p_host, p_pid, p_version, p_code_digest, p_lease, v_now, v_now)
    on conflict (bridge_id) do update set seen_at = excluded.seen_at;
end;
$$;
comment on function stagebus.report_bridge(uuid, text, integer, text, text, interval) is
    'Writes down that the bridge is there: on which host, as which process, of which version, with '
    'which code of ours, and for how long it claims batches. The view bridges has it as alive for '
    'a minute. Raises SB116.';
