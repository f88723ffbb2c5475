CREATE SCHEMA stagebus_data;

ALTER SCHEMA stagebus_data OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.attempt AS smallint
	CONSTRAINT attempt_starts_at_1 CHECK ((VALUE >= 1));

ALTER DOMAIN stagebus_data.attempt OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.batch_kind AS text
	CONSTRAINT batch_kind_is_tasks_or_job CHECK ((VALUE = ANY (ARRAY['tasks'::text, 'job'::text])));

ALTER DOMAIN stagebus_data.batch_kind OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.batch_state AS text
	CONSTRAINT batch_state_is_known CHECK ((VALUE = ANY (ARRAY['pending_queue'::text, 'publishing'::text, 'queued'::text, 'held'::text, 'failed'::text, 'cancelled'::text])));

ALTER DOMAIN stagebus_data.batch_state OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.counter AS integer
	CONSTRAINT counter_is_not_negative CHECK ((VALUE >= 0));

ALTER DOMAIN stagebus_data.counter OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.ending AS text
	CONSTRAINT ending_is_known CHECK ((VALUE = ANY (ARRAY['cancel'::text, 'deadline'::text, 'withdraw'::text])));

ALTER DOMAIN stagebus_data.ending OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.job_state AS text
	CONSTRAINT job_state_is_known CHECK ((VALUE = ANY (ARRAY['created'::text, 'running'::text, 'completed'::text, 'completed_with_errors'::text, 'failed'::text, 'cancelled'::text])));

ALTER DOMAIN stagebus_data.job_state OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.nonce AS text
	CONSTRAINT nonce_is_10_hex_digits CHECK ((VALUE ~ '^[0-9a-f]{10}$'::text));

ALTER DOMAIN stagebus_data.nonce OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.on_failure AS text
	CONSTRAINT on_failure_is_fail_job_or_wait CHECK ((VALUE = ANY (ARRAY['fail_job'::text, 'wait'::text])));

ALTER DOMAIN stagebus_data.on_failure OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.parameters AS jsonb
	CONSTRAINT parameters_are_an_object CHECK ((jsonb_typeof(VALUE) = 'object'::text));

ALTER DOMAIN stagebus_data.parameters OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.stage_state AS text
	CONSTRAINT stage_state_is_known CHECK ((VALUE = ANY (ARRAY['filling'::text, 'provisional'::text, 'open'::text, 'completed'::text, 'completed_with_errors'::text, 'failed'::text, 'cancelled'::text])));

ALTER DOMAIN stagebus_data.stage_state OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.task_state AS text
	CONSTRAINT task_state_is_known CHECK ((VALUE = ANY (ARRAY['processing'::text, 'retry_wait'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])));

ALTER DOMAIN stagebus_data.task_state OWNER TO stagebus_owner;

CREATE DOMAIN stagebus_data.tolerated_failures AS text
	CONSTRAINT tolerated_failures_is_a_number_or_a_percentage CHECK ((VALUE ~ '^([0-9]{1,9}|(100|[0-9]{1,2}(\.[0-9]{1,6})?)%)$'::text));

ALTER DOMAIN stagebus_data.tolerated_failures OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.stages (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    name text,
    group_value text,
    skipped boolean DEFAULT false NOT NULL,
    task_type text NOT NULL,
    destination text NOT NULL,
    state stagebus_data.stage_state DEFAULT 'filling'::text NOT NULL,
    ending stagebus_data.ending,
    repair boolean DEFAULT false NOT NULL,
    parameters stagebus_data.parameters DEFAULT '{}'::jsonb NOT NULL,
    nonce stagebus_data.nonce NOT NULL,
    tolerated_failures stagebus_data.tolerated_failures DEFAULT '100%'::text NOT NULL,
    deadline timestamp with time zone,
    confirm_by timestamp with time zone,
    on_failure stagebus_data.on_failure DEFAULT 'fail_job'::text NOT NULL,
    atomic boolean DEFAULT false NOT NULL,
    own_parameters boolean DEFAULT false NOT NULL,
    task_count stagebus_data.counter DEFAULT 0 NOT NULL,
    batch_count stagebus_data.counter DEFAULT 0 NOT NULL,
    body_bytes bigint DEFAULT 0 NOT NULL,
    open_groups stagebus_data.counter DEFAULT 0 NOT NULL,
    completed stagebus_data.counter DEFAULT 0 NOT NULL,
    failed stagebus_data.counter DEFAULT 0 NOT NULL,
    cancelled stagebus_data.counter DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sealed_at timestamp with time zone,
    ended_at timestamp with time zone,
    largest_body integer,
    CONSTRAINT a_provisional_stage_has_a_time CHECK ((((state)::text <> 'provisional'::text) OR (confirm_by IS NOT NULL))),
    CONSTRAINT a_provisional_stage_is_only_withdrawn_and_no_other_is CHECK (((ending IS NULL) OR (((ending)::text = 'withdraw'::text) = ((state)::text = 'provisional'::text)))),
    CONSTRAINT a_skipped_stage_is_completed_without_tasks CHECK (((NOT skipped) OR ((name IS NOT NULL) AND ((state)::text = 'completed'::text) AND ((task_count)::integer = 0)))),
    CONSTRAINT a_stage_has_an_end_exactly_when_it_ended CHECK (((ended_at IS NULL) = ((state)::text = ANY (ARRAY['filling'::text, 'provisional'::text, 'open'::text])))),
    CONSTRAINT a_stage_is_sealed_exactly_when_it_left_filling CHECK (((sealed_at IS NULL) = ((state)::text = 'filling'::text))),
    CONSTRAINT body_bytes_are_not_negative CHECK ((body_bytes >= 0)),
    CONSTRAINT no_more_tasks_end_than_there_are CHECK (((((completed)::bigint + (failed)::integer) + (cancelled)::integer) <= (task_count)::integer)),
    CONSTRAINT stage_is_1_to_32767 CHECK (((stage >= 1) AND (stage <= 32767)))
);

ALTER TABLE stagebus_data.stages OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.removals (
    partition text NOT NULL,
    first_job_id uuid NOT NULL,
    next_job_id uuid NOT NULL,
    begun_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    rows_removed bigint DEFAULT 0 NOT NULL,
    rows_are_gone boolean DEFAULT false NOT NULL,
    table_reached text,
    job_reached uuid,
    next_step_at timestamp with time zone NOT NULL,
    tries integer DEFAULT 0 NOT NULL,
    last_error text,
    CONSTRAINT a_week_has_an_end CHECK ((first_job_id < next_job_id)),
    CONSTRAINT rows_go_before_their_partition CHECK (((ended_at IS NULL) OR rows_are_gone))
);

ALTER TABLE stagebus_data.removals OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.task_types (
    task_type text NOT NULL,
    destination text DEFAULT 'tasks'::text NOT NULL,
    boundary text DEFAULT 'chunk'::text NOT NULL,
    batch_size integer DEFAULT 1000 NOT NULL,
    timeout interval DEFAULT '00:15:00'::interval NOT NULL,
    start_timeout interval DEFAULT '14 days'::interval NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    retry_delay interval DEFAULT '00:00:05'::interval NOT NULL,
    max_retry_delay interval DEFAULT '00:10:00'::interval NOT NULL,
    tolerated_failures stagebus_data.tolerated_failures DEFAULT '100%'::text NOT NULL,
    stage_timeout interval DEFAULT '00:00:00'::interval NOT NULL,
    on_failure stagebus_data.on_failure DEFAULT 'fail_job'::text NOT NULL,
    job_messages boolean DEFAULT false NOT NULL,
    atomic boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT batch_size_is_1_to_100000 CHECK (((batch_size >= 1) AND (batch_size <= 100000))),
    CONSTRAINT boundary_is_known CHECK ((boundary = ANY (ARRAY['by_stage'::text, 'chunk'::text]))),
    CONSTRAINT max_attempts_is_1_to_1000 CHECK (((max_attempts >= 1) AND (max_attempts <= 1000))),
    CONSTRAINT max_retry_delay_is_at_most_7_days CHECK ((max_retry_delay <= '7 days'::interval)),
    CONSTRAINT retry_delay_is_0_to_max_retry_delay CHECK (((retry_delay >= '00:00:00'::interval) AND (retry_delay <= max_retry_delay))),
    CONSTRAINT stage_timeout_is_0_or_1_second_to_365_days CHECK (((stage_timeout = '00:00:00'::interval) OR ((stage_timeout >= '00:00:01'::interval) AND (stage_timeout <= '365 days'::interval)))),
    CONSTRAINT start_timeout_is_0_or_10_seconds_to_365_days CHECK (((start_timeout = '00:00:00'::interval) OR ((start_timeout >= '00:00:10'::interval) AND (start_timeout <= '365 days'::interval)))),
    CONSTRAINT task_type_has_1_to_100_characters CHECK (((length(task_type) >= 1) AND (length(task_type) <= 100))),
    CONSTRAINT timeout_is_1_second_to_7_days CHECK (((timeout >= '00:00:01'::interval) AND (timeout <= '7 days'::interval)))
);

ALTER TABLE stagebus_data.task_types OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.job_advances (
    job_id uuid NOT NULL,
    next_try_at timestamp with time zone NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    stage_name text,
    why text,
    error text,
    CONSTRAINT a_failure_says_why CHECK (((failures > 0) = ((why IS NOT NULL) AND (error IS NOT NULL))))
)
WITH (fillfactor='50');

ALTER TABLE stagebus_data.job_advances OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.plan_stages (
    job_type text NOT NULL,
    version integer NOT NULL,
    stage integer NOT NULL,
    name text NOT NULL,
    task_type text NOT NULL,
    waits_for text[],
    task_count jsonpath,
    task_function text,
    group_by text,
    parameters stagebus_data.parameters DEFAULT '{}'::jsonb NOT NULL,
    skip_when jsonpath,
    tolerated_failures stagebus_data.tolerated_failures,
    on_failure stagebus_data.on_failure,
    CONSTRAINT name_is_an_identifier CHECK ((name ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$'::text)),
    CONSTRAINT only_returned_tasks_are_grouped CHECK (((group_by IS NULL) OR (task_function IS NOT NULL))),
    CONSTRAINT stage_is_1_to_100 CHECK (((stage >= 1) AND (stage <= 100))),
    CONSTRAINT tasks_are_counted_or_returned CHECK (((task_count IS NULL) <> (task_function IS NULL)))
);

ALTER TABLE stagebus_data.plan_stages OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.batches (
    job_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    stage integer NOT NULL,
    kind stagebus_data.batch_kind DEFAULT 'tasks'::text NOT NULL,
    destination text NOT NULL,
    seq bigint NOT NULL,
    scattered boolean DEFAULT false NOT NULL,
    atomic boolean DEFAULT false NOT NULL,
    first_index integer NOT NULL,
    last_index integer NOT NULL,
    task_count integer NOT NULL,
    state stagebus_data.batch_state DEFAULT 'pending_queue'::text NOT NULL,
    dispatch integer DEFAULT 1 NOT NULL,
    claim_epoch integer DEFAULT 0 NOT NULL,
    claimed_by uuid,
    lease_until timestamp with time zone,
    ready_at timestamp with time zone NOT NULL,
    published_through integer NOT NULL,
    publish_attempts integer DEFAULT 0 NOT NULL,
    reported_at timestamp with time zone,
    unanswered_since timestamp with time zone,
    unanswered_through integer,
    send_count integer DEFAULT 0 NOT NULL,
    last_error text,
    created_at timestamp with time zone NOT NULL,
    queued_at timestamp with time zone,
    start_due_at timestamp with time zone,
    unstarted integer,
    turn bigint DEFAULT 0 NOT NULL,
    CONSTRAINT a_batch_has_tasks CHECK (((task_count >= 1) AND (task_count <= ((last_index - first_index) + 1)))),
    CONSTRAINT a_batch_is_leased_exactly_while_it_is_publishing CHECK ((((state)::text = 'publishing'::text) = ((claimed_by IS NOT NULL) AND (lease_until IS NOT NULL)))),
    CONSTRAINT a_job_batch_is_scattered_and_has_one_message CHECK ((((kind)::text = 'tasks'::text) OR (scattered AND (task_count = 1)))),
    CONSTRAINT a_queued_batch_is_published_through_its_last_task CHECK ((((state)::text <> 'queued'::text) OR ((published_through = last_index) AND (queued_at IS NOT NULL)))),
    CONSTRAINT a_range_batch_has_all_of_its_range CHECK ((scattered OR (task_count = ((last_index - first_index) + 1)))),
    CONSTRAINT an_atomic_batch_is_published_whole CHECK (((NOT atomic) OR ((published_through = (first_index - 1)) OR (published_through = last_index)))),
    CONSTRAINT only_a_queued_batch_is_due_to_be_started CHECK (((start_due_at IS NULL) OR ((state)::text = 'queued'::text))),
    CONSTRAINT published_through_lies_in_the_batch CHECK (((published_through >= (first_index - 1)) AND (published_through <= last_index))),
    CONSTRAINT what_is_unanswered_has_a_time_and_an_end CHECK (((unanswered_since IS NULL) = (unanswered_through IS NULL)))
)
WITH (fillfactor='50');

ALTER TABLE stagebus_data.batches OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.plans (
    job_type text NOT NULL,
    version integer NOT NULL,
    plan jsonb NOT NULL,
    owner text NOT NULL,
    timeout interval DEFAULT '00:05:00'::interval NOT NULL,
    defined_by text DEFAULT SESSION_USER NOT NULL,
    defined_at timestamp with time zone NOT NULL,
    CONSTRAINT job_type_has_1_to_100_characters CHECK (((length(job_type) >= 1) AND (length(job_type) <= 100))),
    CONSTRAINT timeout_is_1_second_to_1_day CHECK (((timeout >= '00:00:01'::interval) AND (timeout <= '1 day'::interval))),
    CONSTRAINT version_starts_at_1 CHECK ((version >= 1))
);

ALTER TABLE stagebus_data.plans OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.jobs (
    job_id uuid NOT NULL,
    job_type text NOT NULL,
    plan_version integer,
    state stagebus_data.job_state DEFAULT 'created'::text NOT NULL,
    cancelling boolean DEFAULT false NOT NULL,
    parameters stagebus_data.parameters DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text DEFAULT SESSION_USER NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    priority smallint DEFAULT 5 NOT NULL,
    CONSTRAINT a_job_has_an_end_exactly_when_it_ended CHECK (((ended_at IS NULL) = ((state)::text = ANY (ARRAY['created'::text, 'running'::text])))),
    CONSTRAINT a_job_that_is_being_cancelled_ends_as_cancelled CHECK (((NOT cancelling) OR ((state)::text = ANY (ARRAY['created'::text, 'running'::text, 'cancelled'::text])))),
    CONSTRAINT job_type_has_1_to_100_characters CHECK (((length(job_type) >= 1) AND (length(job_type) <= 100))),
    CONSTRAINT priority_is_0_to_9 CHECK (((priority >= 0) AND (priority <= 9)))
);

ALTER TABLE stagebus_data.jobs OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.orders (
    job_id uuid NOT NULL,
    order_id bigint NOT NULL,
    action text NOT NULL,
    stage integer,
    batch_id uuid,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    reason text,
    state text DEFAULT 'working'::text NOT NULL,
    tasks integer DEFAULT 0 NOT NULL,
    tasks_done integer DEFAULT 0 NOT NULL,
    batches_done integer DEFAULT 0 NOT NULL,
    stage_reached integer DEFAULT 0 NOT NULL,
    index_reached integer DEFAULT 0 NOT NULL,
    last_error text,
    undoes bigint,
    ordered_by text DEFAULT SESSION_USER NOT NULL,
    ordered_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    stopped_by text,
    CONSTRAINT action_is_known CHECK ((action = ANY (ARRAY['cancel_job'::text, 'cancel_stage'::text, 'hold_batch'::text, 'unhold_batch'::text, 'retry_batch'::text, 'retry_tasks'::text, 'set_stage'::text, 'withdraw_stage'::text, 'repair_job'::text]))),
    CONSTRAINT an_order_has_an_end_exactly_when_it_ended CHECK (((ended_at IS NULL) = (state = 'working'::text))),
    CONSTRAINT order_counts_are_not_negative CHECK ((LEAST(tasks, tasks_done, batches_done) >= 0)),
    CONSTRAINT order_state_is_known CHECK ((state = ANY (ARRAY['working'::text, 'done'::text, 'stopped'::text]))),
    CONSTRAINT who_stopped_an_order_is_known CHECK (((stopped_by IS NOT NULL) = (state = 'stopped'::text)))
);

ALTER TABLE stagebus_data.orders OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.retention (
    only_row boolean DEFAULT true NOT NULL,
    keep interval,
    archive_first boolean DEFAULT false NOT NULL,
    set_by text DEFAULT SESSION_USER NOT NULL,
    set_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    next_look_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    hidden_from uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    hidden_until uuid DEFAULT '00000000-0000-0000-0000-000000000000'::uuid NOT NULL,
    CONSTRAINT keep_is_7_to_36500_days CHECK (((keep >= '7 days'::interval) AND (keep <= '36500 days'::interval))),
    CONSTRAINT there_is_one_row CHECK (only_row)
);

ALTER TABLE stagebus_data.retention OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.bridges (
    bridge_id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    code_digest text NOT NULL,
    lease interval,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE stagebus_data.bridges OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.dead_letters (
    destination text NOT NULL,
    sequence_number bigint NOT NULL,
    message_id text NOT NULL,
    outcome text NOT NULL,
    job_id uuid,
    stage integer,
    task_index integer,
    attempt integer,
    dispatch integer,
    nonce text,
    reason text,
    description text,
    delivery_count integer,
    body_bytes integer,
    enqueued_at timestamp with time zone,
    received_at timestamp with time zone NOT NULL,
    CONSTRAINT a_dead_letter_names_a_task_or_none CHECK ((num_nulls(job_id, stage, task_index, attempt, dispatch, nonce) = ANY (ARRAY[0, 6]))),
    CONSTRAINT dead_letter_outcome_is_known CHECK ((outcome = ANY (ARRAY['retry_wait'::text, 'failed'::text, 'taken'::text, 'done'::text, 'cancelled'::text, 'stale'::text, 'ghost'::text, 'job_message'::text, 'not_ours'::text]))),
    CONSTRAINT only_a_dead_letter_of_a_task_is_judged CHECK (((job_id IS NULL) = (outcome = ANY (ARRAY['job_message'::text, 'not_ours'::text]))))
);

ALTER TABLE stagebus_data.dead_letters OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.failed_tasks (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    task_index integer NOT NULL,
    attempt smallint NOT NULL,
    error text NOT NULL,
    failed_at timestamp with time zone NOT NULL
);

ALTER TABLE stagebus_data.failed_tasks OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.destinations (
    destination text NOT NULL,
    entity_kind text DEFAULT 'queue'::text NOT NULL,
    entity text NOT NULL,
    max_send_bytes integer DEFAULT 262144 NOT NULL,
    max_send_messages integer DEFAULT 4500 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    paused_at timestamp with time zone,
    pause_reason text,
    probe_at timestamp with time zone,
    duplicate_window interval DEFAULT '00:10:00'::interval NOT NULL,
    old_repeats text DEFAULT 'hold'::text NOT NULL,
    throttled_until timestamp with time zone,
    turn bigint DEFAULT 0 NOT NULL,
    turn_at timestamp with time zone,
    looked_from bigint DEFAULT 0 NOT NULL,
    per_second double precision,
    paid_until timestamp with time zone,
    CONSTRAINT a_pause_has_a_reason CHECK (((paused_at IS NULL) = (pause_reason IS NULL))),
    CONSTRAINT a_rate_limit_is_0_001_to_1e9 CHECK (((per_second >= (0.001)::double precision) AND (per_second <= ('1000000000'::numeric)::double precision))),
    CONSTRAINT a_send_holds_at_least_one_message CHECK ((max_send_messages >= 1)),
    CONSTRAINT a_send_holds_at_least_one_small_message CHECK ((max_send_bytes >= 4096)),
    CONSTRAINT claims_begin_at_a_turn_that_has_been CHECK ((looked_from <= turn)),
    CONSTRAINT duplicate_window_is_0_to_7_days CHECK (((duplicate_window >= '00:00:00'::interval) AND (duplicate_window <= '7 days'::interval))),
    CONSTRAINT entity_is_a_queue_or_a_topic CHECK ((entity_kind = ANY (ARRAY['queue'::text, 'topic'::text]))),
    CONSTRAINT entity_is_named CHECK (((length(entity) >= 1) AND (length(entity) <= 260))),
    CONSTRAINT old_repeats_is_hold_or_resend CHECK ((old_repeats = ANY (ARRAY['hold'::text, 'resend'::text]))),
    CONSTRAINT only_a_limited_rate_is_paid CHECK (((paid_until IS NULL) OR (per_second IS NOT NULL))),
    CONSTRAINT only_a_paused_destination_is_probed CHECK (((probe_at IS NULL) OR (paused_at IS NOT NULL)))
);

ALTER TABLE stagebus_data.destinations OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.counter_groups (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    group_no integer NOT NULL,
    open_slots stagebus_data.counter NOT NULL,
    completed stagebus_data.counter DEFAULT 0 NOT NULL,
    failed stagebus_data.counter DEFAULT 0 NOT NULL,
    cancelled stagebus_data.counter DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE stagebus_data.counter_groups OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.counter_slots (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    slot_no integer NOT NULL,
    open_tasks stagebus_data.counter NOT NULL,
    completed stagebus_data.counter DEFAULT 0 NOT NULL,
    failed stagebus_data.counter DEFAULT 0 NOT NULL,
    cancelled stagebus_data.counter DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE stagebus_data.counter_slots OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.running_attempts (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    task_index integer NOT NULL,
    attempt smallint NOT NULL,
    worker text,
    started_at timestamp with time zone NOT NULL,
    lease_until timestamp with time zone NOT NULL
);

ALTER TABLE stagebus_data.running_attempts OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.waiting_retries (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    task_index integer NOT NULL,
    due_at timestamp with time zone NOT NULL,
    error text NOT NULL
);

ALTER TABLE stagebus_data.waiting_retries OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.due_advances (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    planned boolean DEFAULT false NOT NULL,
    due_since timestamp with time zone NOT NULL
);

ALTER TABLE stagebus_data.due_advances OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.job_dedupe_keys (
    dedupe_key text NOT NULL,
    job_id uuid NOT NULL,
    CONSTRAINT dedupe_key_has_1_to_512_characters CHECK (((length(dedupe_key) >= 1) AND (length(dedupe_key) <= 512)))
);

ALTER TABLE stagebus_data.job_dedupe_keys OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.limits (
    what text NOT NULL,
    role text NOT NULL,
    value integer NOT NULL,
    set_by text DEFAULT SESSION_USER NOT NULL,
    set_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT limit_is_0_to_999999999 CHECK (((value >= 0) AND (value <= 999999999))),
    CONSTRAINT limit_is_known CHECK ((what = ANY (ARRAY['job_parameter_bytes'::text, 'stage_parameter_bytes'::text, 'stage_tasks'::text, 'jobs_in_flight'::text])))
);

ALTER TABLE stagebus_data.limits OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.sends (
    job_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    send_no integer NOT NULL,
    dispatch integer NOT NULL,
    claim_epoch integer NOT NULL,
    claimed_by uuid NOT NULL,
    first_index integer NOT NULL,
    last_index integer NOT NULL,
    messages integer,
    bytes bigint,
    outcome text NOT NULL,
    error text,
    duration interval,
    recorded_at timestamp with time zone NOT NULL,
    CONSTRAINT an_accepted_send_has_its_numbers CHECK (((outcome <> 'accepted'::text) OR ((messages IS NOT NULL) AND (bytes IS NOT NULL) AND (error IS NULL)))),
    CONSTRAINT any_other_outcome_has_an_error CHECK (((outcome = 'accepted'::text) OR (error IS NOT NULL))),
    CONSTRAINT outcome_is_known CHECK ((outcome = ANY (ARRAY['accepted'::text, 'rejected'::text, 'unknown'::text])))
);

ALTER TABLE stagebus_data.sends OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.batch_members (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    task_index integer NOT NULL,
    batch_id uuid NOT NULL
);

ALTER TABLE stagebus_data.batch_members OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.tasks (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    task_index integer NOT NULL,
    attempt stagebus_data.attempt DEFAULT 1 NOT NULL,
    state stagebus_data.task_state,
    parameters jsonb,
    token uuid,
    result jsonb,
    CONSTRAINT a_processing_task_has_a_token CHECK ((((state)::text <> 'processing'::text) OR (token IS NOT NULL))),
    CONSTRAINT only_a_completed_task_has_a_result CHECK (((result IS NULL) OR ((state)::text = 'completed'::text))),
    CONSTRAINT task_index_starts_at_1 CHECK ((task_index >= 1))
)
PARTITION BY RANGE (job_id);

ALTER TABLE stagebus_data.tasks OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.archived_jobs (
    job_id uuid NOT NULL,
    last_end timestamp with time zone NOT NULL,
    archived_at timestamp with time zone NOT NULL,
    archived_by text DEFAULT SESSION_USER NOT NULL
);

ALTER TABLE stagebus_data.archived_jobs OWNER TO stagebus_owner;

ALTER TABLE stagebus_data.batches ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stagebus_data.batches_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE stagebus_data.installed_code (
    only_row boolean DEFAULT true NOT NULL,
    digest text NOT NULL,
    replayed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    search_path_found text,
    search_path_set text,
    CONSTRAINT there_is_one_row CHECK (only_row)
);

ALTER TABLE stagebus_data.installed_code OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.job_messages (
    job_id uuid NOT NULL,
    batch_id uuid NOT NULL,
    event text NOT NULL,
    stage integer,
    status text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT a_stage_event_names_its_stage CHECK (((stage IS NOT NULL) = (event = 'stage_ended'::text))),
    CONSTRAINT event_is_known CHECK ((event = ANY (ARRAY['stage_ended'::text, 'job_ended'::text])))
);

ALTER TABLE stagebus_data.job_messages OWNER TO stagebus_owner;

ALTER TABLE stagebus_data.orders ALTER COLUMN order_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME stagebus_data.orders_order_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE stagebus_data.task_keys (
    job_id uuid NOT NULL,
    stage integer NOT NULL,
    task_key text NOT NULL,
    task_index integer NOT NULL,
    CONSTRAINT task_key_has_1_to_512_characters CHECK (((length(task_key) >= 1) AND (length(task_key) <= 512)))
);

ALTER TABLE stagebus_data.task_keys OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.tasks_from_WEEK (
    job_id uuid CONSTRAINT tasks_job_id_not_null NOT NULL,
    stage integer CONSTRAINT tasks_stage_not_null NOT NULL,
    task_index integer CONSTRAINT tasks_task_index_not_null NOT NULL,
    attempt stagebus_data.attempt DEFAULT 1 CONSTRAINT tasks_attempt_not_null NOT NULL,
    state stagebus_data.task_state,
    parameters jsonb,
    token uuid,
    result jsonb,
    CONSTRAINT a_processing_task_has_a_token CHECK ((((state)::text <> 'processing'::text) OR (token IS NOT NULL))),
    CONSTRAINT only_a_completed_task_has_a_result CHECK (((result IS NULL) OR ((state)::text = 'completed'::text))),
    CONSTRAINT task_index_starts_at_1 CHECK ((task_index >= 1))
)
WITH (fillfactor='85');

ALTER TABLE stagebus_data.tasks_from_WEEK OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.tasks_from_WEEK (
    job_id uuid CONSTRAINT tasks_job_id_not_null NOT NULL,
    stage integer CONSTRAINT tasks_stage_not_null NOT NULL,
    task_index integer CONSTRAINT tasks_task_index_not_null NOT NULL,
    attempt stagebus_data.attempt DEFAULT 1 CONSTRAINT tasks_attempt_not_null NOT NULL,
    state stagebus_data.task_state,
    parameters jsonb,
    token uuid,
    result jsonb,
    CONSTRAINT a_processing_task_has_a_token CHECK ((((state)::text <> 'processing'::text) OR (token IS NOT NULL))),
    CONSTRAINT only_a_completed_task_has_a_result CHECK (((result IS NULL) OR ((state)::text = 'completed'::text))),
    CONSTRAINT task_index_starts_at_1 CHECK ((task_index >= 1))
)
WITH (fillfactor='85');

ALTER TABLE stagebus_data.tasks_from_WEEK OWNER TO stagebus_owner;

CREATE TABLE stagebus_data.test_clock (
    only_row boolean DEFAULT true NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT there_is_one_row CHECK (only_row)
);

ALTER TABLE stagebus_data.test_clock OWNER TO stagebus_owner;

ALTER TABLE ONLY stagebus_data.tasks ATTACH PARTITION stagebus_data.tasks_from_WEEK FOR VALUES FROM … TO …;

ALTER TABLE ONLY stagebus_data.tasks ATTACH PARTITION stagebus_data.tasks_from_WEEK FOR VALUES FROM … TO …;

ALTER TABLE ONLY stagebus_data.plan_stages
    ADD CONSTRAINT a_name_is_there_once_in_a_plan UNIQUE (job_type, version, name);

ALTER TABLE ONLY stagebus_data.archived_jobs
    ADD CONSTRAINT archived_jobs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY stagebus_data.batch_members
    ADD CONSTRAINT batch_members_pkey PRIMARY KEY (job_id, stage, task_index);

ALTER TABLE ONLY stagebus_data.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (job_id, batch_id);

ALTER TABLE ONLY stagebus_data.bridges
    ADD CONSTRAINT bridges_pkey PRIMARY KEY (bridge_id);

ALTER TABLE ONLY stagebus_data.counter_groups
    ADD CONSTRAINT counter_groups_pkey PRIMARY KEY (job_id, stage, group_no);

ALTER TABLE ONLY stagebus_data.counter_slots
    ADD CONSTRAINT counter_slots_pkey PRIMARY KEY (job_id, stage, slot_no);

ALTER TABLE ONLY stagebus_data.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (destination, sequence_number, message_id);

ALTER TABLE ONLY stagebus_data.destinations
    ADD CONSTRAINT destinations_pkey PRIMARY KEY (destination);

ALTER TABLE ONLY stagebus_data.due_advances
    ADD CONSTRAINT due_advances_pkey PRIMARY KEY (job_id, stage);

ALTER TABLE ONLY stagebus_data.failed_tasks
    ADD CONSTRAINT failed_tasks_pkey PRIMARY KEY (job_id, stage, task_index);

ALTER TABLE ONLY stagebus_data.installed_code
    ADD CONSTRAINT installed_code_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY stagebus_data.job_advances
    ADD CONSTRAINT job_advances_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY stagebus_data.job_dedupe_keys
    ADD CONSTRAINT job_dedupe_keys_pkey PRIMARY KEY (dedupe_key);

ALTER TABLE ONLY stagebus_data.job_messages
    ADD CONSTRAINT job_messages_pkey PRIMARY KEY (job_id, batch_id);

ALTER TABLE ONLY stagebus_data.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY stagebus_data.limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (what, role);

ALTER TABLE ONLY stagebus_data.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (job_id, order_id);

ALTER TABLE ONLY stagebus_data.plan_stages
    ADD CONSTRAINT plan_stages_pkey PRIMARY KEY (job_type, version, stage);

ALTER TABLE ONLY stagebus_data.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (job_type, version);

ALTER TABLE ONLY stagebus_data.removals
    ADD CONSTRAINT removals_pkey PRIMARY KEY (partition);

ALTER TABLE ONLY stagebus_data.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY stagebus_data.running_attempts
    ADD CONSTRAINT running_attempts_pkey PRIMARY KEY (job_id, stage, task_index);

ALTER TABLE ONLY stagebus_data.sends
    ADD CONSTRAINT sends_pkey PRIMARY KEY (job_id, batch_id, send_no);

ALTER TABLE ONLY stagebus_data.stages
    ADD CONSTRAINT stages_pkey PRIMARY KEY (job_id, stage);

ALTER TABLE ONLY stagebus_data.task_keys
    ADD CONSTRAINT task_keys_pkey PRIMARY KEY (job_id, stage, task_key);

ALTER TABLE ONLY stagebus_data.task_types
    ADD CONSTRAINT task_types_pkey PRIMARY KEY (task_type);

ALTER TABLE ONLY stagebus_data.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (job_id, stage, task_index);

ALTER TABLE ONLY stagebus_data.tasks_from_WEEK
    ADD CONSTRAINT tasks_from_WEEK_pkey PRIMARY KEY (job_id, stage, task_index);

ALTER TABLE ONLY stagebus_data.tasks_from_WEEK
    ADD CONSTRAINT tasks_from_WEEK_pkey PRIMARY KEY (job_id, stage, task_index);

ALTER TABLE ONLY stagebus_data.test_clock
    ADD CONSTRAINT test_clock_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY stagebus_data.waiting_retries
    ADD CONSTRAINT waiting_retries_pkey PRIMARY KEY (job_id, stage, task_index);

CREATE INDEX batch_members_by_batch ON stagebus_data.batch_members USING btree (job_id, batch_id, task_index);

CREATE UNIQUE INDEX batches_by_range ON stagebus_data.batches USING btree (job_id, stage, first_index) WHERE (NOT scattered);

CREATE INDEX batches_by_start_due ON stagebus_data.batches USING btree (start_due_at) WHERE (start_due_at IS NOT NULL);

CREATE INDEX batches_by_turn ON stagebus_data.batches USING btree (destination, turn, seq) WHERE ((state)::text = 'pending_queue'::text);

CREATE INDEX batches_leased ON stagebus_data.batches USING btree (lease_until) WHERE (lease_until IS NOT NULL);

CREATE INDEX batches_scattered ON stagebus_data.batches USING btree (job_id, stage) WHERE (scattered AND ((kind)::text = 'tasks'::text));

CREATE INDEX batches_stopped ON stagebus_data.batches USING btree (job_id, stage) WHERE ((state)::text = ANY (ARRAY['failed'::text, 'held'::text]));

CREATE INDEX batches_waiting ON stagebus_data.batches USING btree (destination, seq) WHERE ((state)::text = 'pending_queue'::text);

CREATE INDEX dead_letters_of_a_stage ON stagebus_data.dead_letters USING btree (job_id, stage, task_index) WHERE (job_id IS NOT NULL);

CREATE INDEX dead_letters_of_no_task ON stagebus_data.dead_letters USING btree (received_at) WHERE (job_id IS NULL);

CREATE INDEX due_advances_planned ON stagebus_data.due_advances USING btree (due_since) WHERE planned;

CREATE INDEX failed_tasks_by_time ON stagebus_data.failed_tasks USING btree (failed_at);

CREATE INDEX job_dedupe_keys_of_a_job ON stagebus_data.job_dedupe_keys USING btree (job_id);

CREATE INDEX jobs_in_flight ON stagebus_data.jobs USING btree (created_by) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX one_week_is_removed_at_a_time ON stagebus_data.removals USING btree (((ended_at IS NULL))) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX orders_by_id ON stagebus_data.orders USING btree (order_id);

CREATE INDEX orders_working ON stagebus_data.orders USING btree (order_id) WHERE (state = 'working'::text);

CREATE INDEX running_attempts_by_lease ON stagebus_data.running_attempts USING btree (lease_until);

CREATE INDEX sends_not_accepted ON stagebus_data.sends USING btree (recorded_at) WHERE (outcome <> 'accepted'::text);

CREATE INDEX stages_by_confirm_by ON stagebus_data.stages USING btree (confirm_by) WHERE (((state)::text = 'provisional'::text) AND (ending IS NULL));

CREATE INDEX stages_by_deadline ON stagebus_data.stages USING btree (deadline) WHERE ((deadline IS NOT NULL) AND (ended_at IS NULL));

CREATE INDEX waiting_retries_by_due_time ON stagebus_data.waiting_retries USING btree (due_at);

ALTER INDEX stagebus_data.tasks_pkey ATTACH PARTITION stagebus_data.tasks_from_WEEK_pkey;

ALTER INDEX stagebus_data.tasks_pkey ATTACH PARTITION stagebus_data.tasks_from_WEEK_pkey;

ALTER TABLE ONLY stagebus_data.batches
    ADD CONSTRAINT batches_destination_fkey FOREIGN KEY (destination) REFERENCES stagebus_data.destinations(destination);

ALTER TABLE ONLY stagebus_data.batches
    ADD CONSTRAINT batches_job_id_stage_fkey FOREIGN KEY (job_id, stage) REFERENCES stagebus_data.stages(job_id, stage) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.dead_letters
    ADD CONSTRAINT dead_letters_destination_fkey FOREIGN KEY (destination) REFERENCES stagebus_data.destinations(destination);

ALTER TABLE ONLY stagebus_data.due_advances
    ADD CONSTRAINT due_advances_job_id_fkey FOREIGN KEY (job_id) REFERENCES stagebus_data.jobs(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.job_advances
    ADD CONSTRAINT job_advances_job_id_fkey FOREIGN KEY (job_id) REFERENCES stagebus_data.jobs(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.job_dedupe_keys
    ADD CONSTRAINT job_dedupe_keys_job_id_fkey FOREIGN KEY (job_id) REFERENCES stagebus_data.jobs(job_id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY stagebus_data.job_messages
    ADD CONSTRAINT job_messages_job_id_batch_id_fkey FOREIGN KEY (job_id, batch_id) REFERENCES stagebus_data.batches(job_id, batch_id) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.jobs
    ADD CONSTRAINT jobs_job_type_plan_version_fkey FOREIGN KEY (job_type, plan_version) REFERENCES stagebus_data.plans(job_type, version);

ALTER TABLE ONLY stagebus_data.plan_stages
    ADD CONSTRAINT plan_stages_job_type_version_fkey FOREIGN KEY (job_type, version) REFERENCES stagebus_data.plans(job_type, version) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.plan_stages
    ADD CONSTRAINT plan_stages_task_type_fkey FOREIGN KEY (task_type) REFERENCES stagebus_data.task_types(task_type);

ALTER TABLE ONLY stagebus_data.sends
    ADD CONSTRAINT sends_job_id_batch_id_fkey FOREIGN KEY (job_id, batch_id) REFERENCES stagebus_data.batches(job_id, batch_id) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.stages
    ADD CONSTRAINT stages_destination_fkey FOREIGN KEY (destination) REFERENCES stagebus_data.destinations(destination);

ALTER TABLE ONLY stagebus_data.stages
    ADD CONSTRAINT stages_job_id_fkey FOREIGN KEY (job_id) REFERENCES stagebus_data.jobs(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY stagebus_data.stages
    ADD CONSTRAINT stages_task_type_fkey FOREIGN KEY (task_type) REFERENCES stagebus_data.task_types(task_type);

ALTER TABLE ONLY stagebus_data.task_types
    ADD CONSTRAINT task_types_destination_fkey FOREIGN KEY (destination) REFERENCES stagebus_data.destinations(destination);

REVOKE ALL ON TYPE stagebus_data.attempt FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.batch_kind FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.batch_state FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.counter FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.ending FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.job_state FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.nonce FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.on_failure FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.parameters FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.stage_state FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.task_state FROM PUBLIC;

REVOKE ALL ON TYPE stagebus_data.tolerated_failures FROM PUBLIC;
