"""Defects of sql/50_operate: what an operator's word is worth while others work."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ORDERS = "tests/operate/test_orders.py"
REPAIR = "tests/operate/test_repair_job.py"
HELD = f"{ORDERS}::test_a_held_batch_is_taken_from_its_bridge_and_goes_on_when_it_is_let_go"

MUTANTS = (
    Mutant(
        "counters-are-repaired-while-others-count",
        "sql/50_operate/repair_job.sql",
        "        perform stagebus.lock_counters(p_job_id);\n",
        "",
        "a completion that is under way is counted twice",
        (f"{REPAIR}::test_a_worker_that_completes_meanwhile_is_counted_once",),
    ),
    Mutant(
        "a-task-that-was-in-no-batch-keeps-its-attempt",
        "sql/50_operate/repair_tasks.sql",
        "set state = 'retry_wait', attempt = t.attempt + 1\n",
        "set state = 'retry_wait'\n",
        "its message has an id that the broker has seen, and is dropped",
        (f"{REPAIR}::test_a_task_in_no_batch_is_published_with_an_id_that_no_broker_has_seen",),
    ),
    Mutant(
        "a-repaired-stage-stays-as-it-ended",
        "sql/50_operate/repair_ends.sql",
        "            perform stagebus.reopen_stage(p_job_id, v_stage.stage);\n",
        "            null;\n",
        "its open tasks can be started by nobody",
        (f"{REPAIR}::test_what_was_damaged_is_mended_and_the_work_goes_on",),
    ),
    Mutant(
        "a-cancelling-misses-the-stage-that-is-just-made",
        "sql/50_operate/cancel_job.sql",
        "s.ended_at is null and s.stage <> all (v_stages));\n",
        "s.ended_at is null and s.stage < any (v_stages));\n",
        "a job that is being cancelled runs a whole stage",
        (
            "tests/operate/test_orders_at_once.py"
            "::test_a_stage_that_is_made_while_its_job_is_cancelled_is_cancelled_with_it",
        ),
    ),
    Mutant(
        "a-hold-forgets-what-was-sent",
        "sql/50_operate/hold_batch.sql",
        """    perform stagebus.record_unreported_send(
        p_job_id, p_batch_id, 'the batch was held before the bridge reported');
""",
        "",
        "what the batch's bridge had sent goes out again, and no row explains it",
        (HELD,),
    ),
    Mutant(
        "a-cancelled-batch-forgets-what-was-sent",
        "sql/50_operate/work_cancelling.sql",
        """        perform stagebus.record_unreported_send(
            v_batch.job_id, v_batch.batch_id, 'the batch was cancelled before the bridge reported');
""",
        "",
        "messages of a cancelled stage arrive that the ledger knows nothing of",
        (
            "tests/operate/test_working_off_a_cancelling.py::"
            "test_what_a_bridge_may_have_sent_of_a_cancelled_batch_is_in_the_ledger",
        ),
    ),
    Mutant(
        "a-cancelling-counts-what-has-ended",
        "sql/50_operate/work_cancelling.sql",
        "        where l.state is null or l.state in ('processing', 'retry_wait')),"
        " array[]::integer[])\n",
        "        where l.state is null or l.state <> 'completed'), array[]::integer[])\n",
        "a task that had failed is counted as cancelled too",
        (f"{ORDERS}::test_a_cancelling_whose_first_tasks_have_all_ended_comes_to_the_others",),
    ),
    Mutant(
        "a-cancelling-never-looks-back",
        "sql/50_operate/work_cancelling.sql",
        "        index_reached = coalesce(v_last, 0)\n",
        "        index_reached = coalesce(v_last, o.index_reached)\n",
        "a task that came back behind a step stays, and the order never ends",
        (
            "tests/operate/test_working_off_a_cancelling.py"
            "::test_what_came_back_behind_a_step_is_cancelled_too",
        ),
    ),
    Mutant(
        "a-cancelling-does-not-wait-for-a-completion",
        "sql/50_operate/work_cancelling.sql",
        """        limit p_limit
        for no key update
    ) as l;
""",
        """        limit p_limit
    ) as l;
""",
        "a task that completes meanwhile is counted twice",
        (
            "tests/operate/test_orders_at_once.py::test_a_task_that_is_being_completed_is_not_cancelled",
        ),
    ),
    Mutant(
        "an-operators-retry-is-the-same-attempt",
        "sql/50_operate/work_retry_tasks.sql",
        "            update tasks as t set state = 'retry_wait', attempt = t.attempt + 1\n",
        "            update tasks as t set state = 'retry_wait', attempt = t.attempt\n",
        "the broker drops what was retried, as a duplicate",
        (f"{ORDERS}::test_a_retried_task_has_one_more_attempt_whatever_its_type_allows",),
    ),
    Mutant(
        "a-retry-of-a-stage-whose-job-is-cancelled",
        "sql/50_operate/retry_tasks.sql",
        "        or (select j.cancelling and j.ended_at is null"
        " from jobs as j where j.job_id = p_job_id)\n",
        "",
        "an order whose every step fails, since the stage cannot reopen",
        (
            "tests/operate/test_orders_at_once.py"
            "::test_a_stage_of_a_job_that_is_being_cancelled_is_not_retried",
        ),
    ),
    Mutant(
        "a-stage-is-judged-while-the-next-one-is-made",
        "sql/50_operate/set_stage.sql",
        "        where j.job_id = p_job_id\n        for no key update;\n",
        "        where j.job_id = p_job_id;\n",
        "what the job has acted on already is told otherwise",
        (
            "tests/operate/test_orders_at_once.py"
            "::test_a_stage_is_not_judged_again_while_the_next_one_is_made",
        ),
    ),
    Mutant(
        "a-retry-goes-on-in-a-stage-that-is-cancelled",
        "sql/50_operate/work_retry_tasks.sql",
        "    if v_stage.ended_at is null and v_stage.ending is not null or (\n",
        "    if v_stage.ended_at is null and v_stage.ending = 'deadline' or (\n",
        "what had failed is cancelled, and its error is gone",
        (
            "tests/operate/test_orders_at_once.py"
            "::test_a_retry_is_over_when_its_stage_is_cancelled_after_it",
        ),
    ),
    Mutant(
        "a-retry-takes-what-has-changed-since-it-looked",
        "sql/50_operate/work_retry_tasks.sql",
        """        where t.state = v_status
        order by t.task_index
        limit v_left
        for no key update of t
""",
        """        where t.state = v_status
        order by t.task_index
        limit v_left
""",
        "two orders retry a task twice",
        (
            "tests/operate/test_orders_at_once.py::"
            "test_a_task_that_two_orders_retry_gets_one_more_attempt",
        ),
    ),
    Mutant(
        "a-retry-of-a-batch-ends-later-attempts",
        "sql/50_operate/work_retry_batch.sql",
        " and r.started_at <= p_order.ordered_at\n",
        "\n",
        "the attempts that an order has made possible are ended by it",
        ("tests/operate/test_retrying_a_batch.py::test_attempts_that_began_after_the_order_go_on",),
    ),
    Mutant(
        "a-stopped-cancelling-publishes-nothing-again",
        "sql/50_operate/stop_order.sql",
        "            if v_unstarted > 0 then\n",
        "            if v_batch.state = 'cancelled' then\n",
        "tasks whose messages were turned away meanwhile wait for their start_timeout",
        (f"{ORDERS}::test_stopping_a_cancelling_publishes_again_what_nobody_started",),
    ),
    Mutant(
        "a-pause-of-an-operator-is-tried",
        "sql/50_operate/pause_destination.sql",
        ", session_user), 8192),\n        probe_at = null\n",
        ", session_user), 8192)\n",
        "a destination that a bridge had paused before is sent to all the same",
        ("tests/operate/test_destinations.py::test_a_pause_by_a_bridge_becomes_an_operators",),
    ),
    Mutant(
        "a-resumed-destination-tells-nobody",
        "sql/50_operate/resume_destination.sql",
        "    notify stagebus_ready;\n",
        "",
        "what waited for the destination waits for the next poll",
        ("tests/operate/test_notifications.py",),
    ),
    Mutant(
        "an-unheld-batch-keeps-what-was-spent",
        "sql/50_operate/unhold_batch.sql",
        "        publish_attempts = 0,\n",
        "",
        "a batch that an operator lets go fails at its first trouble",
        (
            "tests/operate/test_retrying_a_batch.py::test_a_batch_that_is_let_go_has_all_its_attempts",
        ),
    ),
    Mutant(
        "a-batch-is-ordered-about-under-a-cancelling",
        "sql/50_operate/lock_batch.sql",
        "    if v_ending is not null and v_batch.kind = 'tasks' then\n",
        "    if v_ending = 'deadline' and v_batch.kind = 'tasks' then\n",
        "what is being cancelled is published again",
        (
            "tests/operate/test_retrying_a_batch.py::test_nothing_is_ordered_for_a_batch_whose_stage_is_being_cancelled",
        ),
    ),
    Mutant(
        "a-retry-of-a-batch-ends-attempts-of-another",
        "sql/50_operate/running_in_batch.sql",
        "            else m.batch_id is null end\n",
        "            else true end\n",
        "a task that was tried again elsewhere loses its attempt",
        (
            "tests/operate/test_retrying_a_batch.py::test_tasks_that_moved_to_another_batch_are_left_to_it",
        ),
    ),
    Mutant(
        "a-batch-counts-tasks-that-moved",
        "sql/30_settle/unstarted_tasks.sql",
        "m.stage = t.stage and m.task_index = t.task_index)\n",
        "m.stage = t.stage and m.task_index = t.task_index\n"
        "                    and m.batch_id = p_batch.batch_id)\n",
        "a batch of which nothing is left is published again, and again",
        (
            "tests/operate/test_retrying_a_batch.py::test_tasks_that_moved_to_another_batch_are_left_to_it",
        ),
    ),
    Mutant(
        "an-unheld-batch-tells-nobody",
        "sql/50_operate/unhold_batch.sql",
        "    notify stagebus_ready;\n",
        "",
        "what an operator lets go waits for the next poll",
        ("tests/operate/test_notifications.py",),
    ),
    Mutant(
        "an-unheld-batch-is-held-again",
        "sql/50_operate/unhold_batch.sql",
        """        ready_at = v_now,
        -- Whoever lets it go has decided about what may have arrived.
        unanswered_since = null,
        unanswered_through = null
""",
        """        ready_at = v_now
""",
        "an operator decides about old repeats, and the next claim decides otherwise",
        ("tests/dispatch/test_old_repeats.py::test_after_it_the_batch_is_held_and_says_why",),
    ),
    Mutant(
        "a-retried-batch-is-held",
        "sql/50_operate/retry_batch.sql",
        """            ready_at = v_now,
            unanswered_since = null,
            unanswered_through = null
""",
        """            ready_at = v_now
""",
        "an operator retries a batch that failed, and the next claim holds it",
        (
            "tests/dispatch/test_old_repeats.py"
            "::test_a_failed_batch_that_an_operator_retries_is_not_held",
        ),
    ),
    Mutant(
        "undoing-takes-back-what-others-had-cancelled",
        "sql/50_operate/undo_order.sql",
        "            and (s.ended_at is null or s.ended_at >= v_order.ordered_at)\n",
        "",
        "a stage that was cancelled on purpose long before runs again",
        (
            "tests/operate/test_undoing_a_cancelling.py"
            "::test_what_another_order_had_cancelled_before_stays_cancelled",
        ),
    ),
    Mutant(
        "two-sessions-maintain-at-once",
        "sql/50_operate/maintain.sql",
        "pg_try_advisory_xact_lock(",
        "pg_try_advisory_xact_lock_shared(",
        "every bridge sweeps, and they wait for each other",
        ("tests/workers/test_retries.py::test_maintenance_is_done_by_one_session_at_a_time",),
    ),
    Mutant(
        "a-stage-that-a-later-one-follows-reopens-its-job",
        "sql/50_operate/went_past.sql",
        "where s.job_id = p_job_id and s.stage > p_stage and s.name is null)\n",
        "where s.job_id = p_job_id and s.stage > p_stage and s.name is null"
        " and s.ended_at is not null)\n",
        "a retry in an early stage makes the job advance from it a second time",
        ("tests/workers/test_stage_policy.py",),
    ),
    Mutant(
        "redrive-retries-whatever-failed",
        "sql/50_operate/redrive.sql",
        "        'dead letter: ' || redrive.error,",
        "        '%' || redrive.error,",
        "what a worker failed goes out again, too",
        ("tests/operate/test_redrive.py::test_each_comes_back_once_with_another_message",),
    ),
    Mutant(
        "a-limit-counts-for-each-step",
        "sql/50_operate/work_retry_tasks.sql",
        "(p_order.details ->> 'at_most')::integer - p_order.tasks_done;",
        "(p_order.details ->> 'at_most')::integer;",
        "an order that was to retry a few retries all",
        ("tests/operate/test_redrive.py::test_a_limit_holds_over_several_steps",),
    ),
)
