"""The checker finds what it is there for: each promise broken in the ledgers of a small run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from tests.faults.evidence import (
    Announcement,
    Database,
    Evidence,
    Taken,
    Transaction,
    Unknown,
    task_ids,
)
from tests.faults.verdict import Happened, judge

JOB = str(UUID(int=7))
OTHER = str(UUID(int=8))
STAGE = (JOB, 1)
TASKS = 3
FIRST, SECOND, THIRD = task_ids(STAGE, TASKS)


def message(task_id: str, attempt: int = 1, dispatch: int = 1) -> str:
    return f"{task_id}.{attempt}.{dispatch}.0a1b2c3d4e"


def stored(message_id: str, at: float = 2.0) -> Taken:
    return Taken("tasks", True, message_id, at)


def dropped(message_id: str) -> Taken:
    return Taken("tasks", False, message_id, 3.0)


def unknown(first: int, last: int, dispatch: int = 1) -> Unknown:
    return Unknown(JOB, 1, "batch", dispatch, first, last)


def ended(stage: int, message_id: str, **fields: object) -> Announcement:
    told = Announcement(message_id, JOB, stage, "completed", open_tasks=0, at=9.0)
    return replace(told, **fields)  # type: ignore[arg-type]


@pytest.fixture
def evidence() -> Evidence:
    """One job with one stage of three tasks, without a flaw; and one that was rolled back."""
    found = Evidence(
        transactions={
            "a": Transaction({STAGE: TASKS}, "commit", 1.0),
            "b": Transaction({(OTHER, 1): 5}, "rollback"),
        },
        announcements=[ended(1, "b1.1.n"), ended(0, "b2.1.n")],
        taken=[stored(message(task_id)) for task_id in (FIRST, SECOND, THIRD)],
        database=Database(
            stages={STAGE: "completed"},
            jobs={JOB: "completed"},
            tasks={task_id: ("completed", f"done-{task_id}") for task_id in (FIRST, SECOND, THIRD)},
        ),
    )
    for task_id in (FIRST, SECOND, THIRD):
        found.executions[task_id] = {f"done-{task_id}": 5.0}
    return found


def test_a_run_without_a_flaw_is_good(evidence: Evidence) -> None:
    verdict = judge(evidence)
    assert verdict.good, verdict.examples
    assert (verdict.attempted, verdict.committed, verdict.stages) == (8, 3, 1)


def lose_from_the_broker(evidence: Evidence) -> None:
    del evidence.taken[1]


def lose_at_work(evidence: Evidence) -> None:
    del evidence.executions[SECOND]


def lose_in_the_database(evidence: Evidence) -> None:
    del evidence.database.tasks[SECOND]


def leave_it_queued(evidence: Evidence) -> None:
    evidence.database.tasks[SECOND] = ("queued", None)


def publish_what_was_rolled_back(evidence: Evidence) -> None:
    evidence.taken.append(stored(message(f"{OTHER}-s1-1")))


def keep_what_was_rolled_back(evidence: Evidence) -> None:
    evidence.database.tasks[f"{OTHER}-s1-1"] = ("pending_queue", None)


def store_twice(evidence: Evidence) -> None:
    evidence.taken.append(stored(message(SECOND)))


def store_another_dispatch(evidence: Evidence) -> None:
    evidence.taken.append(stored(message(SECOND, dispatch=2)))


def drop_without_a_reason(evidence: Evidence) -> None:
    evidence.taken.append(dropped(message(SECOND)))


def drop_outside_of_what_is_unknown(evidence: Evidence) -> None:
    evidence.taken.append(dropped(message(SECOND)))
    evidence.database.unknown = [unknown(3, 3), unknown(1, 3, dispatch=2)]


def keep_a_result_that_nobody_made(evidence: Evidence) -> None:
    evidence.database.tasks[SECOND] = ("completed", "made up")


def never_end_the_stage(evidence: Evidence) -> None:
    evidence.database.stages[STAGE] = "open"


def end_the_stage_twice(evidence: Evidence) -> None:
    evidence.announcements.append(ended(1, "b3.1.n"))


def say_nothing_of_the_stage(evidence: Evidence) -> None:
    del evidence.announcements[0]


def end_the_stage_before_its_tasks(evidence: Evidence) -> None:
    evidence.announcements[0] = ended(1, "b1.1.n", open_tasks=1)


def end_the_stage_before_the_work(evidence: Evidence) -> None:
    evidence.announcements[0] = ended(1, "b1.1.n", at=4.0)


def leave_the_job_running(evidence: Evidence) -> None:
    evidence.database.jobs[JOB] = "running"


def miscount(evidence: Evidence) -> None:
    evidence.database.miscounted = 1


def leave_a_lease(evidence: Evidence) -> None:
    evidence.database.leases = 1


def deadlock(evidence: Evidence) -> None:
    evidence.deadlocks = 1


@pytest.mark.parametrize(
    ("break_it", "figures"),
    [
        (lose_from_the_broker, {"unpublished": 1}),
        (lose_at_work, {"lost": 1}),
        (lose_in_the_database, {"lost": 1}),
        (leave_it_queued, {"lost": 1}),
        (publish_what_was_rolled_back, {"phantom": 1}),
        (keep_what_was_rolled_back, {"phantom": 1}),
        (store_twice, {"duplicates": 1}),
        (store_another_dispatch, {"duplicates": 1}),
        (drop_without_a_reason, {"duplicates_unattributed": 1}),
        (drop_outside_of_what_is_unknown, {"duplicates_unattributed": 1}),
        (keep_a_result_that_nobody_made, {"results_unexplained": 1}),
        (never_end_the_stage, {"stage_advance_errors": 1}),
        (end_the_stage_twice, {"stage_advance_errors": 1}),
        (say_nothing_of_the_stage, {"stage_advance_errors": 1}),
        (end_the_stage_before_its_tasks, {"stage_advance_errors": 1}),
        (end_the_stage_before_the_work, {"stage_advance_errors": 3}),
        (leave_the_job_running, {"stage_advance_errors": 1}),
        (miscount, {"stage_advance_errors": 1}),
        (leave_a_lease, {"orphan_leases": 1}),
        (deadlock, {"deadlocks": 1}),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_each_broken_promise_is_found(
    evidence: Evidence, break_it: Callable[[Evidence], None], figures: dict[str, int]
) -> None:
    sound = judge(evidence).as_json()
    break_it(evidence)
    verdict = judge(evidence)
    assert not verdict.good
    found = verdict.as_json()
    told = ("good", "examples", "repeats_dropped")
    changed = {key: found[key] for key in found if found[key] != sound[key] and key not in told}
    assert changed == figures


def test_a_repeat_within_what_is_unknown_is_explained(evidence: Evidence) -> None:
    evidence.taken.append(dropped(message(SECOND)))
    evidence.database.unknown = [unknown(2, 3)]
    verdict = judge(evidence)
    assert verdict.good
    assert verdict.repeats_dropped == 1


def test_a_second_attempt_is_no_duplicate(evidence: Evidence) -> None:
    evidence.taken.append(stored(message(SECOND, attempt=2)))
    evidence.executions[SECOND]["the first one"] = 3.0
    verdict = judge(evidence)
    assert verdict.good
    assert verdict.repeated_work == 1


def test_a_commit_without_an_answer_counts_when_the_database_has_it(evidence: Evidence) -> None:
    evidence.transactions["a"] = Transaction({STAGE: TASKS}, "unknown")
    assert judge(evidence).unanswered == TASKS
    assert judge(evidence).good
    del evidence.database.stages[STAGE]
    assert judge(evidence).phantom > 0


def test_a_fault_without_an_effect_fails_the_run(evidence: Evidence) -> None:
    felt, unfelt = Happened(1, "bridge-killed", 1.5, "killed"), Happened(2, "send-busy", 1.5, None)
    assert judge(evidence, [felt]).good
    assert not judge(evidence, [felt, unfelt]).good


def test_recovery_lasts_until_something_is_published_or_begun_again(evidence: Evidence) -> None:
    evidence.taken[2] = stored(message(THIRD), at=4.0)
    faults = [
        Happened(1, "bridge-killed", 1.5, "the first is stored at 2.0"),
        Happened(2, "send-busy", 2.5, "the third is stored at 4.0"),
        Happened(3, "worker-killed", 1.5, "all are begun at 5.0"),
    ]
    verdict = judge(evidence, faults)
    assert verdict.recovery_seconds == {
        "bridge-killed": {"p50": 0.5, "p99": 0.5},
        "send-busy": {"p50": 1.5, "p99": 1.5},
        "worker-killed": {"p50": 3.5, "p99": 3.5},
    }
    # What was committed at 1.0 was all published at 4.0.
    assert judge(evidence, faults[:1]).drain_seconds["published"] == {"p50": 2.5, "p99": 2.5}
