"""Bars, sparklines and durations; and what `watch` makes of looks at a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bridge.drawing import ASCII, UNICODE, duration, glyphs_for, per_second
from bridge.watch_screen import line, screen
from bridge.watching import Look, Past


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, 10, "░░░░░"),
        (5, 10, "██▌░░"),
        (999_999, 1_000_000, "████▉"),
        (10, 10, "█████"),
        (0, 0, "█████"),
        (11, 10, "█████"),
    ],
)
def test_a_bar_is_full_only_when_all_is_done(done: int, total: int, text: str) -> None:
    assert UNICODE.bar(done, total, 5) == text


def test_a_bar_of_plain_characters() -> None:
    assert ASCII.bar(5, 10, 5) == "##..."


def test_a_sparkline_tells_a_little_from_nothing() -> None:
    assert UNICODE.sparkline([0, 1, 50, 100]) == "▁▂▅█"
    assert UNICODE.sparkline([0, 0]) == "▁▁"
    assert ASCII.sparkline([]) == ""


def test_glyphs_are_those_that_the_output_can_have() -> None:
    assert glyphs_for("utf-8") is UNICODE
    assert [glyphs_for(each) for each in ("ascii", "latin-1", "no such", None)] == [ASCII] * 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (200_000, "2 d 7:33:20"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rates() -> None:
    assert [per_second(rate) for rate in (0, 0.25, 9.94, 12_345.6)] == [
        "0.0/s", "0.2/s", "9.9/s", "12,346/s",
    ]  # fmt: skip


def stage(number: int, tasks: int, completed: int, **others: Any) -> dict[str, Any]:
    """A row of job_progress."""
    return {
        "stage": number,
        "name": None,
        "group_value": None,
        "task_type": "h3_hexagon",
        "stage_status": "open",
        "tasks": tasks,
        "completed": completed,
        "failed": 0,
        "cancelled": 0,
        "retry_wait": 0,
        "percent": round(100 * completed / tasks, 1),
        "rate": 1.5,
        **others,
    }


def look(at: float, *stages: dict[str, Any], status: str = "running") -> Look:
    return Look(at, UUID(int=7), "tiles", status, timedelta(seconds=at), stages)


def past_of(*looks: Look) -> Past:
    past = Past()
    for each in looks:
        past.add(each)
    return past


def test_the_rate_is_that_of_the_last_minute() -> None:
    looks = [look(at, stage(1, 10_000, 10 * at)) for at in range(0, 100, 10)]
    after = look(160, stage(1, 10_000, 900 + 600))
    past = past_of(*looks, after)
    assert past.rate(after.stages[0]) == pytest.approx((1500 - 900) / (160 - 90))
    assert past.seconds_left(after.stages[0]) == pytest.approx(8500 * 70 / 600)


def test_at_first_the_rate_is_the_average_of_the_view() -> None:
    now = look(1, stage(1, 100, 40))
    assert past_of(now).rate(now.stages[0]) == 1.5
    assert past_of(now).seconds_left(now.stages[0]) == 40


def test_of_a_stage_that_stands_still_nobody_knows_the_end() -> None:
    now = look(50, stage(1, 100, 40))
    assert past_of(look(0, stage(1, 100, 40)), now).seconds_left(now.stages[0]) is None


def test_a_stage_that_came_later_has_a_rate_of_its_own_time() -> None:
    now = look(50, stage(1, 100, 100), stage(2, 100, 50))
    past = past_of(look(0, stage(1, 100, 40)), look(40, stage(1, 100, 99), stage(2, 100, 0)), now)
    assert past.rate(now.stages[1]) == 5


def test_the_rates_of_a_minute_and_a_retry_in_it() -> None:
    past = past_of(
        look(0, stage(1, 1000, 0)),
        look(30, stage(1, 1000, 300)),
        look(31, stage(1, 1000, 100)),
        look(60, stage(1, 1000, 100)),
    )
    assert past.rates(4) == pytest.approx([10, 10, 0, 0], abs=0.01)


def test_a_screen_fits_whatever_the_job_has() -> None:
    stages = [
        stage(number, 2_000_000_000, 1_999_999_999, name="n" * 63, failed=1, retry_wait=10**9)
        for number in range(1, 60)
    ]
    now = look(10_000_000, *stages)
    for width, height in ((99, 23), (40, 5)):
        lines = screen(now, past_of(now), UNICODE, width, height)
        assert len(lines) == height
        assert max(map(len, lines)) <= width
    assert "… and 39 more stages" in screen(now, past_of(now), UNICODE, 99, 23)


def test_a_screen_keeps_the_stages_that_go_on() -> None:
    ended = [stage(n, 10, 10, stage_status="completed") for n in range(2, 9)]
    now = look(9, stage(1, 10, 5), *ended)
    head, first, *others, left_out, rates = screen(now, past_of(now), UNICODE, 99, 7)
    assert head.split()[1:] == [str(UUID(int=7)), "tiles", "running", "9", "s"]
    assert first.split()[:5] == ["1", "h3_hexagon", "█" * 15 + "░" * 15, "50.0", "%"]
    assert [each.split()[0] for each in others] == ["6", "7", "8"]
    assert (left_out, rates.split()[:2]) == ("… and 4 more stages", ["last", "minute"])


def test_a_screen_tells_of_the_stages_to_come() -> None:
    coming = [
        {"name": "mosaic", "waits_for": "a, b", "status": "waits"},
        {"name": "clean_up", "waits_for": "all others", "status": "cannot be made"},
    ]
    now = replace(look(9, *[stage(n, 10, 5) for n in range(1, 9)]), coming=coming)
    *_, left_out, to_come, _ = screen(now, past_of(now), UNICODE, 99, 7)
    assert left_out == "… and 5 more stages"
    assert to_come == "to come  mosaic (after a, b), clean_up (cannot be made)"


def test_what_is_drawn_stays_where_it_is_whatever_the_names() -> None:
    hostile = stage(1, 10, 5, name="\x1b[2J", group_value="north\nsouth")
    now = replace(look(9, hostile), job_type="a\rb")
    head, first, _ = screen(now, past_of(now), UNICODE, 99, 23)
    assert "  a?b  " in head
    assert first.startswith("  1 ?[2J north?south ")
    assert line(now, past_of(now)).startswith("9 s  running: 1 ?[2J north?south, ")


def test_a_line_tells_of_what_goes_on() -> None:
    now = look(
        10,
        stage(1, 10, 10, stage_status="completed"),
        stage(2, 2000, 1000, name="total", failed=3),
    )
    assert line(now, past_of(now)) == (
        "10 s  running: 2 total, 50.0 %, 1,003 of 2,000, 1.5/s, 11:05 left, 3 failed"
    )
    end = look(11, stage(1, 10, 10, stage_status="completed"), status="completed")
    assert line(end, past_of(end)) == "11 s  completed: 1 stages have ended"
