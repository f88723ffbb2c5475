-- A job's share of what is published. What waits of it gets a new turn, as if it were made now.
create or replace function stagebus.set_priority(
    p_job_id uuid,
    p_priority integer
) returns integer
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_batches integer;
begin
    perform stagebus.require_read_committed('set_priority');
    if coalesce(p_priority not between 0 and 9, true) then
        perform stagebus.raise_error(
            'SB116', format('priority %s is not usable', coalesce(p_priority::text, 'null')),
            'A priority is 0 to 9; 5 unless it was set.',
            'Each step up doubles the share of the job while others wait.');
    end if;
    -- In the order of locks: batches before their job.
    perform
    from batches as b
    where b.job_id = p_job_id and b.state = 'pending_queue'
    order by b.batch_id
    for no key update;
    with waiting as (
        select b.batch_id, d.turn + stagebus.turns_per_task(p_priority::smallint)
            * sum(b.task_count) over (
                partition by b.stage, b.destination order by b.turn, b.seq) as turn
        from batches as b
        join destinations as d on d.destination = b.destination
        where b.job_id = p_job_id and b.state = 'pending_queue'
    )
    update batches as b set turn = w.turn
    from waiting as w
    where b.job_id = p_job_id and b.batch_id = w.batch_id and b.state = 'pending_queue';
    get diagnostics v_batches = row_count;
    update jobs as j set priority = p_priority where j.job_id = p_job_id;
    if not found then
        perform stagebus.raise_error(
            'SB101', format('job %s does not exist', coalesce(p_job_id::text, 'null')),
            'Its creation may have been rolled back.', 'Look it up in the view jobs.');
    end if;
    return v_batches;
end;
$$;
comment on function stagebus.set_priority(uuid, integer) is
    'Sets the priority of a job, 0 to 9 (5 at first): each step up doubles its share of what is '
    'published while others wait; nobody''s becomes nothing. Returns how many waiting batches have '
    'a new turn; what a transaction makes meanwhile keeps the one that it has. Locks the job''s '
    'waiting batches and the job. Raises SB101, SB115, SB116.';
