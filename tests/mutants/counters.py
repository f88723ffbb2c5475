"""Defects of the counter tree and of how stages and jobs end and reopen."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

TWO = "tests/workers/test_two_workers.py"
END = "tests/workers/test_stage_end.py"
POLICY = "tests/workers/test_stage_policy.py"
COUNTERS = "tests/workers/test_counters_at_once.py"
COUNT = "sql/40_workers/count_ended_tasks.sql"

MUTANTS = (
    Mutant(
        "slots-are-locked-as-they-come",
        COUNT,
        "            array_agg(distinct e.slot_no order by e.slot_no) as locked_slots\n",
        "            array_agg(e.slot_no) as locked_slots\n",
        "two calls whose tasks share slots deadlock",
        (f"{COUNTERS}::test_slots_are_locked_in_their_order",),
    ),
    Mutant(
        "slots-are-not-locked-before-they-are-counted",
        COUNT,
        """s.slot_no = k.slot_no
            for no key update
        ) as l;
""",
        """s.slot_no = k.slot_no
        ) as l;
""",
        "a completion that counts in the same slot at once is refused as a wrong count",
        (f"{COUNTERS}::test_two_calls_that_count_in_one_slot_both_count",),
    ),
    Mutant(
        "groups-are-counted-from-the-last",
        COUNT,
        "        group by 1, 2, 3\n        order by 1, 2, 3\n",
        "        group by 1, 2, 3\n        order by 1, 2, 3 desc\n",
        "a retry, which counts them from the first, and a completion deadlock",
        (f"{COUNTERS}::test_groups_are_counted_in_their_order",),
    ),
    Mutant(
        "stages-end-from-the-last",
        COUNT,
        "        group by 1, 2\n        order by 1, 2\n",
        "        group by 1, 2\n        order by 1 desc, 2 desc\n",
        "calls that end several stages and orders that lock them deadlock",
        (f"{COUNTERS}::test_stages_end_in_their_order",),
    ),
    Mutant(
        "a-group-is-counted-as-it-was",
        COUNT,
        "            open_slots = g.open_slots - v_part.slots,\n",
        """            open_slots = (
                select c.open_slots
                from counter_groups as c
                where c.job_id = g.job_id and c.stage = g.stage and c.group_no = g.group_no
            ) - v_part.slots,
""",
        "of two slots that close at once one is lost, and the stage never ends",
        (f"{TWO}::test_two_last_completions_end_the_stage_once",),
    ),
    Mutant(
        "a-slot-that-closes-is-not-rolled-up",
        COUNT,
        """            completed = g.completed + v_part.completed,
            failed = g.failed + v_part.failed,
            cancelled = g.cancelled + v_part.cancelled
        where g.job_id""",
        """            completed = g.completed + v_part.completed,
            failed = g.failed + v_part.failed
        where g.job_id""",
        "a stage whose tasks were cancelled ends as if none had been",
        (
            "tests/operate/test_orders.py"
            "::test_a_stage_that_is_being_filled_is_cancelled_with_its_tasks",
        ),
    ),
    Mutant(
        "a-stage-ends-with-its-first-group",
        COUNT,
        "        if v_stage.open_groups = 0 then\n",
        "        if v_stage.open_groups >= 0 then\n",
        "a controller goes on to the next stage while tasks of this one run",
        (f"{END}::test_a_stage_completes_with_its_last_task_in_any_order",),
    ),
    Mutant(
        "a-reopened-slot-takes-too-little-out-of-its-group",
        "sql/40_workers/count_reopened_tasks.sql",
        """            v_slot.failed := v_slot.failed
                + case p_state when 'failed' then v_part.tasks else 0 end;
""",
        "",
        "a failure that was retried is counted for ever",
        (
            "tests/workers/test_stage_policy.py"
            "::test_a_stage_that_reopens_ends_again_as_if_for_the_first_time",
        ),
    ),
    Mutant(
        "a-repair-advances-the-job-again",
        "sql/40_workers/end_stage.sql",
        "    if not v_job.cancelling and not v_stage.repair then\n",
        "    if not v_job.cancelling then\n",
        "the stage after the repaired one is made a second time",
        (f"{POLICY}::test_a_stage_that_the_job_went_past_is_repaired_and_advances_nothing",),
    ),
    Mutant(
        "two-last-stages-leave-a-cancelled-job-open",
        "sql/40_workers/end_cancelled_job.sql",
        "    perform from jobs as j where j.job_id = p_job_id for no key update;\n",
        "",
        "each of two stages that end at once waits for the other, and the job never ends",
        ("tests/workers/test_two_workers.py::test_two_last_stages_end_a_cancelled_job",),
    ),
    Mutant(
        "a-stage-fails-with-as-many-failures-as-it-tolerates",
        "sql/40_workers/stage_end_state.sql",
        "        when p_stage.failed > case\n",
        "        when p_stage.failed >= case\n",
        "a job fails although nobody asked for it",
        (f"{POLICY}::test_more_failures_than_it_tolerates_fail_a_stage_and_its_job",),
    ),
    Mutant(
        "controllers-are-not-told-of-an-end",
        "sql/40_workers/end_stage.sql",
        "    perform pg_notify('stagebus_jobs', p_job_id::text);\n",
        "",
        "a controller hears of a stage's end only when it looks",
        (f"{TWO}::test_two_last_completions_end_the_stage_once",),
    ),
    Mutant(
        "a-failed-job-is-due-to-advance",
        "sql/40_workers/reopen_stage.sql",
        "    delete from due_advances as d where d.job_id = p_job_id and d.stage = p_stage;\n",
        "",
        "the controller advances past a stage that is open again",
        (f"{POLICY}::test_a_stage_that_reopens_ends_again_as_if_for_the_first_time",),
    ),
    Mutant(
        "a-stage-reopens-overdue",
        "sql/40_workers/reopen_stage.sql",
        "        deadline = case when s.deadline > v_now then s.deadline end\n",
        "        deadline = s.deadline\n",
        "an operator retries a stage that was late, and the next sweep cancels it",
        (
            "tests/workers/test_deadlines.py::test_a_stage_that_reopens_keeps_a_deadline_that_lies_ahead",
        ),
    ),
    Mutant(
        "a-stopped-end-is-ordered-again",
        "sql/50_operate/stop_order.sql",
        "            deadline = case when s.deadline > v_now then s.deadline end\n",
        "            deadline = s.deadline\n",
        "an operator stops the end of a late stage, and the next sweep orders it again",
        (
            "tests/workers/test_deadlines.py::test_an_end_that_an_operator_stops_is_not_ordered_again",
        ),
    ),
    Mutant(
        "an-overdue-stage-is-ended-at-each-sweep",
        "sql/40_workers/end_overdue_stages.sql",
        " and s.ended_at is null and s.ending is null\n",
        " and s.ended_at is null\n",
        "an order every two seconds until the first has come to its end",
        ("tests/workers/test_deadlines.py::test_the_end_of_an_overdue_stage_is_ordered_once",),
    ),
    Mutant(
        "a-deadline-ends-a-stage-that-is-being-filled",
        "sql/40_workers/end_overdue_stages.sql",
        "            and s.state not in ('filling', 'provisional')\n",
        "            and s.state <> 'provisional'\n",
        "its producer finds it sealed under its hands",
        (
            "tests/workers/test_deadlines.py::test_a_stage_that_is_being_filled_is_not_overdue_before_it_is_sealed",
        ),
    ),
    Mutant(
        "a-stage-is-reopened-while-the-next-one-is-made",
        "sql/40_workers/reopen_stage.sql",
        "    select j.* into strict v_job from jobs as j"
        " where j.job_id = p_job_id for no key update;\n",
        "    select j.* into strict v_job from jobs as j where j.job_id = p_job_id;\n",
        "the job goes on to the next stage while this one is open and no repair",
        (
            "tests/operate/test_orders_at_once.py"
            "::test_a_stage_that_reopens_while_the_next_one_is_made_is_a_repair",
        ),
    ),
    Mutant(
        "a-reopening-leaves-its-job-as-it-is",
        "sql/40_workers/reopen_stage.sql",
        "    where j.job_id = p_job_id and j.state in ('running', 'failed', 'cancelled');\n",
        "    where j.job_id = p_job_id and j.state in ('failed', 'cancelled');\n",
        "a producer in a transaction with an older snapshot makes the next stage all the same",
        (
            "tests/operate/test_orders_at_once.py"
            "::test_the_next_stage_is_not_made_by_who_has_not_seen_the_reopening",
        ),
    ),
)
