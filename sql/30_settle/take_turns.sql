-- Batches that are published again, or are let go, wait as if they were made now: those of a stage
-- in a row, and none earlier than before.
create or replace function stagebus.take_turns(
    p_job_ids uuid[],
    p_batch_ids uuid[]
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    with made_now as (
        select b.job_id, b.batch_id,
            d.turn + stagebus.turns_per_task(j.priority) * sum(b.task_count) over (
                partition by b.job_id, b.stage, b.destination order by b.turn, b.seq) as turn
        from unnest(p_job_ids, p_batch_ids) as p (job_id, batch_id)
        join batches as b on b.job_id = p.job_id and b.batch_id = p.batch_id
        join jobs as j on j.job_id = b.job_id
        join destinations as d on d.destination = b.destination
    )
    update batches as b set turn = n.turn
    from made_now as n
    where b.job_id = n.job_id and b.batch_id = n.batch_id and b.turn < n.turn;
end;
$$;
comment on function stagebus.take_turns(uuid[], uuid[]) is
    'Gives the batches, which the caller has locked, their turns anew.';
