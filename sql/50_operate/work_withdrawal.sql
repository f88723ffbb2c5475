-- One step of a withdrawal: the stage's tasks go, then what counts them, its batches with their
-- ledger, and at last the stage. Its job is then as it was before the stage was opened.
create or replace function stagebus.work_withdrawal(
    p_order stagebus_data.orders,
    p_limit integer
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_job_id   uuid := p_order.job_id;
    v_stage    integer := p_order.stage;
    v_upto     integer := least(p_order.tasks, p_order.index_reached + p_limit);
    v_left     integer := p_limit - (v_upto - p_order.index_reached);
    v_gone     integer;
    v_batches  integer := 0;
    v_messages bigint := 0::bigint;
begin
    delete from tasks as t
    where t.job_id = v_job_id and t.stage = v_stage
        and t.task_index > p_order.index_reached and t.task_index <= v_upto;
    -- Along the key up to the last of so many, not by a list of them: each row would be compared
    -- with all of it while the table is not analysed.
    if v_left > 0 then
        delete from task_keys as k
        where k.job_id = v_job_id and k.stage = v_stage and k.task_key <= (
            select max(l.task_key)
            from (
                select m.task_key
                from task_keys as m
                where m.job_id = v_job_id and m.stage = v_stage
                order by m.task_key
                limit v_left
            ) as l);
        get diagnostics v_gone = row_count;
        v_left := v_left - v_gone;
    end if;
    if v_left > 0 then
        delete from counter_slots as c
        where c.job_id = v_job_id and c.stage = v_stage and c.slot_no <= (
            select max(l.slot_no)
            from (
                select m.slot_no
                from counter_slots as m
                where m.job_id = v_job_id and m.stage = v_stage
                order by m.slot_no
                limit v_left
            ) as l);
        get diagnostics v_gone = row_count;
        v_left := v_left - v_gone;
    end if;
    if v_left > 0 then
        -- The ledger of a batch goes with it. Joined by all of the key, so that they are looked up
        -- by it before the table is analysed.
        with listed as materialized (
            select b.job_id, b.batch_id
            from batches as b
            where b.job_id = v_job_id and b.stage = v_stage
            order by b.batch_id
            limit v_left
            for update
        ),
        gone as (
            delete from batches as b
            using listed as l
            where b.job_id = l.job_id and b.batch_id = l.batch_id
            returning case b.state when 'publishing' then b.last_index
                else greatest(b.published_through, b.unanswered_through) end
                - b.first_index + 1 as messages
        )
        select count(*)::integer, coalesce(sum(g.messages), 0) into v_batches, v_messages
        from gone as g;
        v_left := v_left - v_batches;
    end if;
    update orders as o set
        tasks_done = v_upto,
        index_reached = v_upto,
        batches_done = o.batches_done + v_batches,
        details = o.details || jsonb_build_object(
            'messages', (o.details ->> 'messages')::bigint + v_messages)
    where o.order_id = p_order.order_id;
    if v_left > 0 then
        perform stagebus.remove_stage(v_job_id, v_stage);
        perform stagebus.end_order(p_order.order_id);
    end if;
end;
$$;
comment on function stagebus.work_withdrawal(stagebus_data.orders, integer) is
    'Deletes up to p_limit rows of the stage, its tasks first; with the last of them the stage, '
    'and ends the order. The order''s details count the messages that may have been sent. Locks '
    'tasks, slots, batches, stages, the job.';
