-- A job: one request of a user. Its stages follow, each made by one of the calls below.
create or replace function stagebus.create_job(
    p_job_type text,
    parameters jsonb default '{}',
    dedupe_key text default null
) returns uuid
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now    timestamptz := stagebus.clock();
    v_job_id uuid := stagebus.new_job_id();
    v_owner  uuid;
begin
    if coalesce(length(p_job_type) not between 1 and 100, true) then
        perform stagebus.raise_error(
            'SB116',
            format('job type %s is not usable', coalesce(quote_literal(p_job_type), 'null')),
            'A job type has 1 to 100 characters.', 'Name the job type, e.g. ''tile_pyramid''.');
    end if;
    if coalesce(jsonb_typeof(create_job.parameters) <> 'object', true) then
        perform stagebus.raise_error(
            'SB109', 'the job''s parameters are not a JSON object',
            format('They are a JSON %s.', coalesce(jsonb_typeof(create_job.parameters), 'null')),
            'Pass an object, e.g. ''{"region": "alps"}''.');
    end if;
    perform stagebus.check_nesting(array[create_job.parameters], 'the job''s parameters');
    -- 256 bytes for what stands beside them in a JobQueueMessage.
    perform stagebus.check_message_size(
        'jobs', 'a message of the job', octet_length(create_job.parameters::text)
            + octet_length(to_json(p_job_type)::text) + 256);
    if coalesce(length(create_job.dedupe_key) not between 1 and 512, false) then
        perform stagebus.raise_error(
            'SB116', 'the dedupe key is not usable',
            format('It has %s characters; the limit is 1 to 512.', length(create_job.dedupe_key)),
            'Pass a shorter key, or null for none.');
    end if;

    if create_job.dedupe_key is not null then
        perform stagebus.require_read_committed('create_job with a dedupe key');
        insert into job_dedupe_keys as k (dedupe_key, job_id)
        values (create_job.dedupe_key, v_job_id)
        on conflict on constraint job_dedupe_keys_pkey do nothing;
        if not found then
            select k.job_id into v_owner
            from job_dedupe_keys as k
            where k.dedupe_key = create_job.dedupe_key;
            return v_owner;
        end if;
    end if;

    perform stagebus.ensure_partition(v_now);
    insert into jobs (job_id, job_type, parameters, created_at)
    values (v_job_id, p_job_type, create_job.parameters, v_now);
    return v_job_id;
end;
$$;
comment on function stagebus.create_job(text, jsonb, text) is
    'Creates a job and returns its id; a dedupe key that was used before returns that job''s id. '
    'Makes the week''s partition of tasks where it is missing. '
    'Raises SB109, SB111, SB115, SB116, SB118.';
