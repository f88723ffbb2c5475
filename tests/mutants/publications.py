"""Defects of publish and confirm: a yes that is none, a no that leaves something, both, neither."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ONE = "tests/create/test_publish_stage.py"
AT_ONCE = "tests/settle/test_confirming_at_once.py"
OPERATORS = "tests/operate/test_provisional_stages.py"
CONFIRM = "sql/30_settle/confirm_stage.sql"
REMOVE = "sql/50_operate/remove_stage.sql"

MUTANTS = (
    Mutant(
        "two-last-finishers-do-not-wait-for-one-another",
        CONFIRM,
        "    where s.job_id = p_job_id and s.stage = p_stage\n    for no key update;\n",
        "    where s.job_id = p_job_id and s.stage = p_stage;\n",
        "each sees the other's batch on its way, and nobody confirms",
        (f"{AT_ONCE}::test_of_two_last_finishers_the_second_confirms",),
    ),
    Mutant(
        "a-withdrawn-stage-is-confirmed",
        CONFIRM,
        "    if v_stage.state <> 'provisional' or v_stage.ending is not null then\n",
        "    if v_stage.state <> 'provisional' then\n",
        "the caller is told no, and the last batch opens the stage",
        (f"{AT_ONCE}::test_a_withdrawal_that_was_first_is_not_confirmed_any_more",),
    ),
    Mutant(
        "a-stage-is-confirmed-with-its-first-batch",
        CONFIRM,
        "        and b.state <> 'queued'\n",
        "        and b.state = 'failed'\n",
        "workers run what is not published yet, and may never be",
        (f"{ONE}::test_it_waits_is_published_and_is_confirmed",),
    ),
    Mutant(
        "what-is-withdrawn-is-withdrawn-again",
        "sql/30_settle/withdraw_provisional.sql",
        "    if v_stage.state is distinct from 'provisional' or v_stage.ending is not null then\n",
        "    if v_stage.state is distinct from 'provisional' then\n",
        "there are two reasons, and two orders that delete the same",
        (f"{AT_ONCE}::test_of_two_batches_that_fail_the_first_withdraws",),
    ),
    Mutant(
        "a-withdrawn-stage-has-its-sends-recorded",
        "sql/30_settle/record_send.sql",
        "            where s.job_id = b.job_id and s.stage = b.stage and s.ending = 'withdraw')\n",
        "            where s.job_id = b.job_id and s.stage = b.stage and s.ending = 'never')\n",
        "a bridge goes on to publish a stage whose caller was told no",
        (f"{ONE}::test_after_the_no_nothing_of_it_is_claimed_recorded_or_run",),
    ),
    Mutant(
        "a-destination-is-resumed-before-its-stage-is-locked",
        "sql/30_settle/record_send.sql",
        "s.stage = v_batch.stage and s.state = 'provisional'\n        for no key update;\n",
        "s.stage = v_batch.stage and s.state = 'provisional';\n",
        "two bridges wait for one another, one for the stage, one for the destination",
        (f"{AT_ONCE}::test_a_send_that_resumes_the_destination_and_another_batch_that_is_refused",),
    ),
    Mutant(
        "messages-of-a-withdrawn-stage-are-rendered",
        "sql/20_dispatch/batch_messages.sql",
        "    if v_stage.ending = 'withdraw' then\n",
        "    if v_stage.ending = 'never' then\n",
        "a bridge reads on, and sends once more",
        (f"{AT_ONCE}::test_a_claim_that_was_made_before_the_withdrawal_ends_with_it",),
    ),
    Mutant(
        "a-failed-batch-withdraws-nothing",
        "sql/30_settle/fail_batch.sql",
        "    elsif v_state = 'failed' and v_kind = 'tasks' then\n",
        "    elsif v_state = 'cancelled' and v_kind = 'tasks' then\n",
        "the caller waits until its time is up for what can never be",
        (f"{ONE}::test_a_failed_batch_withdraws_it",),
    ),
    Mutant(
        "an-unsendable-task-fails-alone-in-a-provisional-stage",
        "sql/30_settle/fail_unsendable_task.sql",
        "    if v_batch.stage_state = 'provisional' then\n",
        "    if v_batch.stage_state = 'blocked' then\n",
        "a stage is confirmed without one of its tasks: not all, and not nothing",
        (f"{ONE}::test_a_task_that_cannot_be_sent_withdraws_it",),
    ),
    Mutant(
        "a-message-of-a-withdrawn-stage-waits-for-ever",
        "sql/40_workers/start_tasks.sql",
        "                    or s.ending = 'withdraw' then 'ghost'\n",
        "                    or s.ending = 'never' then 'ghost'\n",
        "a worker is told that an operator cancelled what was never begun",
        (f"{ONE}::test_after_the_no_nothing_of_it_is_claimed_recorded_or_run",),
    ),
    Mutant(
        "a-withdrawal-leaves-the-keys-of-its-tasks",
        "sql/50_operate/work_withdrawal.sql",
        "        delete from task_keys as k\n        where k.job_id",
        "        delete from task_keys as k\n        where false and k.job_id",
        "the stage cannot be made again with the same keys",
        (f"{ONE}::test_on_no_nothing_is_left_but_the_audit",),
    ),
    Mutant(
        "a-job-hangs-after-a-withdrawal",
        REMOVE,
        "    elsif v_before.state <> 'failed' then\n",
        "    elsif v_before.state = 'blocked' then\n",
        "nobody is told any more that the job is due after the stage before",
        (f"{ONE}::test_a_withdrawn_one_does_not_fail_its_job_and_the_stage_before_is_due_again",),
    ),
    Mutant(
        "a-repair-stays-one-without-what-made-it-one",
        REMOVE,
        "    update stages as s set repair = false\n",
        "    update stages as s set repair = s.repair\n",
        "the end of the stage before advances nothing, and the job hangs",
        (f"{ONE}::test_a_repair_of_the_stage_before_is_one_no_longer",),
    ),
    Mutant(
        "a-batch-that-went-with-its-stage-looks-like-a-loss",
        "sql/20_dispatch/check_writes.sql",
        "                    where o.job_id = w.job_id and o.action = 'withdraw_stage')\n",
        "                    where o.job_id = w.job_id and o.action = 'never')\n",
        "the next bridge that connects pauses all destinations",
        (f"{ONE}::test_a_bridge_that_remembers_its_batch_is_not_told_of_a_loss",),
    ),
    Mutant(
        "what-nobody-may-start-is-published-again",
        "sql/40_workers/republish_unstarted.sql",
        "        if v_stage.state = 'provisional' and v_stage.start_timeout > interval '0' then\n",
        "        if v_stage.state = 'blocked' and v_stage.start_timeout > interval '0' then\n",
        "a batch that was queued is not any more, and the stage is never confirmed",
        (f"{OPERATORS}::test_what_nobody_could_start_is_not_published_again",),
    ),
    Mutant(
        "a-publication-that-is-told-again-waits-for-ever",
        "sql/10_create/publish_stage.sql",
        "        perform stagebus.withdraw_overdue_stage(p_job_id, p_stage);\n",
        "        null;\n",
        "without a bridge whoever asks so is told to wait, long after the time",
        (f"{ONE}::test_when_the_time_is_up_whoever_looks_withdraws_it",),
    ),
    Mutant(
        "the-time-of-a-publication-is-no-duration",
        "sql/10_create/publish_stage.sql",
        "interval '1 second' * extract(epoch from publish_stage.timeout)",
        "publish_stage.timeout",
        "a day has 23 hours, and some months none at all",
        (f"{ONE}::test_its_time_is_a_duration_whatever_the_months_and_clocks",),
    ),
    Mutant(
        "what-is-to-be-published-once-is-published-again",
        "sql/40_workers/republish_unstarted.sql",
        "        elsif v_stage.start_timeout > interval '0' and v_stage.ending is null\n",
        "        elsif v_stage.ending is null\n",
        "a start_timeout of 0 that was set later brings everything twice",
        (f"{OPERATORS}::test_what_is_to_be_published_once_is_not_published_again",),
    ),
    Mutant(
        "a-deadline-cancels-what-is-provisional",
        "sql/40_workers/end_overdue_stages.sql",
        "            and s.state not in ('filling', 'provisional')\n",
        "            and s.state <> 'filling'\n",
        "an order is given each round to cancel what cannot be cancelled",
        (f"{OPERATORS}::test_a_deadline_that_passes_meanwhile_ends_it_after_the_confirmation",),
    ),
    Mutant(
        "a-stopped-cancelling-brings-a-withdrawn-stage-back",
        "sql/50_operate/stop_order.sql",
        "            and s.ending in ('cancel', 'deadline') and s.ended_at is null;\n",
        "            and s.ending is not null and s.ended_at is null;\n",
        "a stage whose caller was told no is provisional again",
        (f"{OPERATORS}::test_stopping_the_cancelling_of_the_job_stops_no_withdrawal",),
    ),
)
