"""Peeking: messages are looked at, whatever their state, and stay as they are."""

from __future__ import annotations

from azure.servicebus import ServiceBusMessageState

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
