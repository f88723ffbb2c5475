"""Defects of sql/30_settle, and of the lease's extension: who may write, and what a send leaves."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

EPOCHS = "tests/settle/test_epochs.py"
LATE = f"{EPOCHS}::test_after_another_claim_nothing_is_written"
RECORD = "tests/settle/test_record_send.py"
ATOMIC = "tests/settle/test_atomic_batches.py"
UNSENDABLE = "tests/settle/test_fail_unsendable_task.py"
REPEATS = "tests/dispatch/test_old_repeats.py"
DESTINATIONS = "tests/operate/test_destinations.py"

MUTANTS = (
    Mutant(
        "record-send-ignores-the-epoch",
        "sql/30_settle/record_send.sql",
        """        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and p_first_index > b.published_through
""",
        """        and b.state = 'publishing'
        and p_first_index > b.published_through
""",
        "a bridge that slept past its lease moves another's published_through",
        (LATE,),
    ),
    Mutant(
        "record-send-told-again-ignores-the-epoch",
        "sql/30_settle/record_send.sql",
        "                and b.claim_epoch = p_claim_epoch and l.claim_epoch = p_claim_epoch\n",
        "",
        "a late bridge is told that its send is recorded, and goes on with another's batch",
        (f"{EPOCHS}::test_a_late_bridge_is_not_answered_for_what_its_heir_did",),
    ),
    Mutant(
        "the-last-send-is-not-known-again-once-its-batch-is-queued",
        "sql/30_settle/record_send.sql",
        "                and b.state in ('publishing', 'queued')\n",
        "                and b.state = 'publishing'\n",
        "a bridge whose answer was lost takes the batch that it has finished for another's",
        (f"{RECORD}::test_the_last_send_told_again_with_the_end_of_its_batch_is_one_row",),
    ),
    Mutant(
        "record-send-goes-back",
        "sql/30_settle/record_send.sql",
        """        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and p_first_index > b.published_through
""",
        """        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
""",
        "published_through is not monotone: a send told twice is two rows, or goes out again",
        (f"{RECORD}::test_sends_do_not_overlap_what_was_accepted",),
    ),
    Mutant(
        "an-unknown-send-counts-as-accepted",
        "sql/30_settle/record_send.sql",
        """        published_through = case p_outcome
            when 'accepted' then p_last_index else b.published_through end,
""",
        """        published_through = case p_outcome
            when 'rejected' then b.published_through else p_last_index end,
""",
        "a send that nobody answered is never repeated, and may be lost",
        (f"{RECORD}::test_any_other_outcome_is_recorded_and_moves_nothing",),
    ),
    Mutant(
        "record-send-does-not-renew-the-lease",
        "sql/30_settle/record_send.sql",
        "        lease_until = v_now + p_lease,\n",
        "        lease_until = greatest(b.lease_until, v_now),\n",
        "a long batch loses its lease in the middle of its sends",
        (f"{RECORD}::test_an_accepted_send_moves_published_through_and_renews_the_lease",),
    ),
    Mutant(
        "a-report-is-not-remembered",
        "sql/30_settle/record_send.sql",
        "        reported_at = v_now,\n",
        "",
        "a batch whose bridge died is held although the broker knows what it was sent last",
        (f"{REPEATS}::test_the_age_of_a_dead_bridges_sends_counts_from_its_last_report",),
    ),
    Mutant(
        "the-age-of-unanswered-sends-counts-from-the-last-one",
        "sql/30_settle/record_send.sql",
        "when p_outcome = 'unknown' then least(b.unanswered_since, v_now - p_duration)",
        "when p_outcome = 'unknown' then v_now - p_duration",
        "a repeat of the first one goes out after the broker has forgotten its ids",
        (f"{REPEATS}::test_the_oldest_of_several_unanswered_sends_counts",),
    ),
    Mutant(
        "a-part-that-is-accepted-settles-every-doubt",
        "sql/30_settle/record_send.sql",
        "when p_outcome = 'accepted' and p_last_index >= b.unanswered_through then null\n",
        "when p_outcome = 'accepted' then null\n",
        "what was sent after that part is repeated however old it is",
        (f"{REPEATS}::test_a_part_that_was_accepted_leaves_the_rest_in_doubt",),
        times=2,
    ),
    Mutant(
        "an-accepted-send-ends-an-operators-pause",
        "sql/30_settle/record_send.sql",
        " and d.probe_at is not null",
        " and d.paused_at is not null",
        "an operator pauses a destination, and a send that was under way resumes it",
        (f"{DESTINATIONS}::test_a_bridge_does_not_end_the_pause_of_an_operator",),
        times=2,
    ),
    Mutant(
        "attempts-count-over-the-whole-batch",
        "sql/30_settle/record_send.sql",
        "publish_attempts = case p_outcome when 'accepted' then 0 else b.publish_attempts end,\n",
        "publish_attempts = b.publish_attempts,\n",
        "a batch of thousands of sends fails after ten lost answers far apart",
        ("tests/settle/test_ends_of_a_claim.py::test_attempts_count_at_the_same_send",),
    ),
    Mutant(
        "a-send-that-was-not-accepted-is-not-known-again",
        "sql/30_settle/record_send.sql",
        "    if p_outcome <> 'accepted' then\n",
        "    if p_outcome = 'never' then\n",
        "a record whose answer was lost is two rows, and counts as two sends",
        (f"{RECORD}::test_one_that_was_not_accepted_told_again_is_one_row",),
    ),
    Mutant(
        "finish-batch-ignores-the-epoch",
        "sql/30_settle/finish_batch.sql",
        """        and b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
""",
        """        and b.job_id = p_job_id and b.batch_id = p_batch_id
        and b.state = 'publishing'
""",
        "a late bridge marks queued what another has not sent yet: tasks are lost",
        (LATE,),
    ),
    Mutant(
        "finish-batch-told-again-ignores-the-epoch",
        "sql/30_settle/finish_batch.sql",
        "                and b.state = 'queued' and b.claim_epoch = p_claim_epoch);\n",
        "                and b.state = 'queued');\n",
        "a late bridge believes that it was the one who finished, and logs so",
        (f"{EPOCHS}::test_a_late_bridge_is_not_answered_for_what_its_heir_did",),
    ),
    Mutant(
        "no-start-timeout-is-over-at-once",
        "sql/30_settle/finish_batch.sql",
        "            v_now + nullif(ty.start_timeout, interval '0') end,\n",
        "            v_now + ty.start_timeout end,\n",
        "what a type never wants published again is published again at each sweep",
        ("tests/settle/test_ends_of_a_claim.py::test_when_its_start_is_due_is_its_types_to_say",),
    ),
    Mutant(
        "fail-batch-ignores-the-epoch",
        "sql/30_settle/fail_batch.sql",
        "        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch\n",
        "        and b.state = 'publishing'\n",
        "a late bridge spends the attempts of a batch that another is publishing",
        (LATE,),
    ),
    Mutant(
        "release-batch-ignores-the-epoch",
        "sql/30_settle/release_batch.sql",
        "        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch\n",
        "        and b.state = 'publishing'\n",
        "a late bridge gives back what another is publishing, and a third claims it",
        (LATE,),
    ),
    Mutant(
        "a-bridge-makes-an-operators-pause-its-own",
        "sql/30_settle/release_batch.sql",
        "        where d.destination = v_destination and (d.paused_at is null"
        " or d.probe_at is not null);\n",
        "        where d.destination = v_destination;\n",
        "a batch is tried every ten seconds although an operator has said no",
        (f"{DESTINATIONS}::test_a_bridge_does_not_end_the_pause_of_an_operator",),
    ),
    Mutant(
        "a-pause-counts-from-the-last-refusal",
        "sql/30_settle/release_batch.sql",
        "            paused_at = coalesce(d.paused_at, v_now),\n",
        "            paused_at = v_now,\n",
        "nobody sees for how long the broker has refused a destination",
        (f"{DESTINATIONS}::test_a_pause_by_a_bridge_counts_from_the_first_refusal",),
    ),
    Mutant(
        "extend-lease-ignores-the-epoch",
        "sql/20_dispatch/extend_lease.sql",
        "        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch\n",
        "        and b.state = 'publishing'\n",
        "a late bridge is told that the batch is still its own, and sends beside another",
        (LATE,),
    ),
    Mutant(
        "fail-unsendable-task-ignores-the-epoch",
        "sql/30_settle/fail_unsendable_task.sql",
        """        and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
        and p_task_index > b.published_through and p_task_index <= b.last_index
""",
        """        and b.state = 'publishing'
        and p_task_index > b.published_through and p_task_index <= b.last_index
""",
        "a late bridge fails a task, and everything before it counts as published",
        (f"{UNSENDABLE}::test_a_claim_that_is_over_changes_nothing",),
    ),
    Mutant(
        "fail-unsendable-task-told-again-ignores-the-epoch",
        "sql/30_settle/fail_unsendable_task.sql",
        """                and b.state = 'publishing' and b.claim_epoch = p_claim_epoch
                and b.published_through >= p_task_index);
""",
        """                and b.state = 'publishing'
                and b.published_through >= p_task_index);
""",
        "a late bridge goes on with a batch that another publishes",
        (f"{EPOCHS}::test_a_late_bridge_is_not_answered_for_what_its_heir_did",),
    ),
    Mutant(
        "fail-unsendable-task-fails-what-a-worker-has",
        "sql/30_settle/fail_unsendable_task.sql",
        """p_task_index
        and t.state is null
    returning""",
        """p_task_index
    returning""",
        "a task that a worker has started is failed, and then counted twice",
        (f"{UNSENDABLE}::test_a_task_that_was_started_meanwhile_is_its_workers",),
    ),
    Mutant(
        "a-task-of-an-atomic-batch-fails-alone",
        "sql/30_settle/fail_unsendable_task.sql",
        "\n        and not b.atomic\n        and",
        "\n        and",
        "one task of a batch that goes out whole or not at all is left behind",
        (f"{ATOMIC}::test_no_task_of_it_fails_alone",),
    ),
    Mutant(
        "a-task-of-an-atomic-batch-is-said-to-have-failed",
        "sql/30_settle/fail_unsendable_task.sql",
        "                and not b.atomic\n",
        "",
        "a bridge goes on as if one task of an atomic batch had failed alone",
        (f"{ATOMIC}::test_no_task_of_it_fails_alone",),
    ),
    Mutant(
        "an-atomic-batch-is-published-in-parts",
        "migrations/0004.batches-and-sends.sql",
        "        check (not atomic or published_through in (first_index - 1, last_index)),\n",
        "        check (published_through >= first_index - 1),\n",
        "a bridge that knows nothing of atomic batches sends one in parts, and nobody notices",
        (f"{ATOMIC}::test_a_part_of_it_cannot_be_recorded_as_accepted",),
    ),
    Mutant(
        "publish-again-keeps-the-epoch",
        "sql/30_settle/publish_again.sql",
        "        claim_epoch = b.claim_epoch + 1,\n",
        "",
        "the bridge it was taken from renders ids of the next dispatch, which no row explains",
        (
            "tests/dispatch/test_batch_messages.py::test_a_claim_that_was_taken_away_has_no_messages",
        ),
    ),
    Mutant(
        "publish-again-keeps-the-dispatch",
        "sql/30_settle/publish_again.sql",
        "        dispatch = b.dispatch + 1,\n",
        "        dispatch = b.dispatch,\n",
        "the broker drops what an operator has published again, as a duplicate",
        (
            "tests/operate/test_orders.py"
            "::test_a_batch_is_published_again_with_other_message_ids_but_for_what_was_started",
        ),
    ),
    Mutant(
        "publish-again-keeps-published-through",
        "sql/30_settle/publish_again.sql",
        "        published_through = b.first_index - 1,\n",
        "",
        "nothing of a queued batch goes out a second time",
        (
            "tests/operate/test_orders.py"
            "::test_a_batch_is_published_again_with_other_message_ids_but_for_what_was_started",
        ),
    ),
    Mutant(
        "publish-again-keeps-what-was-spent",
        "sql/30_settle/publish_again.sql",
        "        publish_attempts = 0,\n",
        "",
        "a batch that had trouble once fails at the first one of its next dispatch",
        (
            "tests/operate/test_retrying_a_batch.py"
            "::test_a_batch_that_is_published_again_has_all_its_attempts",
        ),
    ),
    Mutant(
        "publish-again-forgets-what-a-bridge-may-have-sent",
        "sql/30_settle/publish_again.sql",
        "    perform stagebus.record_unreported_send(p_job_id, p_batch_id, p_reason);\n",
        "",
        "the ledger does not explain the duplicates of a batch that was retried under its bridge",
        ("tests/operate/test_retrying_a_batch.py",),
    ),
    Mutant(
        "publish-again-tells-nobody",
        "sql/30_settle/publish_again.sql",
        "    notify stagebus_ready;\n",
        "",
        "what an operator publishes again waits for the next poll",
        ("tests/operate/test_notifications.py",),
    ),
    Mutant(
        "a-lost-bridges-sends-are-as-old-as-the-reclaim",
        "sql/30_settle/record_unreported_send.sql",
        "            unanswered_since = least(b.unanswered_since, b.reported_at),\n",
        "            unanswered_since = least(b.unanswered_since, v_now),\n",
        "what a bridge sent just after its claim is repeated beyond the duplicate window",
        (f"{REPEATS}::test_and_a_batch_that_nobody_looked_after_for_too_long_is_held",),
    ),
    Mutant(
        "the-unknown-range-begins-with-the-batch",
        "sql/30_settle/record_unreported_send.sql",
        "        u.published_through + 1, u.last_index, 'unknown', p_error, v_now\n",
        "        u.first_index, u.last_index, 'unknown', p_error, v_now\n",
        "the ledger calls unknown what the broker had accepted",
        (
            "tests/dispatch/test_claim_batches.py"
            "::test_what_the_lost_bridge_may_have_sent_is_unknown",
        ),
    ),
)
