"""Locks: they end, can be renewed, and outlive the connection that took them."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._common import mgmt_handlers
from azure.servicebus.aio import AutoLockRenewer
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError

from tests.local_endpoint.conftest import Bench, Lane


def trust(message: ServiceBusReceivedMessage) -> ServiceBusReceivedMessage:
    """Let the SDK ask the endpoint, rather than its own clock, whether the lock still holds."""
    message._expiry = datetime.now(UTC) + timedelta(hours=1)
    return message


def test_when_its_lock_ends_a_message_comes_back_and_is_counted(bench: Bench, short: Lane) -> None:
    async def work() -> None:
        await short.send("a", "b")
        loop = asyncio.get_running_loop()
        first = await short.one()
        received = loop.time()
        assert first.delivery_count == 0
        await short.until(lambda counts: counts["lock_expired"] == 1)
        assert 0.1 < loop.time() - received < 2.0
        again, other = await short.receive(2)
        assert (again.message_id, again.delivery_count) == ("a", 1)
        assert (other.message_id, other.delivery_count) == ("b", 0)
        assert again.sequence_number == first.sequence_number
        assert again.lock_token != first.lock_token
        assert short.counts()["redelivered"] == 1

    bench.run(work())


def test_a_message_nobody_settles_ends_among_the_dead_letters(bench: Bench, short: Lane) -> None:
    async def work() -> None:
        await short.send("a")
        for count in (0, 1):
            assert (await short.one()).delivery_count == count
        await short.until(lambda counts: counts["dead_letter_count"] == 1)
        assert short.counts()["lock_expired"] == 2
        assert short.counts()["active"] == 0

    bench.run(work())


@pytest.mark.parametrize("settle", ["complete", "abandon", "dead_letter"])
def test_settling_after_the_end_of_the_lock_is_lock_lost(
    bench: Bench, short: Lane, settle: str
) -> None:
    async def work() -> None:
        await short.send("a")
        message = trust(await short.one())
        await short.until(lambda counts: counts["lock_expired"] == 1)
        with pytest.raises(MessageLockLostError):
            await getattr(short.receiver, f"{settle}_message")(message)
        assert short.counts()["active"] == 1

    bench.run(work())


def test_the_sdk_is_told_when_a_lock_is_lost_to_another_receiver(bench: Bench, short: Lane) -> None:
    async def work() -> None:
        await short.send("a")
        late = trust(await short.one())
        await short.until(lambda counts: counts["lock_expired"] == 1)
        again = await short.one()
        with pytest.raises(MessageLockLostError):
            await short.receiver.complete_message(late)
        await short.receiver.complete_message(again)
        assert short.counts()["completed"] == 1

    bench.run(work())


def test_a_renewed_lock_lasts_longer(bench: Bench, short: Lane) -> None:
    async def work() -> None:
        await short.send("a")
        message = await short.one()
        loop = asyncio.get_running_loop()
        started = loop.time()
        while loop.time() - started < 1.0:
            until = await short.receiver.renew_message_lock(message)
            left = until - datetime.now(UTC)
            assert timedelta(seconds=0.1) < left < timedelta(seconds=0.6)
            await asyncio.sleep(0.1)
        await short.receiver.complete_message(message)
        counts = short.counts()
        assert (counts["lock_expired"], counts["completed"]) == (0, 1)
        assert counts["locks_renewed"] >= 3

    bench.run(work())


def test_the_auto_renewer_of_the_sdk_keeps_a_lock(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("renewed")
        await lane.send("a")
        message = await lane.one()
        async with AutoLockRenewer() as renewer:
            # It looks every second whether a lock is about to end.
            renewer.register(lane.receiver, message, max_lock_renewal_duration=30)
            await lane.until(lambda counts: counts["locks_renewed"] >= 2)
            await lane.receiver.complete_message(message)
        assert lane.counts()["lock_expired"] == 0

    bench.run(work())


def test_a_lock_that_has_ended_cannot_be_renewed(bench: Bench, short: Lane) -> None:
    async def work() -> None:
        await short.send("a")
        message = trust(await short.one())
        await short.until(lambda counts: counts["lock_expired"] == 1)
        with pytest.raises(MessageLockLostError):
            await short.receiver.renew_message_lock(message)
        assert short.counts()["active"] == 1

    bench.run(work())


def test_what_a_lost_connection_had_locked_comes_back_when_the_lock_ends(
    bench: Bench, short: Lane
) -> None:
    async def work() -> None:
        await short.send("a")
        receiver = bench.client.get_queue_receiver(short.name)
        await receiver.__aenter__()
        (message,) = await receiver.receive_messages(1, max_wait_time=3)
        receiver._handler._connection._transport.writer.transport.abort()
        assert short.counts()["locked"] == 1
        again = await short.one()
        assert (again.message_id, again.delivery_count) == (message.message_id, 1)
        assert short.counts()["lock_expired"] == 1
        await receiver.close()

    bench.run(work())


def test_a_lock_outlives_its_receiver_and_can_be_settled_by_token(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.send("a")
        async with bench.client.get_queue_receiver(lane.name) as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=3)
        assert lane.counts()["locked"] == 1
        await lane.receiver._settle_message_via_mgmt_link("completed", [message.lock_token])
        assert lane.counts()["completed"] == 1

    bench.run(work())


def test_an_unknown_management_operation_is_refused(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        with pytest.raises(ServiceBusError, match="not supported"):
            await lane.receiver._mgmt_request_response_with_retry(
                b"com.microsoft:enumerate-rules", {}, mgmt_handlers.default
            )

    bench.run(work())


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        (b"renew-lock", {"lock-tokens": [uuid.UUID(int=1)]}, 410),
        (b"cancel-scheduled-message", {"sequence-numbers": [10_000]}, 404),
        (b"peek-message", {"from-sequence-number": 1, "message-count": 0}, 400),
        (b"enumerate-rules", {}, 501),
        (b"peek-message", {"from-sequence-number": 1, "message-count": 1}, 204),
    ],
)
def test_the_reply_to_a_request_has_the_status_that_goes_with_its_condition(
    bench: Bench, lane: Lane, operation: bytes, body: dict[str, object], status: int
) -> None:
    async def work() -> None:
        found = await lane.receiver._mgmt_request_response_with_retry(
            b"com.microsoft:" + operation, body, lambda status, *reply, **transport: status
        )
        assert found == status

    bench.run(work())
