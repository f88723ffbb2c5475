"""Defects of sql/00_support and sql/10_create: what is made once, and what it is called."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TWO = "tests/create/test_two_producers.py"

#: How lay_out_stage makes its batches.
INSERT = """        insert into batches (
            job_id, batch_id, stage, destination, first_index, last_index, task_count,
            ready_at, published_through, created_at)
        select
            p_job_id, gen_random_uuid(), p_stage, v_stage.destination, cut.first_index,
            cut.last_index, cut.last_index - cut.first_index + 1, v_now, cut.first_index - 1, v_now
        from (
            select f as first_index,
                least(f::bigint + v_size - 1, v_stage.task_count)::integer as last_index
            from generate_series(1, v_stage.task_count, v_size) as f
        ) as cut
        order by cut.first_index;
"""

MUTANTS = (
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
        "sql/10_create/create_job.sql",
        "            return v_owner;\n",
        "",
        "the same request made twice is two jobs",
        ("tests/create/test_create_job.py::test_the_same_key_gives_the_same_job",),
    ),
    Mutant(
        "a-dedupe-key-works-in-any-isolation",
        "sql/10_create/create_job.sql",
        "        perform stagebus.require_read_committed('create_job with a dedupe key');\n",
        "",
        "a key that another session has just used gives no job at all",
        ("tests/create/test_create_job.py::test_a_dedupe_key_needs_read_committed",),
    ),
    Mutant(
        "the-nonce-is-the-jobs",
        "sql/10_create/open_stage.sql",
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
        """        perform stagebus.hint_bridges(v_stage.destination);
"""
        + INSERT,
        INSERT
        + """        perform stagebus.hint_bridges(v_stage.destination);
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
        "    select j.state into v_state from jobs as j"
        " where j.job_id = p_job_id for no key update;\n",
        "    select j.state into v_state from jobs as j where j.job_id = p_job_id;\n",
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
