"""Messages of provisional stages that a worker keeps: when it asks again."""

from __future__ import annotations

import pytest

from bridge.kept import KeptMessages, Messages
from bridge.task_calls import Asked


def some(task_id: str) -> Messages:
    return {Asked(task_id, 1, "nonce", "work"): []}


@pytest.mark.parametrize("delays", [(60, 3600), (3600, 60)])
def test_all_are_asked_about_when_the_first_are(delays: tuple[int, int]) -> None:
    kept = KeptMessages(10)
    for number, delay in enumerate(delays):
        kept.keep(some(f"{number}"), delay)
        kept.keep({}, 0)
    assert 50 < (kept.seconds_left() or 0) <= 60


def test_what_was_taken_brings_nothing_forward() -> None:
    kept = KeptMessages(10)
    kept.keep(some("1"), 0)
    assert len(kept.due()) == 1
    assert kept.seconds_left() is None
    kept.keep(some("2"), 60)
    assert not kept.due()
