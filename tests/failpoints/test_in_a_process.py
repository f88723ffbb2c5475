"""Exceptions, sleeps and cut connections at any point: the bridge, or one beside it, goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bridge import failpoints
from bridge.relay import Relay
from bridge.settings import Settings
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, running
from tests.client import Client
from tests.eventually import becomes
from tests.failpoints.scene import CALLS, LEASE, LEFT, POLL, RECOVERY, SIDES, Outcome, Scene

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]

#: Longer than a lease, and a poll of whoever takes over.
STALL = LEASE + 4 * POLL

#: A stall that outlives the lease leaves a batch to another bridge, and then goes on as if nothing
#: had happened: a send that had been begun before goes out as well.
STALLED = {**LEFT, "send.before": LEFT["send.after"]}

#: A call whose connection is cut before it, or its answer with it, is made again; only a claim
#: whose answer is lost is nobody's until its lease runs out. Of a send nobody knows what it did.
CUT = {
    **dict.fromkeys(CALLS, Outcome()),
    "claim_batches": Outcome(unknown=1),
    "send": Outcome(unknown=2),
}


def hits(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The points that acted, and what they did, in order."""
    return [
        (fields["name"], fields["action"])
        for record in log.records
        if record.getMessage() == "failpoint.hit"
        for fields in [record.__dict__["stagebus_fields"]]
    ]


@asynccontextmanager
async def failing(
    scene: Scene, settings: Settings, log: pytest.LogCaptureFixture, action: str, *sides: str
) -> AsyncIterator[None]:
    """A bridge that has done `action` at these sides of the call; the failpoints are off again.

    At the end it drains, unless the exception has ended it.
    """
    failpoints.switch_on(scene.failpoints(action, *sides))
    relay = Relay(settings)
    work = asyncio.create_task(relay.run())
    try:
        if scene.drains:
            await becomes(lambda: ("send.before", "stall:0.3") in hits(log))
            relay.stop()
        for side in sides:
            await becomes(lambda side=side: (f"{scene.call}.{side}", action) in hits(log))
        failpoints.switch_on(None)
        yield
    finally:
        relay.stop()
        async with asyncio.timeout(30):
            (ended,) = await asyncio.gather(work, return_exceptions=True)
        assert (ended is not None) == (scene.call == "claim_batches" and action == "raise")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "stagebus")
    return caplog


@pytest.mark.parametrize("call", CALLS)
def test_an_exception_before_and_after_a_call_loses_nothing(
    client: Client, queue: Queue, settings: Make, log: pytest.LogCaptureFixture, call: str
) -> None:
    scene = Scene(client, queue, call, failures=2)
    given = settings(connections=1, lease=LEASE, poll=POLL, send_deadline=scene.send_deadline)

    async def scenario() -> None:
        for side in SIDES:
            log.clear()
            async with failing(scene, given, log, "raise", side):
                pass
        async with running(given):
            await becomes(lambda: scene.done, within=RECOVERY)

    asyncio.run(scenario())
    scene.assert_nothing_is_lost(LEFT[f"{call}.before"] + LEFT[f"{call}.after"])


@pytest.mark.parametrize("point", LEFT)
def test_a_stall_that_outlives_the_lease_loses_nothing(
    client: Client, queue: Queue, settings: Make, log: pytest.LogCaptureFixture, point: str
) -> None:
    call, _, side = point.partition(".")
    scene = Scene(client, queue, call, failures=1)
    given = settings(connections=1, lease=LEASE, poll=POLL, send_deadline=scene.send_deadline)

    async def scenario() -> None:
        async with failing(scene, given, log, f"stall:{STALL:g}", side), running(given):
            await becomes(lambda: scene.done, within=RECOVERY)

    asyncio.run(scenario())
    scene.assert_nothing_is_lost(STALLED[point])


@pytest.mark.parametrize("call", CALLS)
def test_a_connection_cut_before_and_after_a_call_loses_nothing(
    client: Client, queue: Queue, settings: Make, log: pytest.LogCaptureFixture, call: str
) -> None:
    scene = Scene(client, queue, call, failures=2)
    given = settings(connections=1, lease=LEASE, poll=POLL, send_deadline=scene.send_deadline)

    async def scenario() -> None:
        async with failing(scene, given, log, "cut", *SIDES), running(given):
            await becomes(lambda: scene.done, within=RECOVERY)

    asyncio.run(scenario())
    scene.assert_nothing_is_lost(CUT[call])
