-- What became of a published stage. Whoever asks after its time is up withdraws it, so that a
-- caller gets its answer without any bridge.
create or replace function stagebus.publication(
    p_job_id uuid,
    p_stage integer,
    nonce text default null
) returns stagebus.publication_report
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    perform stagebus.withdraw_overdue_stage(p_job_id, p_stage);
    return stagebus.report_publication(p_job_id, p_stage, publication.nonce);
end;
$$;
comment on function stagebus.publication(uuid, integer, text) is
    'waiting, confirmed, or withdrawn and why: of the publication with that nonce, or of the last '
    'one of the stage''s number; also when the stage is gone, or was made again. Locks the stage '
    'when its time is up. Raises SB105, SB115, SB130.';
