"""Defects of sql/60_observe: an answer that is wrong, or a statement that mends nothing."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

WHY = "tests/observe/test_why_stuck.py"
OUT = "tests/observe/test_why_stuck_publishing.py"
VIEWS = "tests/observe/test_views.py"
REPEATS = "tests/observe/test_progress_of_repeats.py"
DOCTOR = "tests/observe/test_doctor.py"
VERIFY = "tests/observe/test_verify_job.py"
RECONCILE = "tests/observe/test_reconcile.py"
REPAIR = "tests/operate/test_repair_job.py"
SINCE = f"{RECONCILE}::test_nothing_is_lost_that_was_queued_or_not_looked_at_meanwhile"
LITTLE = "tests/observe/test_views_read_little.py"

MUTANTS = (
    Mutant(
        "a-task-in-no-batch-is-not-missed",
        "sql/60_observe/places_of_tasks.sql",
        "where s.job_id = p_job_id and s.stage = p_stage) then 0 else p.astray end\n",
        "where s.job_id = p_job_id and s.stage = p_stage) then 0 else 0 end\n",
        "a task that is never published is proved to wait",
        (f"{VERIFY}::test_what_was_damaged_is_found",),
    ),
    Mutant(
        "what-lies-behind-the-last-batch-counts-as-in-it",
        "sql/60_observe/unstarted_places.sql",
        "select case when t.task_index <= r.last_index then r.published_through end\n",
        "select r.published_through\n",
        "a task behind the end of its batch is proved to wait",
        (f"{VERIFY}::test_what_was_damaged_is_found",),
    ),
    Mutant(
        "a-proof-forgets-the-counters",
        "sql/60_observe/verify_job.sql",
        "            || coalesce(c.differences, '{}')\n",
        "",
        "a stage is proved whose counters are wrong, and which may never end",
        (f"{VERIFY}::test_what_was_damaged_is_found",),
    ),
    Mutant(
        "a-stage-without-open-tasks-may-stay-open",
        "sql/60_observe/ends_that_are_due.sql",
        "when l.state = 'open' and l.open_groups = 0",
        "when l.state = 'open' and l.open_groups < 0",
        "a stage that ought to have ended is proved, and its job waits for ever",
        (f"{REPAIR}::test_a_stage_that_should_have_ended_ends_and_its_job_is_due",),
    ),
    Mutant(
        "what-was-queued-since-the-look-began-is-lost",
        "sql/60_observe/messages_on_queue.sql",
        "b.queued_at < p_before",
        "b.queued_at is not null",
        "messages are published again that were only not looked at",
        (SINCE,),
    ),
    Mutant(
        "of-half-a-look-the-rest-is-lost",
        "sql/60_observe/reconcile.sql",
        "        where reconcile.whole and not exists (",
        "        where not exists (",
        "all that lies behind the first messages is published again",
        (SINCE,),
    ),
    Mutant(
        "a-message-of-the-dispatch-before-is-on-its-way",
        "sql/60_observe/judged_messages.sql",
        "when m.dispatch is distinct from stagebus.current_dispatch(m.task_id) then 'stale'",
        "when m.dispatch is null then 'stale'",
        "messages that nobody waits for look as if a bridge were at them",
        (f"{RECONCILE}::test_lost_messages_are_named_by_batch_and_the_statement_brings_them_back",),
    ),
    Mutant(
        "a-refused-destination-looks-paused-by-somebody",
        "sql/60_observe/causes_in_publishing.sql",
        "        case when d.probe_at is null then 'paused destination' else 'refused destination'"
        " end,\n",
        "        'paused destination',\n",
        "who looks for a colleague's reason does not look at the key",
        (f"{OUT}::test_a_revoked_key",),
    ),
    Mutant(
        "a-pause-concerns-every-job",
        "sql/60_observe/causes_in_publishing.sql",
        "        where b.job_id = p_job_id and b.state in ('pending_queue', 'publishing')\n",
        "        where b.job_id = p_job_id\n",
        "a job is said to wait for a destination that has all its messages",
        (f"{OUT}::test_a_destination_that_no_batch_of_the_job_waits_for_is_no_cause",),
    ),
    Mutant(
        "messages-are-missed-while-one-is-worked-on",
        "sql/60_observe/causes_in_working.sql",
        "    where p.queued > 0 and p.processing = 0 and",
        "    where p.queued > 0 and",
        "a stage whose workers are at it is said to be started by nobody",
        (f"{WHY}::test_a_stage_that_workers_are_at_has_been_started",),
    ),
    Mutant(
        "a-stage-with-other-work-waits-for-its-retries",
        "sql/60_observe/causes_in_working.sql",
        "    where p.completed + p.failed + p.cancelled + p.retry_wait = p.tasks\n",
        "    where p.retry_wait > 0\n",
        "any task that failed once is said to hold its stage up",
        (f"{WHY}::test_a_task_that_is_tried_again_holds_up_no_stage_that_has_other_work",),
    ),
    Mutant(
        "a-spent-rate-limit-is-no-cause",
        "sql/60_observe/causes_in_publishing.sql",
        "    where d.paused_at is null and d.paid_until > m.now\n",
        "    where d.paused_at is null and d.paid_until < m.now\n",
        "who waits for a limit is told to start more bridges",
        (f"{OUT}::test_a_rate_limit_that_is_spent",),
    ),
    Mutant(
        "what-is-given-back-looks-as-if-it-ran",
        "sql/60_observe/causes_in_batches.sql",
        "            and b.claim_epoch >= 3 and b.last_error is not null\n",
        "            and b.claim_epoch >= 1000 and b.last_error is not null\n",
        "a job is said to run while the broker is away",
        (f"{OUT}::test_a_broker_that_is_away",),
    ),
    Mutant(
        "a-passed-deadline-is-mended-as-a-failure",
        "sql/60_observe/causes_in_working.sql",
        ", %s, status => ''cancelled'');  -- '\n                'it then has no deadline'",
        ", %s);  -- '\n                'it then has no deadline'",
        "the statement finds no task, and the job waits on",
        (f"{WHY}::test_a_stage_whose_deadline_has_passed_and_whose_job_waits",),
    ),
    Mutant(
        "a-cancelled-stage-looks-published",
        "sql/60_observe/job_progress.sql",
        "    where (s.ended_at is null or s.cancelled > 0)\n",
        "    where s.ended_at is null\n",
        "batches that were cancelled count as queued",
        (f"{VIEWS}::test_progress_of_a_cancelled_stage_counts_the_batches_that_went_out",),
    ),
    Mutant(
        "progress-of-old-jobs-reads-their-batches",
        "sql/60_observe/job_progress.sql",
        "    where (s.ended_at is null or s.cancelled > 0)\n        and ",
        "    where ",
        "a look at what runs takes as long as there are batches of old jobs",
        (f"{LITTLE}::test_progress_of_what_has_ended_reads_neither_batches_nor_counters",),
    ),
    Mutant(
        "what-was-cancelled-waits-to-be-published",
        "sql/60_observe/job_progress.sql",
        "where bt.state <> 'cancelled' or s.ending is not null), 0) as unpublished\n",
        "where true), 0) as unpublished\n",
        "nothing of a stage is said to be on the bus once its cancelling was undone",
        (f"{REPEATS}::test_after_a_cancelling_that_was_undone",),
    ),
    Mutant(
        "what-has-ended-waits-to-be-published-again",
        "sql/30_settle/publish_again.sql",
        "        unstarted = p_unstarted,\n",
        "",
        "tasks of a retried batch count twice, and those of others not",
        (f"{REPEATS}::test_of_a_batch_that_is_retried_when_some_of_its_tasks_have_ended",),
    ),
    Mutant(
        "publish-again-leaves-an-error",
        "sql/30_settle/publish_again.sql",
        "        last_error = null,\n",
        "        last_error = p_reason,\n",
        "the broker is said to be away when an operator has published a batch again",
        (f"{OUT}::test_a_batch_that_was_published_again_and_again_is_not_given_back",),
    ),
    Mutant(
        "a-cancelled-stage-stops-the-doctors-mend",
        "sql/60_observe/findings_of_work.sql",
        " and (s.ending is null or b.kind = ''job'') order by",
        " order by",
        "one batch whose stage is being cancelled undoes the retry of all others",
        (f"{DOCTOR}::test_a_batch_whose_stage_is_being_cancelled_keeps_no_other_from_going_on",),
    ),
    Mutant(
        "a-dead-bridge-counts-as-alive",
        "sql/60_observe/bridges.sql",
        "b.seen_at > stagebus.clock() - interval '1 minute' as alive",
        "b.seen_at > stagebus.clock() - interval '1 day' as alive",
        "nobody hears for a day that nothing is published",
        (f"{OUT}::test_no_bridge_is_alive",),
    ),
    Mutant(
        "only-an-idle-session-holds-back-vacuum",
        "sql/60_observe/findings_of_server.sql",
        """            age(coalesce(a.backend_xmin, a.backend_xid)) > 100000)
""",
        """            false)
""",
        "an operator without pg_read_all_stats does not see who holds back vacuum",
        (f"{DOCTOR}::test_of_another_roles_session_an_operator_sees_its_age_in_transactions",),
    ),
    Mutant(
        "a-bridge-with-other-code-is-as-good",
        "sql/60_observe/findings_of_work.sql",
        "    join installed_code as c on c.digest <> b.code_digest\n",
        "    join installed_code as c on c.digest is null\n",
        "an old bridge works on new code, and nobody says so",
        (f"{DOCTOR}::test_bridges_with_other_code_than_is_installed",),
    ),
    Mutant(
        "what-waits-is-counted-in-all-batches",
        "sql/20_dispatch/depth_of_destination.sql",
        "set enable_seqscan = off\nset enable_bitmapscan = off\n",
        "",
        "a look at a destination takes as long as there are batches of old jobs",
        (f"{LITTLE}::test_a_destination_reads_what_waits_for_it",),
    ),
    Mutant(
        "a-report-does-not-renew-itself",
        "sql/20_dispatch/report_bridge.sql",
        "    on conflict (bridge_id) do update set seen_at = excluded.seen_at;\n",
        "    on conflict (bridge_id) do nothing;\n",
        "every bridge is dead after a minute",
        (
            "tests/bridge/test_presence.py"
            "::test_a_report_is_good_for_a_minute_and_the_next_renews_it",
        ),
    ),
)
