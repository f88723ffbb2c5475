"""Defects of sql/00_support and sql/10_create: what is made once, and what it is called."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TWO = "tests/create/test_two_producers.py"

ATOMIC = "tests/create/test_atomic_batches.py"
SIZES = "tests/create/test_sizes_of_sends.py"
ESTIMATE = "tests/create/test_estimate_stage_tasks.py"

#: How lay_out_stage makes its batches.
INSERT = """        insert into batches (
            job_id, batch_id, stage, destination, atomic, first_index, last_index, task_count,
            turn, ready_at, published_through, created_at)
        select
            p_stage.job_id, gen_random_uuid(), p_stage.stage, p_stage.destination, p_stage.atomic,
            cut.first_index, cut.last_index, cut.last_index - cut.first_index + 1,
            v_turn + cut.last_index * v_step, v_now, cut.first_index - 1, v_now
        from stagebus.cut_batches(p_stage, v_type) as cut
        order by cut.first_index;
        get diagnostics v_batches = row_count;
"""

MUTANTS = (
    Mutant(
        "an-estimate-forgets-that-numbers-get-longer",
        "sql/10_create/count_sends.sql",
        "p_bytes_per_digit * length(v_next::text)",
        "p_bytes_per_digit * length(p_first_index::text)",
        "a stage is said to go out in fewer sends than it does",
        (f"{ESTIMATE}::test_it_is_exactly_what_is_made_of_numbered_tasks",),
    ),
    Mutant(
        "weeks-follow-the-sessions-clocks",
        "sql/00_support/ensure_partition.sql",
        "stagebus.first_job_id_at(v_monday + interval '168 hours')",
        "stagebus.first_job_id_at(v_monday + interval '7 days')",
        "no job can be made in the week after the one in which clocks change",
        (
            "tests/create/test_ids.py"
            "::test_a_week_in_which_clocks_change_ends_where_the_next_begins",
        ),
    ),
    Mutant(
        "weeks-begin-at-the-sessions-midnight",
        "sql/00_support/ensure_partition.sql",
        "date_trunc('week', p_at at time zone 'UTC') at time zone 'UTC'",
        "date_trunc('week', p_at)",
        "two sessions in different zones make partitions that overlap",
        ("tests/create/test_ids.py::test_the_weeks_do_not_depend_on_the_sessions_time_zone",),
    ),
    Mutant(
        "a-dedupe-key-gives-another-job",
        "sql/10_create/add_job.sql",
        """                job_id := v_known;
                is_new := false;
                return next;
                return;
""",
        "                exit;\n",
        "the same request made twice is two jobs",
        ("tests/create/test_create_job.py::test_the_same_key_gives_the_same_job",),
    ),
    Mutant(
        "a-dedupe-key-works-in-any-isolation",
        "sql/10_create/add_job.sql",
        "        perform stagebus.require_read_committed('a job with a dedupe key');\n",
        "",
        "a key that another session has just used gives no job at all",
        ("tests/create/test_create_job.py::test_a_dedupe_key_needs_read_committed",),
    ),
    Mutant(
        "the-nonce-is-the-jobs",
        "sql/10_create/add_stage.sql",
        "right(replace(gen_random_uuid()::text, '-', ''), 10)",
        "right(p_job_id::text, 10)",
        "the messages of a stage that is made again after a rollback are dropped as duplicates",
        (
            "tests/dispatch/test_batch_messages.py"
            "::test_the_same_job_made_again_has_other_message_ids",
        ),
    ),
    Mutant(
        "a-stage-is-opened-while-its-job-is-finished",
        "sql/10_create/open_stage.sql",
        "    select j.* into v_job from jobs as j where j.job_id = p_job_id for no key update;\n",
        "    select j.* into v_job from jobs as j where j.job_id = p_job_id;\n",
        "a job that has ended gets a stage",
        (f"{TWO}::test_a_stage_is_not_made_under_a_job_that_is_being_finished",),
    ),
    Mutant(
        "a-stage-is-opened-under-a-cancelling",
        "sql/10_create/open_stage.sql",
        "    if v_job.cancelling then\n",
        "    if v_job.cancelling and v_job.ended_at is not null then\n",
        "an operator cancels a job, and its controller goes on with it",
        ("tests/operate/test_orders.py::test_cancelling_is_obeyed_from_the_commit_on",),
    ),
    Mutant(
        "an-append-does-not-wait-for-a-seal",
        "sql/10_create/lock_filling_stage.sql",
        """    where s.job_id = p_job_id and s.stage = p_stage
    for update;
""",
        """    where s.job_id = p_job_id and s.stage = p_stage;
""",
        "tasks are added to a stage that was just cut into batches, and belong to none",
        (f"{TWO}::test_an_append_waits_for_a_seal",),
    ),
    Mutant(
        "a-seal-tells-after-it-has-made-its-batches",
        "sql/10_create/lay_out_stage.sql",
        """        perform stagebus.hint_bridges(p_stage.destination);
"""
        + INSERT,
        INSERT
        + """        perform stagebus.hint_bridges(p_stage.destination);
""",
        "every new stage waits for the next poll: it finds its own batches waiting",
        ("tests/create/test_notifications.py::test_a_creation_is_notified_once_at_its_commit",),
    ),
    Mutant(
        "the-last-slot-is-as-full-as-the-others",
        "sql/10_create/lay_out_stage.sql",
        "                - nth % part.lanes + part.lanes - 1) / part.lanes\n",
        "                + part.lanes - 1) / part.lanes\n",
        "slots wait for tasks that do not exist, and the stage never ends",
        ("tests/create/test_counter_layout.py",),
    ),
    Mutant(
        "a-stage-is-atomic-as-its-type-is-at-the-seal",
        "sql/10_create/cut_batches.sql",
        "    if p_stage.atomic then\n",
        "    if p_type.atomic then\n",
        "batches that must go out in one send are cut to no size of one",
        (f"{ATOMIC}::test_a_stage_is_atomic_as_its_type_was_when_it_was_opened",),
    ),
    Mutant(
        "an-atomic-batch-leaves-no-room-for-the-envelope",
        "sql/10_create/cut_atomic_batches.sql",
        "    select d.max_send_bytes - 512 as bytes,",
        "    select d.max_send_bytes as bytes,",
        "full batches never fit in the bridge's send, and all fail",
        (f"{ATOMIC}::test_a_by_stage_stage_is_one_send_to_the_last_byte",),
    ),
    Mutant(
        "an-atomic-batch-has-as-many-tasks-as-its-type-says",
        "sql/10_create/cut_atomic_batches.sql",
        "    v_size := least(v_limit.messages, case",
        "    v_size := (case",
        "a batch of small messages is more than the broker counts in a send",
        (f"{ATOMIC}::test_a_batch_has_no_more_tasks_than_its_type_or_its_destination_says",),
    ),
    Mutant(
        "numbered-tasks-are-as-large-as-the-first",
        "sql/10_create/cut_atomic_batches.sql",
        "v_frame.fixed, v_frame.numbered, v_frame.common, null, v_count, 1);",
        "v_frame.fixed, v_frame.numbered, v_frame.common, null, 1, 1);",
        "the batches of a long stage do not fit in a send",
        (f"{ATOMIC}::test_numbered_tasks_fill_sends",),
    ),
    Mutant(
        "tasks-with-parameters-of-their-own-are-taken-for-numbered-ones",
        "sql/10_create/account_for_tasks.sql",
        "    v_stage.own_parameters := true;\n",
        "",
        "batches of large tasks do not fit in a send",
        (f"{ATOMIC}::test_tasks_with_parameters_of_their_own_fill_sends",),
    ),
    Mutant(
        "a-stage-that-fits-in-no-send-cannot-be-cancelled",
        "sql/10_create/cut_atomic_batches.sql",
        "    v_by_stage boolean := p_type.boundary = 'by_stage' and p_stage.ending is null;\n",
        "    v_by_stage boolean := p_type.boundary = 'by_stage';\n",
        "nothing ends the stage, nor its job",
        (f"{ATOMIC}::test_a_stage_that_cannot_be_sealed_can_be_cancelled",),
    ),
    Mutant(
        "a-task-that-fits-in-no-send-cannot-be-cancelled",
        "sql/10_create/cut_atomic_batches.sql",
        "        if found and p_stage.ending is null then\n",
        "        if found then\n",
        "nothing ends the stage, nor its job",
        (f"{ATOMIC}::test_a_stage_that_cannot_be_sealed_can_be_cancelled",),
    ),
    Mutant(
        "the-last-batch-of-a-run-ends-with-it",
        "sql/10_create/cut_atomic_batches.sql",
        "        if v_next <= v_count then\n",
        "        if v_next < v_first then\n",
        "a stage has a small batch after each 200,000 tasks",
        (f"{ATOMIC}::test_stages_longer_than_a_run_of_the_packing_have_no_seam",),
    ),
    Mutant(
        "a-send-takes-one-task-more",
        "sql/10_create/pack_sends.sql",
        "v_ordinal - v_start >= p_max_messages",
        "v_ordinal - v_start > p_max_messages",
        "full batches do not fit in the bridge's send",
        (f"{ATOMIC}::test_pack_sends_is_greedy_and_keeps_both_limits",),
    ),
    Mutant(
        "dispatches-have-one-digit",
        "sql/10_create/message_frame.sql",
        "octet_length('.2147483647.')",
        "octet_length('.1.')",
        "a full batch that is published again for the tenth time fails",
        (f"{SIZES}::test_with_all_the_digits_that_there_can_be_they_are_enough",),
    ),
    Mutant(
        "common-parameters-weigh-nothing",
        "sql/10_create/message_bytes.sql",
        "        else octet_length((p_common || p_parameters)::text) end;\n",
        "        else octet_length(p_parameters::text) end;\n",
        "batches of stages with common parameters do not fit in a send",
        (f"{SIZES}::test_they_are_the_sdks_and_little_more",),
    ),
    Mutant(
        "a-long-task-type-weighs-as-a-short-one",
        "sql/10_create/message_frame.sql",
        "case when octet_length(p_stage.task_type) > 128 then 63 else 54 end",
        "54",
        "batches of a type with a long name do not fit in a send",
        (f"{SIZES}::test_with_all_the_digits_that_there_can_be_they_are_enough",),
    ),
    Mutant(
        "a-job-with-a-failed-stage-has-only-errors",
        "sql/10_create/finish_job.sql",
        "        when bool_or(s.state = 'failed') then 'failed'\n",
        "",
        "a job whose failed stage nobody mended passes for done",
        (
            "tests/create/test_finish_job.py"
            "::test_a_failed_stage_that_nobody_mended_makes_it_failed",
        ),
    ),
    Mutant(
        "a-job-is-finished-under-an-open-stage",
        "sql/10_create/finish_job.sql",
        "    where s.job_id = p_job_id and s.ended_at is null\n",
        "    where s.job_id = p_job_id and s.state = 'open'\n",
        "a stage that is being filled is left in a job that has ended",
        ("tests/create/test_finish_job.py::test_a_stage_that_has_not_ended_is_in_the_way",),
    ),
    Mutant(
        "a-job-is-finished-while-a-stage-is-opened",
        "sql/10_create/finish_job.sql",
        "    where j.job_id = p_job_id\n    for no key update;\n",
        "    where j.job_id = p_job_id;\n",
        "a stage that is being made is left in a job that has ended",
        (f"{TWO}::test_a_job_is_not_finished_under_a_stage_that_is_being_made",),
    ),
    Mutant(
        "a-stage-leaves-its-job-due",
        "sql/10_create/open_stage.sql",
        "    delete from due_advances as d where d.job_id = p_job_id and d.stage < p_stage;\n",
        "",
        "a controller that looks at what is due makes the stage a second time",
        ("tests/create/test_create_stage_tasks.py::test_the_next_stage_settles_what_was_due",),
    ),
)
