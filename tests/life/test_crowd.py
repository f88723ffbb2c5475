"""Sixteen sessions do anything at once: nothing deadlocks, nothing is miscounted, all ends."""

from __future__ import annotations

from tests.client import Client
from tests.life.crowd import run_crowd


def test_sixteen_sessions_get_along_and_everything_ends(client: Client) -> None:
    done = run_crowd(client, seconds=10, seed=1)
    wanted = (
        "create", "publish", "start", "complete", "fail", "maintain", "order_about_a_batch",
        "retry_tasks", "cancel_stage", "work_order", "undo_order",
    )  # fmt: skip
    assert [what for what in wanted if not done[what]] == []
