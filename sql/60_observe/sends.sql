create or replace view stagebus.sends as
select
    s.job_id, b.stage, s.batch_id, s.send_no, s.dispatch, s.claim_epoch, s.claimed_by,
    s.first_index, s.last_index, s.messages, s.bytes, s.outcome, s.error, s.duration,
    s.recorded_at
from stagebus_data.sends as s
join stagebus_data.batches as b on b.job_id = s.job_id and b.batch_id = s.batch_id
where s.job_id < (select r.hidden_from from stagebus_data.retention as r)
    or s.job_id >= (select r.hidden_until from stagebus_data.retention as r);
comment on view stagebus.sends is
    'The ledger: a row per broker send. unknown: the messages of the range may have arrived.';
