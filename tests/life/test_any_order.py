"""Everything that producers, bridges, workers and operators may do, in any order."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.life.machine import Life
from tests.life.run import STEPS, run_machine

RUNS = 70

#: What must happen at least once, or the rules draw too little to prove anything. What they draw
#: changes with every edit of them: this is what happens dozens of times.
HAPPENS = (
    "fill skip", "seal", "finish_job", "claim", "send accepted True", "fail_batch pending_queue",
    "start: run", "start: taken", "start: cancelled", "complete: completed", "fail: failed",
    "fail: retry_wait", "heartbeat True", "worker_dies", "hold_batch", "unhold_batch",
    "retry_batch", "retry unfinished", "cancel_stage open", "cancel_job running",
    "set_stage open", "work_order cancel_stage", "work_order cancel_job",
    "work_order retry_tasks", "stop_order cancel_stage", "stop_order cancel_job",
    "undo_order cancel_stage", "undo_order cancel_job", "publish filling", "withdraw provisional",
    "start: wait", "work_order withdraw_stage",
)  # fmt: skip


@pytest.mark.starts_first
def test_whatever_happens_the_database_is_as_the_model_says_and_all_ends(client: Client) -> None:
    Life.done.clear()
    Life.steps = 0
    run_machine(client, RUNS)
    assert Life.steps >= max(2000, RUNS * STEPS // 2)
    missing = [what for what in HAPPENS if not Life.done[what]]
    # The rarest, and those that only come after one of them; a soak comes to all.
    assert len(missing) <= 7, missing
