-- A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random bits. Ordered by time, so
-- that a job falls into the newest partition. PostgreSQL has its own only from version 18.
create or replace function stagebus.new_job_id() returns uuid
language plpgsql
volatile
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return encode(
        set_byte(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(
                    int8send(floor(extract(epoch from stagebus.clock()) * 1000)::bigint) from 3)
                from 1 for 6),
            6,
            112 | (get_byte(uuid_send(gen_random_uuid()), 6) & 15)),
        'hex')::uuid;
end;
$$;
comment on function stagebus.new_job_id() is 'A new time-ordered job id (UUIDv7).';
