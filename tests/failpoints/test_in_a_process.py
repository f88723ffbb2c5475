"""Exceptions, sleeps and cut connections at any point: the bridge, or one beside it, goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge import failpoints, maintenance, relay
from bridge.relay import Relay
from bridge.settings import Settings
from tests.bridge.conftest import LOSES_CONNECTIONS
from tests.client import Client
from tests.eventually import becomes
from tests.failpoints.scene import (
    CALLS,
    LEASE,
    LEFT,
    LONG_LEASE,
    MAINTENANCE,
    POLL,
    RECOVERY,
    SENT_AT_ONCE,
    SIDES,
    JournalledQueue,
    Outcome,
    Scene,
)

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]
Log = pytest.LogCaptureFixture
Patch = pytest.MonkeyPatch

#: Longer than a lease, and a poll of whoever takes over.
STALL = LEASE + 3 * POLL

#: A stall that outlives the lease leaves a batch to another bridge, and then goes on as if nothing
#: had happened: a send that had been begun before goes out as well.
STALLED = {
    **LEFT,
    "send.before": LEFT["send.after"],
}

#: A call whose connection is cut before it, or its answer with it, is made again; only a claim
#: whose answer is lost is nobody's until its lease runs out. Of a send nobody knows what it did.
CUT = {
    **dict.fromkeys(CALLS, Outcome()),
    "claim_batches": Outcome(unknown=1),
    "send": Outcome(unknown=2),
}


def hits(log: Log) -> list[tuple[str, str]]:
    """The points that acted, and what they did, in order."""
    return [
        (fields["name"], fields["action"])
        for record in log.records
        if record.getMessage() == "failpoint.hit"
        for fields in [record.__dict__["stagebus_fields"]]
    ]


def lease_of(call: str) -> float:
    """A lease is to run out only where the call that fails is that of its batch."""
    return LONG_LEASE if call in MAINTENANCE else LEASE


async def start_failing(
    scene: Scene, settings: Settings, log: Log, action: str, *sides: str
) -> tuple[Relay, asyncio.Task[None]]:
    """A bridge that has done `action` at these sides of the call; the failpoints are off again."""
    log.clear()
    failpoints.switch_on(scene.failpoints(action, *sides))
    relay = Relay(settings)
    work = asyncio.create_task(relay.run())
    if scene.drains:
        await becomes(lambda: ("send.before", "stall:0.3") in hits(log))
        relay.stop()
    for side in sides:
        await becomes(lambda side=side: (f"{scene.call}.{side}", action) in hits(log))
    failpoints.switch_on(None)
    return relay, work


async def recover(
    scene: Scene, settings: Settings, *failed: tuple[Relay, asyncio.Task[None]]
) -> None:
    """Until another bridge has brought all to its end, and all of them have stopped."""
    another = Relay(replace(settings, lease=LONG_LEASE))
    bridges = [*failed, (another, asyncio.create_task(another.run()))]
    try:
        await becomes(lambda: scene.done, within=RECOVERY)
    finally:
        for relay, _ in bridges:
            relay.stop()
        async with asyncio.timeout(30):
            ends = await asyncio.gather(*(work for _, work in bridges), return_exceptions=True)
    assert ends == [None] * len(ends)


@pytest.fixture(autouse=True)
def frequent_rounds(monkeypatch: Patch) -> None:
    """House-keeping that has failed is done again before long."""
    monkeypatch.setattr(maintenance, "INTERVAL", POLL)


@pytest.fixture
def log(caplog: Log) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "stagebus")
    return caplog


@pytest.mark.parametrize("call", CALLS)
def test_an_exception_before_and_after_a_call_loses_nothing(
    client: Client, queue: JournalledQueue, settings: Make, log: Log, call: str
) -> None:
    scene = Scene(client, queue, call, failures=2)
    given = scene.settings(settings, lease_of(call))

    async def scenario() -> None:
        failed = []
        for side in SIDES:
            relay, work = await start_failing(scene, given, log, "raise", side)
            relay.stop()
            failed.append((relay, work))
        await recover(scene, given, *failed)

    asyncio.run(scenario())
    scene.assert_nothing_is_lost(LEFT[f"{call}.before"] + LEFT[f"{call}.after"])


@pytest.mark.parametrize("point", LEFT)
def test_a_stall_that_outlives_the_lease_loses_nothing(
    client: Client, queue: JournalledQueue, settings: Make, log: Log, point: str
) -> None:
    call, _, side = point.partition(".")
    scene = Scene(client, queue, call, failures=1)
    given = scene.settings(settings, lease_of(call))

    async def scenario() -> None:
        stalled = await start_failing(scene, given, log, f"stall:{STALL:g}", side)
        await recover(scene, given, stalled)

    asyncio.run(scenario())
    scene.assert_nothing_is_lost(STALLED[point])


@pytest.mark.parametrize("call", CALLS)
def test_a_connection_cut_before_and_after_a_call_loses_nothing(
    client: Client, queue: JournalledQueue, settings: Make, log: Log, call: str
) -> None:
    scene = Scene(client, queue, call, failures=1)
    # Only a claim whose answer is lost needs the end of its lease.
    given = scene.settings(settings, LEASE if call == "claim_batches" else LONG_LEASE)

    async def scenario() -> None:
        cut = await start_failing(scene, given, log, "cut", *SIDES)
        await recover(scene, given, cut)

    asyncio.run(scenario())
    scene.assert_nothing_is_lost(CUT[call])


def test_a_bridge_whose_claims_keep_failing_ends_when_its_lanes_are_done(
    client: Client, queue: JournalledQueue, settings: Make, log: Log, monkeypatch: Patch
) -> None:
    scene = Scene(client, queue, "claim_batches", failures=0)
    monkeypatch.setattr(relay, "LONGEST_PAUSE", 0.01)
    queue.endpoint.faults.set(
        name=queue.name, on="send", do="late", seconds=1, times=None, entity=queue.name
    )

    async def scenario() -> None:
        work = asyncio.create_task(Relay(settings(connections=2, poll=0.05)).run())
        await becomes(lambda: queue.stored == SENT_AT_ONCE)
        failpoints.switch_on("claim_batches.before=raise@every")
        with pytest.raises(failpoints.Unexpected):
            await work

    asyncio.run(scenario())
    crashed = [record for record in log.records if record.getMessage() == "claim.crashed"]
    assert len(crashed) == relay.MOST_CRASHES + 1
    # The batch that was on its way was given back, with the sends that had been begun recorded.
    (batch,) = client.batches(scene.job_id)
    assert batch.state == "pending_queue"
    assert queue.stored == batch.published_through >= SENT_AT_ONCE
