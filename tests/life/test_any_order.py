"""Everything that producers, bridges, workers and operators may do, in any order."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.client import Client
from tests.life.machine import Life, define_types

RUNS, STEPS = 40, 60

#: What must happen at least once, or the rules draw too little to prove anything.
HAPPENS = (
    "create_stage open", "fill skip", "seal", "finish_job", "claim", "send accepted True",
    "send accepted False", "send unknown True", "finish_batch True", "fail_batch failed",
    "fail_batch None", "release_batch True", "gather_retries", "end_lost_attempts",
    "republish_unstarted", "end_overdue_stages", "start: run", "start: taken", "start: cancelled",
    "start: stale", "complete: completed", "complete: stale", "fail: failed", "fail: retry_wait",
    "heartbeat True", "worker_dies", "hold_batch", "unhold_batch", "retry_batch",
    "retry unfinished", "retry_tasks failed True", "retry_tasks cancelled True",
    "cancel_stage open", "cancel_job running", "set_stage failed", "work_order cancel_stage",
    "work_order cancel_job", "work_order retry_tasks", "work_order retry_batch",
    "stop_order cancel_stage", "undo_order cancel_stage", "undo_order cancel_job",
)  # fmt: skip


def test_whatever_happens_the_database_is_as_the_model_says_and_all_ends(client: Client) -> None:
    define_types(client)
    Life.client = client
    Life.done.clear()
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert [what for what in HAPPENS if not Life.done[what]] == []
