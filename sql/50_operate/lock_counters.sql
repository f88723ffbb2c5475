-- Nobody counts a task of the job from here on.
create or replace function stagebus.lock_counters(p_job_id uuid) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    perform from (
        select from counter_slots as c
        where c.job_id = p_job_id
        order by c.stage, c.slot_no
        for no key update
    ) as locked;
    perform from (
        select from counter_groups as g
        where g.job_id = p_job_id
        order by g.stage, g.group_no
        for no key update
    ) as locked;
    perform from (
        select from stages as s
        where s.job_id = p_job_id
        order by s.stage
        for no key update
    ) as locked;
    perform from jobs as j where j.job_id = p_job_id for no key update;
end;
$$;
comment on function stagebus.lock_counters(uuid) is
    'Locks the slots of the job, its groups, its stages, and itself.';
