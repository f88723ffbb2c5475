-- The row of a new job, or the job that has its dedupe key already.
create or replace function stagebus.add_job(
    p_job_type text,
    p_parameters jsonb,
    p_dedupe_key text,
    p_plan_version integer
) returns table (job_id uuid, is_new boolean)
language plpgsql
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now   timestamptz := stagebus.clock();
    v_known uuid;
begin
    job_id := stagebus.new_job_id();
    is_new := true;
    if coalesce(length(p_job_type) not between 1 and 100, true) then
        perform stagebus.raise_error(
            'SB116',
            format('job type %s is not usable', coalesce(quote_literal(p_job_type), 'null')),
            'A job type has 1 to 100 characters.', 'Name the job type, e.g. ''tile_pyramid''.');
    end if;
    if coalesce(jsonb_typeof(p_parameters) <> 'object', true) then
        perform stagebus.raise_error(
            'SB109', 'the job''s parameters are not a JSON object',
            format('They are a JSON %s.', coalesce(jsonb_typeof(p_parameters), 'null')),
            'Pass an object, e.g. ''{"region": "alps"}''.');
    end if;
    perform stagebus.check_nesting(array[p_parameters], 'the job''s parameters');
    -- 256 bytes for what stands beside them in a JobQueueMessage.
    perform stagebus.check_message_size(
        'jobs', 'a message of the job', octet_length(p_parameters::text)
            + octet_length(to_json(p_job_type)::text) + 256);
    perform stagebus.check_limit(
        'job_parameter_bytes', session_user, octet_length(p_parameters::text),
        format('the job''s parameters have %s bytes', octet_length(p_parameters::text)),
        'Put the data elsewhere and pass a reference');
    if coalesce(length(p_dedupe_key) not between 1 and 512, false) then
        perform stagebus.raise_error(
            'SB116', 'the dedupe key is not usable',
            format('It has %s characters; the limit is 1 to 512.', length(p_dedupe_key)),
            'Pass a shorter key, or null for none.');
    end if;

    if p_dedupe_key is not null then
        perform stagebus.require_read_committed('a job with a dedupe key');
        -- The key's row is there before its job's, also where constraints were made immediate.
        set constraints stagebus_data.job_dedupe_keys_job_id_fkey deferred;
        loop
            insert into job_dedupe_keys as k (dedupe_key, job_id)
            values (p_dedupe_key, add_job.job_id)
            on conflict on constraint job_dedupe_keys_pkey do nothing;
            exit when found;
            select k.job_id into v_known
            from job_dedupe_keys as k
            cross join retention as r
            where k.dedupe_key = p_dedupe_key
                and (k.job_id < r.hidden_from or k.job_id >= r.hidden_until);
            if found then
                job_id := v_known;
                is_new := false;
                return next;
                return;
            end if;
            -- That of a job that is being removed is free again.
            delete from job_dedupe_keys as k
            using retention as r
            where k.dedupe_key = p_dedupe_key
                and k.job_id >= r.hidden_from and k.job_id < r.hidden_until;
        end loop;
    end if;

    perform stagebus.check_jobs_in_flight(session_user);
    perform stagebus.ensure_partition(v_now);
    insert into jobs (job_id, job_type, plan_version, parameters, created_at)
    values (add_job.job_id, p_job_type, p_plan_version, p_parameters, v_now);
    return next;
end;
$$;
comment on function stagebus.add_job(text, jsonb, text, integer) is
    'Makes a job and returns its id; is_new is false where the dedupe key was used before. Makes '
    'the week''s partition of tasks where it is missing. '
    'Raises SB109, SB111, SB115, SB116, SB118, SB127.';
