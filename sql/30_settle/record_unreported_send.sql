-- Called when a batch is taken from a bridge that holds it: nobody will say any more what became
-- of the rest of it; it may have been sent.
create or replace function stagebus.record_unreported_send(
    p_job_id uuid,
    p_batch_id uuid,
    p_error text
) returns void
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    with unreported as (
        update batches as b set
            send_count = b.send_count + 1,
            unanswered_since = least(b.unanswered_since, b.reported_at),
            unanswered_through = b.last_index
        where b.job_id = p_job_id and b.batch_id = p_batch_id
            and b.state = 'publishing' and b.published_through < b.last_index
        returning b.*
    )
    insert into sends (
        job_id, batch_id, send_no, dispatch, claim_epoch, claimed_by, first_index, last_index,
        outcome, error, recorded_at)
    select
        u.job_id, u.batch_id, u.send_count, u.dispatch, u.claim_epoch, u.claimed_by,
        u.published_through + 1, u.last_index, 'unknown', p_error, v_now
    from unreported as u;
end;
$$;
comment on function stagebus.record_unreported_send(uuid, uuid, text) is
    'Writes the range that a publishing batch may have sent, and that nobody reported, to the '
    'ledger as unknown; otherwise nothing. The caller then raises the epoch. Locks the batch.';
