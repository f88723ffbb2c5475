"""Deferring: a message is put aside, and comes only to who asks for its sequence number."""

from __future__ import annotations

import pytest
from azure.servicebus import ServiceBusMessageState, ServiceBusReceiveMode
from azure.servicebus.exceptions import MessageNotFoundError

from tests.local_endpoint.conftest import Bench, Lane


def test_a_deferred_message_comes_to_nobody_but_who_names_it(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a", "b")
        first = await lane.one()
        await lane.receiver.defer_message(first)
        assert first.sequence_number is not None
        second = await lane.one()
        assert second.message_id == "b"
        assert lane.counts()["deferred_now"] == 1
        (again,) = await lane.receiver.receive_deferred_messages(first.sequence_number)
        assert again.message_id == "a"
        assert again.state is ServiceBusMessageState.DEFERRED
        assert again.locked_until_utc is not None
        await lane.receiver.complete_message(again)
        assert lane.counts()["deferred_now"] == lane.counts()["locked"] - 1 == 0

    bench.run(work())


def test_a_deferred_message_that_is_abandoned_is_deferred_again(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        message = await lane.one()
        await lane.receiver.defer_message(message)
        assert message.sequence_number is not None
        (again,) = await lane.receiver.receive_deferred_messages([message.sequence_number])
        await lane.receiver.abandon_message(again)
        assert (lane.counts()["active"], lane.counts()["deferred_now"]) == (0, 1)
        (third,) = await lane.receiver.receive_deferred_messages([message.sequence_number])
        assert third.delivery_count == 1
        await lane.receiver.dead_letter_message(third, reason="enough")
        assert (lane.counts()["dead_letter_count"], lane.counts()["deferred_now"]) == (1, 0)

    bench.run(work())


def test_a_number_that_is_not_deferred_is_not_found_and_nothing_is_received(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        await lane.send("a", "b")
        deferred, active = await lane.receive(2)
        await lane.receiver.defer_message(deferred)
        assert deferred.sequence_number is not None
        assert active.sequence_number is not None
        with pytest.raises(MessageNotFoundError, match=str(active.sequence_number)):
            await lane.receiver.receive_deferred_messages(
                [deferred.sequence_number, active.sequence_number]
            )
        assert lane.counts()["deferred_now"] == 1

    bench.run(work())


def test_receive_and_delete_takes_a_deferred_message_for_good(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        message = await lane.one()
        await lane.receiver.defer_message(message)
        assert message.sequence_number is not None
        mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
        async with lane.bench.client.get_queue_receiver(lane.name, receive_mode=mode) as receiver:
            (taken,) = await receiver.receive_deferred_messages([message.sequence_number])
            assert taken.message_id == "a"
        counts = lane.counts()
        assert (counts["deleted"], counts["deferred_now"], counts["locked"]) == (1, 0, 0)

    bench.run(work())
