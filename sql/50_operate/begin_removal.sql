-- From its commit on nobody sees the week's jobs or orders anything for them; their rows go later.
-- It looks twice: first without a lock, since that may take seconds, then while no order about an
-- old job is given.
create or replace function stagebus.begin_removal() returns stagebus_data.removals
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
set lock_timeout = '100ms'
as $$
declare
    v_now     timestamptz := stagebus.clock();
    v_policy  stagebus_data.retention;
    v_before  timestamptz;
    v_week    record;
    v_removal stagebus_data.removals;
begin
    select r.* into strict v_policy from retention as r;
    v_before := v_now - v_policy.keep;
    for v_week in
        select w.partition, w.first_job_id, w.next_job_id
        from stagebus.task_weeks() as w
        where w.to_time <= v_before
        order by w.from_time
    loop
        continue when exists (
            select from stagebus.holds_back(
                v_week.first_job_id, v_week.next_job_id, v_before, v_policy.archive_first));
        select r.* into strict v_policy from retention as r for update;
        v_before := v_now - v_policy.keep;
        continue when v_policy.keep is null or exists (
            select from stagebus.holds_back(
                v_week.first_job_id, v_week.next_job_id, v_before, v_policy.archive_first));
        update retention as r set
            hidden_from = v_week.first_job_id,
            hidden_until = v_week.next_job_id
        where r.only_row;
        delete from removals as g where g.partition = v_week.partition;
        insert into removals as g (
            partition, first_job_id, next_job_id, begun_at, next_step_at)
        values (v_week.partition, v_week.first_job_id, v_week.next_job_id, v_now, v_now)
        returning g.* into v_removal;
        return v_removal;
    end loop;
    update retention as r set next_look_at = v_now + interval '1 hour' where r.only_row;
    return null;
end;
$$;
comment on function stagebus.begin_removal() is
    'Hides the oldest expired week and returns its row in removals; null where there is none. '
    'Locks the policy of retention; raises lock_not_available when an order is just being given.';
