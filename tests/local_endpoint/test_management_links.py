"""The SDK's management link takes 10,000 replies and no more; a worker uses none for so long."""

from __future__ import annotations

import asyncio

import pytest
from azure.servicebus.aio import ServiceBusReceiver as Receiver

from bridge import locks
from tests.local_endpoint.conftest import Bench, Lane


def replies_left(receiver: Receiver) -> int:
    (link,) = receiver._handler._mgmt_links.values()
    left: int = link._mgmt_link._response_link.current_link_credit
    return left


def test_the_sdk_grants_no_more_replies_than_at_first(bench: Bench, lane: Lane) -> None:
    """Should this fail, a newer SDK mends it: nobody need count requests any more."""

    async def work() -> None:
        await lane.receiver.peek_messages()
        first = replies_left(lane.receiver)
        assert first == 10_000 - 1
        for _ in range(20):
            await lane.receiver.peek_messages()
        assert replies_left(lane.receiver) == first - 20

    bench.run(work())


def test_a_worker_takes_another_management_link_in_time(
    bench: Bench, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REQUESTS_OF_A_LINK", 7)
    monkeypatch.setattr(locks, "RENEWAL", 0.0)
    monkeypatch.setattr(locks, "SHORTEST_PERIOD", 0.0)

    async def work() -> None:
        await lane.send("a", "b", "c")
        link = locks.Link(lane.receiver)
        messages = await lane.receiver.receive_messages(3, max_wait_time=5)
        link.hold(messages)
        left = []
        for _ in range(20):
            before = [message.locked_until_utc for message in messages]
            await asyncio.sleep(0.002)
            await link.renew_once()
            assert all(m.locked_until_utc > b for m, b in zip(messages, before, strict=True))
            left.append(replies_left(lane.receiver))
        assert min(left) >= 10_000 - 7
        assert left.count(10_000 - 7) >= 2, "more than one link was used up"
        for message in messages:
            await lane.receiver.complete_message(message)
        await lane.until(lambda counts: counts["active"] == 0)

    bench.run(work())
