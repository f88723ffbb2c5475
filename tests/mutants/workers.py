"""Defects of sql/40_workers: who may start, go on and finish, and what follows a failure."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

START = "tests/workers/test_start_tasks.py"
COMPLETE = "tests/workers/test_complete_tasks.py"
FAIL = "tests/workers/test_fail_tasks.py"
RETRIES = "tests/workers/test_retries.py"
TWO = "tests/workers/test_two_workers.py"
ATOMIC = "tests/workers/test_atomic_retries.py"
DEAD = "tests/workers/test_dead_letters.py"
DEAD_LETTERS = "sql/40_workers/record_dead_letters.sql"
START_TASKS = "sql/40_workers/start_tasks.sql"
ISOLATION = (
    "tests/bad_input/test_any_value_anywhere.py"
    "::test_what_decides_on_rows_of_others_refuses_another_isolation_level"
)

MUTANTS = (
    Mutant(
        "an-attempt-is-taken-over-before-its-lease-ended",
        START_TASKS,
        "                when r.lease_until < v_now then 'run'\n",
        "                when r.started_at + ty.timeout < v_now then 'run'\n",
        "a worker that said it was alive loses its task to a redelivered message",
        (f"{START}::test_a_heartbeat_extends_the_lease",),
    ),
    Mutant(
        "a-takeover-keeps-the-old-lease",
        START_TASKS,
        """        on conflict on constraint running_attempts_pkey do update set
            worker = excluded.worker,
            started_at = excluded.started_at,
            lease_until = excluded.lease_until
""",
        """        on conflict on constraint running_attempts_pkey do nothing
""",
        "the sweep ends the attempt under the worker that has just taken it over",
        (f"{TWO}::test_a_sweep_passes_over_a_task_that_is_taken_over",),
    ),
    Mutant(
        "a-repeated-start-is-anothers",
        START_TASKS,
        "                when t.token = p_token then 'run'\n",
        "",
        "a worker whose answer was lost completes the message, and the task waits for the sweep",
        (f"{START}::test_the_same_token_again_runs_again",),
    ),
    Mutant(
        "start-tasks-takes-a-message-without-a-nonce",
        START_TASKS,
        "                when t.job_id is null or s.nonce is distinct from a.nonce\n",
        "                when t.job_id is null or s.nonce <> a.nonce\n",
        "a message of nobody knows which stage starts a task",
        (f"{START}::test_what_the_database_does_not_know_is_a_ghost",),
    ),
    Mutant(
        "start-tasks-ignores-the-nonce",
        START_TASKS,
        "                when t.job_id is null or s.nonce is distinct from a.nonce\n",
        "                when t.job_id is null or a.nonce is null\n",
        "the message of a stage that was rolled back starts a task of its repetition",
        (f"{START}::test_a_message_of_a_rolled_back_stage_is_a_ghost_of_the_next",),
    ),
    Mutant(
        "an-old-attempt-starts",
        START_TASKS,
        "                when a.attempt < t.attempt or t.state = 'retry_wait' then 'stale'\n",
        "                when t.state = 'retry_wait' then 'stale'\n",
        "a redelivered message of a lost attempt runs as the next one, beside its own message",
        (f"{START}::test_an_old_attempt_is_stale",),
    ),
    Mutant(
        "an-attempt-of-the-future-starts",
        START_TASKS,
        "                    or a.attempt is null or a.attempt > t.attempt\n",
        "                    or a.attempt is null\n",
        "after a failover that lost the retry, its message runs as the attempt before",
        (f"{START}::test_what_the_database_does_not_know_is_a_ghost",),
    ),
    Mutant(
        "a-task-that-waits-for-its-retry-starts",
        START_TASKS,
        "                when a.attempt < t.attempt or t.state = 'retry_wait' then 'stale'\n",
        "                when a.attempt < t.attempt then 'stale'\n",
        "a worker is told to run what the database does not count as running",
        (f"{START}::test_the_next_attempt_does_not_start_before_it_was_gathered",),
    ),
    Mutant(
        "start-tasks-does-not-see-a-cancelling",
        START_TASKS,
        "                when s.ending is not null then 'cancelled'\n",
        "",
        "work begins that an operator has called off",
        ("tests/operate/test_orders.py::test_cancelling_is_obeyed_from_the_commit_on",),
    ),
    Mutant(
        "a-filling-stage-can-be-started",
        START_TASKS,
        "                when s.state not in ('open', 'provisional') then 'ghost'\n",
        "                when s.ended_at is not null then 'ghost'\n",
        "a task runs, and ends, before the counters that count it are there",
        (f"{START}::test_a_filling_stage_cannot_be_started",),
    ),
    Mutant(
        "start-tasks-locks-nothing",
        START_TASKS,
        "    perform stagebus.lock_tasks(p_task_ids);\n",
        "",
        "two workers that ask at once are both told to run",
        (f"{TWO}::test_two_starts_give_one_run",),
    ),
    Mutant(
        "tasks-are-locked-in-the-callers-order",
        "sql/40_workers/lock_tasks.sql",
        "        order by t.job_id, t.stage, t.task_index\n",
        "        order by i.ordinal\n",
        "two calls with the same tasks deadlock",
        (f"{TWO}::test_tasks_are_locked_in_key_order",),
    ),
    Mutant(
        "complete-tasks-locks-in-the-callers-order",
        "sql/40_workers/complete_tasks.sql",
        "        order by t.job_id, t.stage, t.task_index\n        for no key update of t\n",
        "        order by i.ordinal\n        for no key update of t\n",
        "two calls with the same tasks deadlock",
        (f"{TWO}::test_tasks_are_locked_in_key_order",),
    ),
    Mutant(
        "complete-task-ignores-the-token",
        "sql/40_workers/complete_task.sql",
        "            and t.state = 'processing' and t.token = p_token;\n",
        "            and t.state = 'processing' and t.token is not null;\n",
        "a worker whose attempt was taken over completes it for its heir",
        (f"{TWO}::test_a_completion_after_a_takeover_does_not",),
    ),
    Mutant(
        "complete-task-counts-the-last-of-a-slot-itself",
        "sql/40_workers/complete_task.sql",
        "stagebus.slot_of(v_index) and s.open_tasks > 1;\n",
        "stagebus.slot_of(v_index) and s.open_tasks > 0;\n",
        "the slot is not rolled up into its group, and the stage never ends",
        (f"{TWO}::test_the_stage_stays_open_when_one_of_the_last_completions_is_rolled_back",),
    ),
    Mutant(
        "complete-tasks-answers-any-token",
        "sql/40_workers/complete_tasks.sql",
        "when l.state in ('processing', 'completed') and l.token = p_token then 'completed'\n",
        "when l.state in ('processing', 'completed') then 'completed'\n",
        "a worker believes that its work counts, and it was another's",
        (f"{COMPLETE}::test_every_other_verdict_changes_nothing",),
    ),
    Mutant(
        "a-repeated-completion-is-anothers",
        "sql/40_workers/complete_tasks.sql",
        "when l.state in ('processing', 'completed') and l.token = p_token then 'completed'\n",
        "when l.state = 'processing' and l.token = p_token then 'completed'\n",
        "a worker whose answer was lost believes that its work does not count",
        (f"{COMPLETE}::test_completed_again_by_the_same_token_counts_once",),
    ),
    Mutant(
        "a-lost-attempt-still-completes",
        "sql/40_workers/complete_task.sql",
        "            and t.state = 'processing' and t.token = p_token;\n",
        "            and t.state <> 'completed' and t.token = p_token;\n",
        "a task in wait for its retry is completed and counted, and then runs again",
        (f"{COMPLETE}::test_a_lost_attempt_completes_nothing",),
    ),
    Mutant(
        "a-heartbeat-of-any-token",
        "sql/40_workers/heartbeat_tasks.sql",
        "        where t.state = 'processing' and t.token = p_token\n",
        "        where t.state = 'processing'\n",
        "two workers keep one attempt alive, and neither stops",
        (f"{START}::test_a_heartbeat_of_a_task_that_is_no_longer_ones_own_is_null",),
    ),
    Mutant(
        "fail-tasks-ignores-the-token",
        "sql/40_workers/fail_tasks.sql",
        "        where t.state = 'processing' and t.token = p_token\n",
        "        where t.state = 'processing'\n",
        "a worker that lost its attempt fails its heir's",
        (f"{FAIL}::test_what_is_not_the_tokens_changes_nothing_and_says_why",),
    ),
    Mutant(
        "fail-tasks-runs-in-any-isolation",
        "sql/40_workers/fail_tasks.sql",
        "    perform stagebus.require_read_committed('fail_tasks');\n",
        "",
        "rows are locked and then read as they were before",
        (ISOLATION,),
    ),
    Mutant(
        "a-failure-told-again-is-anothers",
        "sql/40_workers/fail_tasks.sql",
        "            when t.state = 'failed' and t.token = p_token then 'failed'\n",
        "",
        "a worker whose answer was lost is told that its failure does not count",
        (f"{FAIL}::test_a_repeated_failure_is_answered_as_the_first_time",),
    ),
    Mutant(
        "heartbeat-tasks-locks-nothing",
        "sql/40_workers/heartbeat_tasks.sql",
        "    perform stagebus.lock_tasks(p_task_ids);\n",
        "",
        "a worker whose attempt is being taken over extends its heir's lease",
        (f"{TWO}::test_whatever_comes_after_a_takeover_is_too_late",),
    ),
    Mutant(
        "fail-tasks-locks-nothing",
        "sql/40_workers/fail_tasks.sql",
        "    perform stagebus.lock_tasks(p_task_ids);\n",
        "",
        "a worker whose attempt is being taken over fails its heir's",
        (f"{TWO}::test_whatever_comes_after_a_takeover_is_too_late",),
    ),
    Mutant(
        "complete-tasks-locks-nothing",
        "sql/40_workers/complete_tasks.sql",
        "        order by t.job_id, t.stage, t.task_index\n        for no key update of t\n",
        "        order by t.job_id, t.stage, t.task_index\n",
        "a worker whose attempt is being taken over believes that it has completed it",
        (f"{TWO}::test_whatever_comes_after_a_takeover_is_too_late",),
    ),
    Mutant(
        "a-retry-is-the-same-attempt",
        "sql/40_workers/end_attempts.sql",
        "        update tasks as t set state = 'retry_wait', attempt = t.attempt + 1\n",
        "        update tasks as t set state = 'retry_wait', attempt = t.attempt\n",
        "the broker drops the retry as a duplicate of the attempt that failed",
        (f"{RETRIES}::test_the_task_waits_for_its_next_attempt",),
    ),
    Mutant(
        "one-attempt-more-than-allowed",
        "sql/40_workers/end_attempts.sql",
        "p_retry and f.attempt < ty.max_attempts as again",
        "p_retry and f.attempt <= ty.max_attempts as again",
        "a task whose attempts are spent is tried once more",
        (f"{RETRIES}::test_the_last_attempt_fails_the_task",),
    ),
    Mutant(
        "a-worker-that-came-back-loses-its-attempt",
        "sql/40_workers/end_lost_attempts.sql",
        "            and r.task_index = v_task.task_index and r.lease_until < v_lost;\n",
        "            and r.task_index = v_task.task_index;\n",
        "the sweep ends an attempt whose heartbeat came while it looked",
        (f"{TWO}::test_a_worker_that_shows_itself_during_the_sweep_keeps_its_attempt",),
    ),
    Mutant(
        "an-attempt-is-lost-with-its-lease",
        "sql/40_workers/end_lost_attempts.sql",
        "v_now - interval '30 seconds'",
        "v_now - interval '0 seconds'",
        "a redelivered message has no time to take the attempt over",
        (f"{RETRIES}::test_an_attempt_is_lost_half_a_minute_after_its_lease",),
    ),
    Mutant(
        "a-cancelling-misses-a-batch-of-retries",
        "sql/40_workers/gather_retries.sql",
        "        for share skip locked\n    ) as l",
        "    ) as l",
        "a batch that is gathered while a stage is cancelled stays for ever",
        (
            "tests/operate/test_undoing_a_cancelling.py::"
            "test_a_batch_of_retries_that_is_gathered_while_a_cancelling_is_ordered_is_met_by_it",
        ),
    ),
    Mutant(
        "retries-of-an-atomic-stage-are-gathered-as-any-other",
        "sql/40_workers/gather_retries.sql",
        "            case when r.atomic then width_bucket(r.nth::integer, p.starts)\n",
        "            case when false then width_bucket(r.nth::integer, p.starts)\n",
        "a batch of retries that must go out in one send is larger than one",
        (f"{ATOMIC}::test_they_fill_sends_and_those_of_other_stages_do_not",),
    ),
    Mutant(
        "retries-of-an-atomic-stage-are-as-many-as-their-type-says",
        "sql/40_workers/gather_retries.sql",
        "least(r.size, d.max_send_messages)",
        "r.size",
        "a batch of small retries is more than the broker counts in a send",
        (f"{ATOMIC}::test_they_keep_to_what_the_destination_takes_now",),
    ),
    Mutant(
        "retries-are-packed-as-first-attempts",
        "sql/40_workers/gather_retries.sql",
        "t.parameters, t.task_index, t.attempt)",
        "t.parameters, t.task_index, 1)",
        "full batches of later attempts do not fit in a send",
        (f"{ATOMIC}::test_later_attempts_have_room_for_their_digits",),
    ),
    Mutant(
        "a-gathering-waits-for-a-stage",
        "sql/40_workers/gather_retries.sql",
        "        for share skip locked\n",
        "        for share\n",
        "maintenance waits for a stage while it holds others, and deadlocks",
        (f"{RETRIES}::test_a_stage_that_is_locked_is_passed_over",),
    ),
    Mutant(
        "retries-are-gathered-before-lost-attempts-end",
        "sql/50_operate/maintain.sql",
        """    lost_attempts := stagebus.end_lost_attempts(v_limit);
    retried_tasks := stagebus.gather_retries(v_limit);
""",
        """    retried_tasks := stagebus.gather_retries(v_limit);
    lost_attempts := stagebus.end_lost_attempts(v_limit);
""",
        "maintenance holds a stage while it waits for a slot, and a worker does the reverse",
        (
            "tests/workers/test_counters_at_once.py"
            "::test_maintenance_holds_no_stage_while_it_waits_for_a_slot",
        ),
    ),
    Mutant(
        "what-waits-in-a-cancelled-stage-fills-the-sweep",
        "sql/40_workers/gather_retries.sql",
        "            where w.due_at <= v_now and s.ending is null\n",
        "            where w.due_at <= v_now\n",
        "a cancelled stage keeps the retries of all others from their turn",
        (f"{RETRIES}::test_what_waits_in_a_stage_that_is_cancelled_keeps_no_other_from_its_turn",),
    ),
    Mutant(
        "a-retried-task-stays-with-its-first-batch",
        "sql/40_workers/gather_retries.sql",
        " do update set batch_id = excluded.batch_id;\n",
        " do nothing;\n",
        "the second retry is in a batch that nobody publishes again",
        (f"{RETRIES}::test_a_task_lost_twice_moves_to_its_newest_batch",),
    ),
    Mutant(
        "retries-tell-nobody",
        "sql/40_workers/gather_retries.sql",
        "        notify stagebus_ready;\n",
        "        null;\n",
        "retries wait for the next poll",
        ("tests/create/test_notifications.py::test_retries_are_notified",),
    ),
    Mutant(
        "a-dead-letter-of-any-dispatch-counts",
        DEAD_LETTERS,
        "        and coalesce(stagebus.current_dispatch(m.task_id), m.dispatch) = m.dispatch\n",
        "",
        "an attempt fails whose message is on the queue",
        (f"{DEAD}::test_a_letter_of_a_dispatch_before_changes_nothing",),
    ),
    Mutant(
        "a-dead-letter-is-judged-again",
        DEAD_LETTERS,
        "                and d.message_id = p_message_ids[m.ordinal]);\n",
        "                and d.message_id is null);\n",
        "what the record says of it is not what it did",
        (f"{DEAD}::test_told_again_it_is_not_judged_again",),
    ),
    Mutant(
        "a-dead-letter-of-a-provisional-stage-is-recorded",
        DEAD_LETTERS,
        "    where j.outcome is distinct from 'wait'\n",
        "    where j.outcome is distinct from 'waits'\n",
        "it is completed on the broker, and its task never starts",
        (f"{DEAD}::test_of_a_provisional_stage_it_is_asked_for_again",),
    ),
    Mutant(
        "the-description-of-what-is-not-ours-is-kept",
        DEAD_LETTERS,
        "        case when m.kind is not null then left(p_descriptions[m.ordinal], 8192) end,\n",
        "        left(p_descriptions[m.ordinal], 8192),\n",
        "the database shows what others wrote for others",
        (f"{DEAD}::test_of_what_is_not_ours_there_is_no_more_than_the_reason",),
    ),
)
