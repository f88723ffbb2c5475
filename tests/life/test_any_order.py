"""Everything that producers, bridges, workers and operators may do, in any order."""

from __future__ import annotations

from tests.client import Client
from tests.life.machine import Life
from tests.life.run import STEPS, run_machine

RUNS = 130

#: What must happen at least once, or the rules draw too little to prove anything.
HAPPENS = (
    "create_stage open", "seal", "finish_job", "claim", "send accepted True", "finish_batch True",
    "fail_batch pending_queue", "release_batch True", "gather_retries", "end_lost_attempts",
    "start: run", "start: taken", "start: cancelled", "start: stale", "complete: completed",
    "fail: failed", "fail: retry_wait", "heartbeat True", "worker_dies", "hold_batch",
    "unhold_batch", "retry_batch", "retry unfinished", "retry_tasks failed True",
    "retry_tasks cancelled True", "cancel_stage open", "cancel_job running", "set_stage open",
    "work_order cancel_stage", "work_order cancel_job", "work_order retry_tasks",
    "work_order retry_batch", "stop_order cancel_stage", "stop_order cancel_job",
    "undo_order cancel_stage", "undo_order cancel_job", "undo_order hold_batch",
)  # fmt: skip


def test_whatever_happens_the_database_is_as_the_model_says_and_all_ends(client: Client) -> None:
    Life.done.clear()
    Life.steps = 0
    run_machine(client, RUNS)
    assert Life.steps >= max(2000, RUNS * STEPS // 2)
    missing = [what for what in HAPPENS if not Life.done[what]]
    # The rarest; a soak comes to them.
    assert len(missing) <= 4, missing
