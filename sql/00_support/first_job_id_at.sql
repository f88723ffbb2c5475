-- The bound of a partition: the smallest job id of a moment.
create or replace function stagebus.first_job_id_at(p_at timestamptz) returns uuid
language plpgsql
immutable
strict
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return encode(
        substring(int8send(floor(extract(epoch from p_at) * 1000)::bigint) from 3)
        || '\x00000000000000000000'::bytea,
        'hex')::uuid;
end;
$$;
comment on function stagebus.first_job_id_at(timestamptz) is
    'The lower bound of the ids of jobs created from p_at on.';
