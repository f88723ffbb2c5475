"""Peeking: messages are looked at, whatever their state, and stay as they are."""

from __future__ import annotations

import sys
from itertools import islice

from azure.servicebus import ServiceBusMessageState

from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.store import Store
from tests.local_endpoint.conftest import Bench, Lane


def test_active_locked_and_deferred_messages_are_seen_in_order(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a", "b", "c", "d")
        await lane.send("e")
        deferred, locked, returned = await lane.receive(3)
        await lane.receiver.defer_message(deferred)
        await lane.receiver.abandon_message(returned)
        before = lane.counts()
        seen = await lane.receiver.peek_messages(10, sequence_number=1)
        assert [each.message_id for each in seen] == ["a", "b", "c", "d", "e"]
        assert [each.state for each in seen][:2] == [
            ServiceBusMessageState.DEFERRED,
            ServiceBusMessageState.ACTIVE,
        ]
        assert lane.counts() == before
        await lane.receiver.complete_message(locked)

    bench.run(work())


def test_a_look_begins_where_it_is_told_and_goes_on_where_it_ended(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        await lane.send(*(f"m{number}" for number in range(6)))
        first = await lane.receiver.peek_messages(2, sequence_number=2)
        assert [each.message_id for each in first] == ["m1", "m2"]
        following = await lane.receiver.peek_messages(2)
        assert [each.message_id for each in following] == ["m3", "m4"]
        assert await lane.receiver.peek_messages(5, sequence_number=7) == []

    bench.run(work())


def test_dead_letters_can_be_looked_at(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        await lane.receiver.dead_letter_message(await lane.one(), reason="why")
        async with lane.buried() as buried:
            (seen,) = await buried.peek_messages(5)
            assert (seen.message_id, seen.dead_letter_reason) == ("a", "why")
            (still,) = await buried.receive_messages(1, max_wait_time=5)
            await buried.complete_message(still)

    bench.run(work())


def test_a_look_at_ten_of_a_million_looks_at_no_more() -> None:
    """However they are held: never delivered, given back, locked or deferred."""
    store = Store(None)
    thousand = Arrival(b"x" * 1_000, list(range(1_000)), list(range(1, 1_001)), [None] * 1_000)
    for _ in range(1_000):
        store.append(thousand, range(1_000), 0)
    for turn in range(400_000):
        message = store.take()
        store.hold(message)
        if turn % 4 == 0:
            store.set_aside(message)
        elif turn % 4 == 1:
            message.failed_deliveries += 1
    calls: list[str] = []
    for first in (1, 200_000, 399_995, 400_500, 999_999):
        sys.setprofile(lambda frame, event, argument: calls.append(event))
        found = [each.sequence_number for each in islice(store.walk(first), 10)]
        sys.setprofile(None)
        assert found == list(range(first, min(first + 10, 1_000_001)))
    assert 50 < len(calls) < 2_500


def test_a_reply_holds_only_so_many_bytes(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        for number in range(12):
            await lane.send(f"m{number}", body=bytes(200_000))
        first = await lane.receiver.peek_messages(12)
        following = await lane.receiver.peek_messages(12)
        got = [each.message_id for each in (*first, *following)]
        assert len(first) == 6
        assert got == [f"m{number}" for number in range(12)]

    bench.run(work())


def test_the_sequence_of_dead_letters_is_that_of_the_messages(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a", "b", "c")
        for message in reversed(await lane.receive(3)):
            await lane.receiver.dead_letter_message(message)
        async with lane.buried() as buried:
            seen = await buried.peek_messages(5)
            assert [each.message_id for each in seen] == ["a", "b", "c"]

    bench.run(work())


def test_a_reply_holds_only_so_many_messages(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send(*(f"m{number}" for number in range(300)))
        assert len(await lane.receiver.peek_messages(300)) == 250
        assert len(await lane.receiver.peek_messages(300)) == 50

    bench.run(work())
