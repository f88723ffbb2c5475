"""Defects of sql/20_dispatch: who gets which batch, and what its messages are."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CLAIMS = "tests/dispatch/test_claim_batches.py"
MESSAGES = "tests/dispatch/test_batch_messages.py"
NOTIFICATIONS = "tests/create/test_notifications.py"
REPEATS = "tests/dispatch/test_old_repeats.py"
CLAIM_BATCHES = "sql/20_dispatch/claim_batches.sql"
BATCH_MESSAGES = "sql/20_dispatch/batch_messages.sql"

MUTANTS = (
    Mutant(
        "batch-messages-asks-for-no-epoch",
        BATCH_MESSAGES,
        " and b.claim_epoch = p_claim_epoch;",
        ";",
        "a bridge whose batch was taken away renders ids of the next dispatch",
        (
            "tests/dispatch/test_batch_messages.py::test_a_claim_that_was_taken_away_has_no_messages",
        ),
    ),
    Mutant(
        "a-claim-keeps-the-epoch",
        CLAIM_BATCHES,
        "            claim_epoch = b.claim_epoch + 1,\n",
        "            claim_epoch = greatest(b.claim_epoch, 1),\n",
        "a bridge that lost its lease may go on writing beside its heir",
        (f"{CLAIMS}::test_a_lost_lease_is_claimed_again_under_the_next_epoch",),
    ),
    Mutant(
        "a-claim-waits-for-locked-batches",
        CLAIM_BATCHES,
        """            order by b.turn, b.seq
            limit v_left
            for update skip locked
""",
        """            order by b.turn, b.seq
            limit v_left
            for update
""",
        "bridges queue up behind each other's claims",
        (f"{CLAIMS}::test_two_bridges_never_claim_the_same_batch",),
    ),
    Mutant(
        "a-lease-that-holds-is-reclaimed",
        CLAIM_BATCHES,
        """            where b.state = 'publishing' and b.lease_until < v_now
                and b.destination = any (v_usable)
""",
        """            where b.state = 'publishing'
                and b.destination = any (v_usable)
""",
        "two bridges publish the same batch",
        (f"{CLAIMS}::test_a_lease_that_holds_keeps_others_away",),
    ),
    Mutant(
        "a-reclaim-waits-for-a-batch-that-is-written",
        CLAIM_BATCHES,
        """                and b.destination = any (v_usable)
            order by b.lease_until
            limit v_left
            for update skip locked
""",
        """                and b.destination = any (v_usable)
            order by b.lease_until
            limit v_left
            for update
""",
        "every claim waits for the bridge that is just renewing its lease",
        (f"{CLAIMS}::test_a_lost_lease_is_claimed_by_one_of_two_bridges",),
    ),
    Mutant(
        "a-lease-is-over-at-its-last-moment",
        CLAIM_BATCHES,
        """            where b.state = 'publishing' and b.lease_until < v_now
                and b.destination = any (v_usable)
""",
        """            where b.state = 'publishing' and b.lease_until <= v_now
                and b.destination = any (v_usable)
""",
        "the bridge and its heir both believe that they hold the batch",
        (f"{CLAIMS}::test_a_lease_that_holds_keeps_others_away",),
    ),
    Mutant(
        "a-reclaim-forgets-what-was-sent",
        CLAIM_BATCHES,
        """            -- Nobody will say any more what became of the rest; it may have been sent.
            perform stagebus.record_unreported_send(
                v_batch.job_id, v_batch.batch_id, 'the lease ran out before the bridge reported');
""",
        "",
        "duplicates that no row of the ledger explains; no limit to the age of a repeat",
        (f"{CLAIMS}::test_what_the_lost_bridge_may_have_sent_is_unknown",),
    ),
    Mutant(
        "a-trial-forgets-what-was-sent",
        CLAIM_BATCHES,
        """        where d.destination = v_destination.destination;
        perform stagebus.record_unreported_send(
            v_batch.job_id, v_batch.batch_id, 'the lease ran out before the bridge reported');
""",
        """        where d.destination = v_destination.destination;
""",
        "the same, for the one batch that tries a refused destination",
        (
            "tests/operate/test_destinations.py"
            "::test_a_batch_whose_bridge_died_may_be_the_one_that_is_tried",
        ),
    ),
    Mutant(
        "a-refused-destination-is-tried-by-everyone",
        CLAIM_BATCHES,
        "        for no key update skip locked;\n",
        "        ;\n",
        "two bridges that look at once both try a destination that refuses",
        ("tests/operate/test_destinations.py::test_two_bridges_that_look_at_once_try_one_batch",),
    ),
    Mutant(
        "a-lost-lease-comes-back-though-its-destination-is-paused",
        CLAIM_BATCHES,
        """b.lease_until < v_now
                and b.destination = any (v_usable)
""",
        """b.lease_until < v_now
""",
        "a paused destination is sent to by whoever inherits a batch of it",
        (f"{CLAIMS}::test_a_paused_destination_is_passed_over",),
    ),
    Mutant(
        "a-paused-destination-is-claimed",
        CLAIM_BATCHES,
        "    where d.paused_at is null and coalesce(d.throttled_until <= v_now, true)\n",
        "    where coalesce(d.throttled_until <= v_now, true)\n",
        "an operator's pause stops nothing",
        ("tests/operate/test_destinations.py::test_what_an_operator_pauses_waits_for_an_operator",),
    ),
    Mutant(
        "a-throttled-destination-is-claimed",
        CLAIM_BATCHES,
        "    where d.paused_at is null and coalesce(d.throttled_until <= v_now, true)\n",
        "    where d.paused_at is null\n",
        "bridges go on while the broker asks for a rest",
        (f"{CLAIMS}::test_a_throttled_destination_is_passed_over_until_its_time",),
    ),
    Mutant(
        "a-batch-is-claimed-before-its-time",
        CLAIM_BATCHES,
        "                and b.ready_at <= v_now and b.batch_id is distinct from v_oldest\n",
        "                and b.batch_id is distinct from v_oldest\n",
        "a batch that failed is tried again at once, until its attempts are spent",
        ("tests/settle/test_ends_of_a_claim.py::test_a_failed_batch_waits_longer_each_time",),
    ),
    Mutant(
        "a-claim-does-not-see-a-cancelling",
        CLAIM_BATCHES,
        "                when s.ending is not null and b.kind = 'tasks' then 'cancelled'\n",
        "                when s.ended_at is not null and b.kind = 'tasks' then 'cancelled'\n",
        "what an operator has cancelled is published until the order comes to it",
        ("tests/operate/test_orders.py::test_cancelling_is_obeyed_from_the_commit_on",),
    ),
    Mutant(
        "a-cancelling-swallows-the-message-to-the-controller",
        CLAIM_BATCHES,
        "                when s.ending is not null and b.kind = 'tasks' then 'cancelled'\n",
        "                when s.ending is not null then 'cancelled'\n",
        "a controller is never told that its stage was cancelled",
        ("tests/contracts/test_job_messages.py",),
    ),
    Mutant(
        "old-repeats-are-sent",
        CLAIM_BATCHES,
        "                    and d.old_repeats = 'hold' then 'held'\n",
        "                    and d.old_repeats = 'held' then 'held'\n",
        "the broker has forgotten the ids of what it took, and stores it twice",
        (f"{REPEATS}::test_after_it_the_batch_is_held_and_says_why",),
    ),
    Mutant(
        "old-repeats-may-be-sent-until-the-window-closes",
        CLAIM_BATCHES,
        "                when v_now - b.unanswered_since > d.duplicate_window - 2 * p_lease\n",
        "                when v_now - b.unanswered_since > d.duplicate_window\n",
        "a repeat that begins within the window reaches the broker after it",
        (f"{REPEATS}::test_after_it_the_batch_is_held_and_says_why",),
    ),
    Mutant(
        "days-of-a-window-follow-the-sessions-clocks",
        CLAIM_BATCHES,
        "                when v_now - b.unanswered_since > d.duplicate_window - 2 * p_lease\n",
        "                when b.unanswered_since < v_now + 2 * p_lease - d.duplicate_window\n",
        "twice a year a window of days is an hour longer than the broker's",
        (f"{REPEATS}::test_a_window_of_days_is_as_long_when_clocks_change",),
    ),
    Mutant(
        "pages-are-made-by-the-average-alone",
        CLAIM_BATCHES,
        "s.largest_body / 32)::integer",
        "0)::integer",
        "large neighbours in a stage of small tasks are read all at once, and the bridge is killed",
        (
            "tests/create/test_body_bytes.py"
            "::test_a_claim_tells_more_where_a_page_could_be_many_times_too_large",
        ),
    ),
    Mutant(
        "claim-batches-runs-in-any-isolation",
        CLAIM_BATCHES,
        "    perform stagebus.require_read_committed('claim_batches');\n",
        "",
        "rows are locked and then read as they were before",
        (f"{CLAIMS}::test_a_claim_needs_read_committed",),
    ),
    Mutant(
        "message-ids-without-the-nonce",
        BATCH_MESSAGES,
        "'.' || v_batch.dispatch || '.' || v_stage.nonce;\n",
        "'.' || v_batch.dispatch;\n",
        "a stage made again after a rollback is dropped by the broker as a duplicate",
        (f"{MESSAGES}::test_the_same_job_made_again_has_other_message_ids",),
    ),
    Mutant(
        "message-ids-without-the-dispatch",
        BATCH_MESSAGES,
        "'.' || v_batch.dispatch || '.' ||",
        "'.1.' ||",
        "what is published again on purpose is dropped by the broker",
        (f"{MESSAGES}::test_the_dispatch_is_part_of_the_message_id",),
    ),
    Mutant(
        "message-ids-without-the-attempt",
        BATCH_MESSAGES,
        "('.' || page.attempt || v_id_end)",
        "('.1' || v_id_end)",
        "a task's second attempt is dropped by the broker as its first",
        (f"{MESSAGES}::test_a_scattered_batch_has_the_messages_of_its_members",),
    ),
    Mutant(
        "started-tasks-are-published-again",
        BATCH_MESSAGES,
        """v_batch.last_index
                and t.state is null
""",
        """v_batch.last_index
                and coalesce(t.state, 'processing') = 'processing'
""",
        "a new dispatch sends what a worker is doing",
        (f"{MESSAGES}::test_tasks_that_were_started_or_have_ended_are_left_out",),
    ),
    Mutant(
        "a-retried-task-goes-out-with-its-old-batch-too",
        BATCH_MESSAGES,
        "                and (not v_moved or not exists (\n",
        "                and (v_moved or not exists (\n",
        "a task has two messages of one attempt with different ids",
        (f"{MESSAGES}::test_a_task_that_moved_is_no_longer_its_first_batchs",),
    ),
    Mutant(
        "a-hint-is-spared-for-batches-that-cannot-be-claimed-yet",
        "sql/20_dispatch/hint_bridges.sql",
        "b.state = 'pending_queue' and b.ready_at <= v_now\n",
        "b.state = 'pending_queue'\n",
        "a batch that waits out its backoff silences all creations",
        (f"{NOTIFICATIONS}::test_batches_that_wait_for_their_time_do_not_count",),
    ),
    Mutant(
        "a-hint-counts-the-batches-of-every-destination",
        "sql/20_dispatch/hint_bridges.sql",
        "    where b.destination = p_destination and b.state = 'pending_queue'",
        "    where b.state = 'pending_queue'",
        "work for an idle destination is found by polling while another one is paused",
        (f"{NOTIFICATIONS}::test_batches_of_another_destination_do_not_count",),
    ),
)
