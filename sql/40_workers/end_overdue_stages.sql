-- The deadline of a stage has passed: what has not ended is cancelled, and the stage has failed.
create or replace function stagebus.end_overdue_stages(p_limit integer) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_stage record;
    v_ended integer := 0;
begin
    perform stagebus.require_read_committed('end_overdue_stages');
    for v_stage in
        select s.job_id, s.stage
        from stages as s
        where s.deadline <= v_now and s.ended_at is null and s.ending is null
            and s.state not in ('filling', 'provisional')
        order by s.deadline
        limit p_limit
        for no key update skip locked
    loop
        perform stagebus.begin_order(
            'cancel_stage', v_stage.job_id, v_stage.stage, null, '{"ending": "deadline"}',
            'its deadline has passed', stagebus.open_tasks(v_stage.job_id, v_stage.stage));
        perform stagebus.begin_cancelling(v_stage.job_id, v_stage.stage, 'deadline');
        v_ended := v_ended + 1;
    end loop;
    return v_ended;
end;
$$;
comment on function stagebus.end_overdue_stages(integer) is
    'Orders the cancelling of up to p_limit stages whose deadline has passed, and returns how '
    'many. Passes over locked stages. Raises SB115.';
