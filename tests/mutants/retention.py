"""Defects of retention: what goes too early, is seen half gone, or keeps others waiting."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ALONE = "tests/operate/test_retention.py"
AT_ONCE = "tests/operate/test_retention_at_once.py"
IN_USE = f"{AT_ONCE}::test_a_partition_in_use_is_dropped_later"
COMMITTED_MEANWHILE = (
    f"{AT_ONCE}::test_a_retry_that_is_committed_while_a_removal_waits_for_it_keeps_the_job"
)

MUTANTS = (
    Mutant(
        "a-repair-does-not-keep-its-week",
        "sql/50_operate/holds_back.sql",
        "        and (s.ended_at is null or s.ended_at > p_ended_by)\n",
        "        and s.ended_at is null and s.ended_at > p_ended_by\n",
        "a stage goes whose tasks are just being done again",
        (f"{ALONE}::test_a_stage_that_is_repaired_keeps_the_week_of_its_job",),
    ),
    Mutant(
        "a-removal-does-not-wait-for-orders",
        "sql/50_operate/begin_removal.sql",
        "from retention as r for update;\n",
        "from retention as r;\n",
        "a job goes that an operator is just retrying",
        (COMMITTED_MEANWHILE,),
    ),
    Mutant(
        "a-removal-does-not-look-again",
        "sql/50_operate/begin_removal.sql",
        "        continue when v_policy.keep is null or exists (\n",
        "        continue when v_policy.keep is null and exists (\n",
        "a job goes whose retry was committed while the removal waited for it",
        (f"{AT_ONCE}::test_a_retry_that_is_committed_while_a_removal_waits_for_it_keeps_the_job",),
    ),
    Mutant(
        "an-order-does-not-wait-for-a-removal",
        "sql/50_operate/require_kept_job.sql",
        "from retention as r for share;\n",
        "from retention as r;\n",
        "a retry is taken for a job that is gone",
        (f"{AT_ONCE}::test_a_retry_waits_for_a_removal_that_begins_and_is_refused",),
    ),
    Mutant(
        "an-undoing-does-not-ask-retention",
        "sql/50_operate/undo_order.sql",
        "    perform stagebus.require_kept_job(v_order.job_id);\n",
        "",
        "a cancelled job that is being removed runs again",
        (f"{ALONE}::test_a_cancelling_of_a_job_that_is_being_removed_is_not_undone",),
    ),
    Mutant(
        "a-late-job-goes-with-its-week",
        "sql/50_operate/drop_partition.sql",
        " and j.job_id < p_removal.next_job_id)\n",
        " and j.job_id < p_removal.first_job_id)\n",
        "a job that was committed late has nowhere to put its tasks",
        (f"{AT_ONCE}::test_a_job_that_is_committed_after_its_week_expired_is_kept",),
    ),
    Mutant(
        "a-drop-waits-for-its-lock",
        "sql/50_operate/drop_partition.sql",
        "set lock_timeout = '100ms'\n",
        "set lock_timeout = '10s'\n",
        "everybody waits behind a drop that waits for one reader",
        (IN_USE,),
    ),
    Mutant(
        "a-drop-is-tried-again-and-again",
        "sql/50_operate/drop_expired.sql",
        "    if v_removal.next_step_at > v_now and (not at_once or v_removal.tries > 0) then\n",
        "    if v_removal.next_step_at > v_now and not at_once then\n",
        "whoever calls it by hand keeps everybody waiting half of the time",
        (f"{AT_ONCE}::test_whoever_waits_behind_the_drop_waits_briefly",),
    ),
    Mutant(
        "the-ledger-goes-and-a-bridge-calls-it-a-loss",
        "sql/20_dispatch/check_writes.sql",
        "    where (w.job_id < r.hidden_from or w.job_id >= r.hidden_until) and case\n",
        "    where case\n",
        "retention pauses all destinations",
        (f"{AT_ONCE}::test_no_bridge_takes_what_was_removed_for_a_loss",),
    ),
    Mutant(
        "a-dedupe-key-leads-to-a-job-that-is-gone",
        "sql/10_create/add_job.sql",
        "                and (k.job_id < r.hidden_from or k.job_id >= r.hidden_until);\n",
        "                and r.only_row;\n",
        "create_job returns a job that is being removed",
        (f"{ALONE}::test_the_dedupe_key_of_a_job_that_is_being_removed_is_free",),
    ),
    Mutant(
        "a-mark-outlives-what-it-was-set-for",
        "sql/50_operate/holds_back.sql",
        "        and a.last_end is distinct from (\n",
        "        and a.last_end > (\n",
        "a job goes whose last attempt nobody archived",
        ("tests/operate/test_archiving.py::test_a_job_that_ended_again_is_archived_again",),
    ),
)
