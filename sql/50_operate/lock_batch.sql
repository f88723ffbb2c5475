-- What every order about one batch begins with.
create or replace function stagebus.lock_batch(
    p_job_id uuid,
    p_batch_id uuid,
    p_action text,
    p_states text[]
) returns stagebus_data.batches
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_batch  stagebus_data.batches;
    v_ending text;
begin
    perform stagebus.require_read_committed(p_action);
    select b.* into v_batch
    from batches as b
    where b.job_id = p_job_id and b.batch_id = p_batch_id
    for no key update;
    if not found then
        perform stagebus.raise_error(
            'SB119', format('batch %s of job %s does not exist',
                coalesce(p_batch_id::text, 'null'), coalesce(p_job_id::text, 'null')),
            'A batch is named by its job and its own id.', 'Look it up in the view batches.');
    end if;
    if v_batch.state <> all (p_states) then
        perform stagebus.raise_error(
            'SB120', format('%s cannot be done: batch %s is %s',
                p_action, p_batch_id, v_batch.state),
            format('It takes a batch that is %s.', array_to_string(p_states, ', ')),
            'Look at the view batches; a cancelled one comes back by undo_order.');
    end if;
    select s.ending into v_ending
    from stages as s
    where s.job_id = p_job_id and s.stage = v_batch.stage;
    if v_ending = 'withdraw' and v_batch.kind = 'tasks' then
        perform stagebus.raise_error(
            'SB120', format('%s cannot be done: stage %s of job %s is being withdrawn',
                p_action, v_batch.stage, p_job_id),
            'Whoever published it was told no; all of it goes away.',
            'Make the stage again once it is gone.');
    end if;
    if v_ending is not null and v_batch.kind = 'tasks' then
        perform stagebus.raise_error(
            'SB120', format('%s cannot be done: stage %s of job %s is being cancelled',
                p_action, v_batch.stage, p_job_id),
            'Nothing of it is published any more.',
            'Take the order back with undo_order; the view orders has its number.');
    end if;
    return v_batch;
end;
$$;
comment on function stagebus.lock_batch(uuid, uuid, text, text[]) is
    'Locks and returns the batch, which is in one of p_states and whose stage is not being '
    'cancelled. Raises SB115, SB119, SB120.';
