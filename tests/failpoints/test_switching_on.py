"""How failpoints are named, listed and switched on, and what is said of a wrong name."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from click.testing import CliRunner

from bridge import failpoints
from bridge.cli import main
from bridge.database import Database
from bridge.errors import SettingsError
from bridge.house_keeping import HouseKeeping
from bridge.publisher import Publisher
from tests.failpoints.scene import CALLS, SIDES


def test_the_command_lists_every_point_and_action_in_a_line() -> None:
    result = CliRunner().invoke(main, ["failpoints"])
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.output.splitlines() if line.startswith("  ")]
    assert listed == [*failpoints.POINTS, *failpoints.ACTIONS]


def test_the_points_are_before_and_after_the_calls_that_are_tried() -> None:
    points = {f"{call}.{side}" for call in CALLS for side in SIDES}
    assert set(failpoints.POINTS) == points
    wrapped = {
        name
        for edge in (Database, HouseKeeping, Publisher)
        for name, method in inspect.getmembers(edge, inspect.isfunction)
        if hasattr(method, "__wrapped__") and not name.startswith("_")
    }
    assert wrapped == set(CALLS)


@pytest.mark.parametrize(
    "wrong",
    [
        "record_send=kill",
        "no_such.before=kill",
        "send.before",
        "send.before=explode",
        "send.before=stall",
        "send.before=stall:soon",
        "send.before=stall:nan",
        "send.before=stall:-1",
        "send.before=kill:3",
        "send.before=kill@0",
        "send.before=kill@often",
        "send.before=kill, send.after=kill",
    ],
)
def test_a_wrong_one_is_told_with_the_rule_and_all_there_is(wrong: str) -> None:
    with pytest.raises(SettingsError) as raised:
        failpoints.switch_on(f"send.after=kill; {wrong}")
    said = str(raised.value)
    assert said.startswith(f"STAGEBUS_FAILPOINTS: {wrong!r} is not a failpoint")
    assert all(name in said for name in (*failpoints.POINTS, *failpoints.ACTIONS))
    assert "@N" in said


def test_a_bridge_does_not_start_with_a_wrong_one() -> None:
    result = CliRunner().invoke(
        main,
        ["bridge", "--database-url", "host=127.0.0.1 port=1", "--servicebus-namespace", "none"],
        env={"STAGEBUS_FAILPOINTS": "send.between=kill"},
    )
    assert result.exit_code == 1
    assert result.output.startswith("Error: STAGEBUS_FAILPOINTS: 'send.between=kill'")
    assert len(result.output.splitlines()) == 1


class Edge:
    """A call of a name that has points."""

    async def cut(self, *, answered: bool) -> None:
        raise AssertionError("nobody cuts here")

    @failpoints.failpoint
    async def maintain(self) -> str:
        return "done"


@pytest.mark.parametrize(
    ("given", "passings"),
    [
        (None, []),
        (" ", []),
        ("send.before=raise@every", []),
        ("maintain.before=raise", [1]),
        ("maintain.before=raise@3", [3]),
        ("maintain.before=raise@every", [1, 2, 3, 4]),
        ("maintain.before=raise@2; maintain.before=raise@4;", [2, 4]),
        # The point after a call is not passed when it did not come to the call.
        ("maintain.before=raise; maintain.after=raise@2", [1, 3]),
    ],
)
def test_one_acts_at_the_passings_that_were_named(
    given: str | None, passings: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    failpoints.switch_on(given)

    async def failed() -> bool:
        try:
            return await Edge().maintain() != "done"
        except failpoints.Unexpected:
            return True

    async def scenario() -> list[int]:
        return [passing for passing in range(1, 5) if await failed()]

    assert asyncio.run(scenario()) == passings
    assert [record.getMessage() for record in caplog.records] == ["failpoint.hit"] * len(passings)
