"""Settlement: complete, abandon, release, dead-letter, and what counts as a failed delivery."""

from __future__ import annotations

import uuid

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp.error import MessageException
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from tests.local_endpoint.conftest import Bench, Lane


def test_a_completed_message_is_gone(bench: Bench, short: Lane) -> None:
    async def work() -> None:
        await short.send("a")
        await short.receiver.complete_message(await short.one())
        counts = short.counts()
        assert (counts["completed"], counts["active"], counts["locked"]) == (1, 0, 0)
        assert await short.receive(wait=0.6) == []

    bench.run(work())


def test_an_abandoned_message_comes_back_first_and_counted(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a", "b", "c")
        first, second = await lane.receive(2)
        await lane.receiver.abandon_message(second)
        await lane.receiver.abandon_message(first)
        got = await lane.receive(3)
        assert [(m.message_id, m.delivery_count) for m in got] == [("a", 1), ("b", 1), ("c", 0)]
        assert lane.counts()["redelivered"] == 2
        assert lane.counts()["abandoned"] == 2

    bench.run(work())


def test_a_released_message_comes_back_uncounted(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        message = await lane.one()
        await lane.receiver._handler.settle_messages_async(
            message._delivery_id, message._delivery_tag, "released", await_outcome=True
        )
        again = await lane.one()
        assert (again.message_id, again.delivery_count) == ("a", 0)
        assert again.lock_token != message.lock_token
        assert lane.counts()["released"] == 1

    bench.run(work())


def test_a_dead_lettered_message_keeps_its_parts_and_says_why(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.sender.send_messages(
            ServiceBusMessage(
                b"payload",
                message_id="a",
                subject="s",
                application_properties={"own": "yes", "DeadLetterReason": "an old one"},
            )
        )
        await lane.receiver.dead_letter_message(
            await lane.one(), reason="poison", error_description="cannot be read"
        )
        counts = lane.counts()
        assert (counts["dead_lettered"], counts["dead_letter_count"]) == (1, 1)
        assert (counts["active"], counts["locked"]) == (0, 0)
        async with lane.buried() as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=3)
            assert (message.message_id, message.subject) == ("a", "s")
            assert b"".join(message.body) == b"payload"
            assert message.dead_letter_reason == "poison"
            assert message.dead_letter_error_description == "cannot be read"
            assert message.application_properties is not None
            assert message.application_properties[b"own"] == b"yes"
            await receiver.complete_message(message)
        assert lane.counts()["dead_letter_count"] == 0

    bench.run(work())


def test_after_too_many_failed_deliveries_a_message_is_dead_lettered(
    bench: Bench, short: Lane
) -> None:
    async def work() -> None:
        await short.send("a", "b")
        for _ in range(2):
            message = await short.one()
            assert message.message_id == "a"
            await short.receiver.abandon_message(message)
        assert short.counts()["dead_letter_count"] == 1
        assert (await short.one()).message_id == "b"
        async with short.buried() as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=3)
            assert (message.message_id, message.delivery_count) == ("a", 2)
            assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
            assert message.dead_letter_error_description == (
                "Message could not be consumed after 2 delivery attempts."
            )
            await receiver.complete_message(message)

    bench.run(work())


def test_settling_by_lock_token_does_what_settling_on_the_link_does(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        await lane.send("a", "b", "c")
        settle = lane.receiver._settle_message_via_mgmt_link
        first, second, third = await lane.receive(3)
        await settle("completed", [first.lock_token])
        await settle("abandoned", [second.lock_token])
        why = {"deadletter-reason": "poison", "deadletter-description": "by token"}
        await settle("suspended", [third.lock_token], dead_letter_details=why)
        counts = lane.counts()
        assert (counts["completed"], counts["abandoned"], counts["dead_lettered"]) == (1, 1, 1)
        assert ((await lane.one()).message_id) == "b"
        async with lane.buried() as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=3)
            assert message.dead_letter_reason == "poison"
            assert message.dead_letter_error_description == "by token"

    bench.run(work())


def test_settling_several_by_token_is_all_or_nothing(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a", "b")
        first, second = await lane.receive(2)
        settle = lane.receiver._settle_message_via_mgmt_link
        await settle("completed", [first.lock_token])
        with pytest.raises(MessageLockLostError):
            await settle("completed", [second.lock_token, first.lock_token])
        assert lane.counts()["locked"] == 1
        with pytest.raises(ServiceBusError):
            await settle("mislaid", [second.lock_token])
        assert lane.counts()["locked"] == 1
        await settle("defered", [second.lock_token])
        assert (lane.counts()["locked"], lane.counts()["deferred_now"]) == (0, 1)

    bench.run(work())


def test_a_refused_settlement_says_why_with_an_id_to_trace_it_by(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        message = await lane.one()
        await lane.receiver._settle_message_via_mgmt_link("completed", [message.lock_token])
        with pytest.raises(MessageException) as refused:
            await lane.receiver._handler.settle_messages_async(
                message._delivery_id, message._delivery_tag, "accepted", await_outcome=True
            )
        error = refused.value
        assert error.condition == b"com.microsoft:message-lock-lost"
        assert b"The lock supplied is invalid." in error.description
        assert uuid.UUID(error.info[b"tracking-id"].decode())
        with pytest.raises(MessageLockLostError, match="The lock supplied is invalid"):
            await lane.receiver._settle_message_via_mgmt_link("completed", [message.lock_token])

    bench.run(work())


def test_a_dead_letter_can_be_abandoned_and_dead_lettered_and_stays_until_it_is_completed(
    bench: Bench, short: Lane
) -> None:
    async def work() -> None:
        await short.send("a")
        await short.receiver.dead_letter_message(await short.one(), reason="first")
        async with short.buried() as buried:
            # More often than such a queue delivers a message that is not dead.
            for count in range(4):
                (dead,) = await buried.receive_messages(1, max_wait_time=3)
                assert dead.delivery_count == count
                await buried.abandon_message(dead)
            (dead,) = await buried.receive_messages(1, max_wait_time=3)
            await buried.dead_letter_message(dead, reason="second")
            (dead,) = await buried.receive_messages(1, max_wait_time=3)
            assert (dead.dead_letter_reason, dead.delivery_count) == ("first", 4)
            assert short.counts()["dead_letter_count"] == 1
            await buried.complete_message(dead)
        assert short.counts()["dead_letter_count"] == 0

    bench.run(work())
