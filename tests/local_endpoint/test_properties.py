"""A settlement may change application properties: on the link and by lock token."""

from __future__ import annotations

import uuid

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus._pyamqp.error import AMQPError
from azure.servicebus._pyamqp.utils import amqp_long_value
from azure.servicebus.exceptions import ServiceBusError

from tests.local_endpoint.conftest import Bench, Lane

#: One of each simple type that the SDK encodes by itself.
CHANGES = {
    "text": "é" * 200,
    "count": amqp_long_value(2**40),
    "small": -1,
    "share": 0.5,
    "yes": True,
    "none": None,
    "raw": b"\x00\xff",
    "id": uuid.UUID(int=7),
}


async def send(lane: Lane) -> None:
    own = {"own": "kept", "count": 1}
    message = ServiceBusMessage(b"body", message_id="a", application_properties=own)
    await lane.sender.send_messages(message)


async def modify(
    lane: Lane, message: ServiceBusReceivedMessage, changes: dict[str, object], **how: bool
) -> None:
    """Abandon or defer with changed properties, as the SDKs of other languages do it."""
    await lane.receiver._handler.settle_messages_async(
        message._delivery_id,
        message._delivery_tag,
        "modified",
        message_annotations=changes,
        await_outcome=True,
        **how,
    )


def check(message: ServiceBusReceivedMessage) -> None:
    """The message has the changes, what it had before, and the rest as it was."""
    expected: dict[bytes, object] = {name.encode(): value for name, value in CHANGES.items()}
    text = str(CHANGES["text"]).encode()
    expected |= {b"own": b"kept", b"text": text, b"count": 2**40}
    assert message.application_properties == expected
    assert (message.message_id, b"".join(message.body)) == ("a", b"body")


def test_an_abandoned_message_comes_back_with_the_changes(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await send(lane)
        message = await lane.one()
        size = lane.counts()["size_bytes"]
        await modify(lane, message, CHANGES, delivery_failed=True, undeliverable_here=False)
        again = await lane.one()
        check(again)
        assert (again.delivery_count, lane.counts()["abandoned"]) == (1, 1)
        assert lane.counts()["size_bytes"] > size
        await lane.receiver.complete_message(again)
        assert lane.counts()["size_bytes"] == 0

    bench.run(work())


def test_a_deferred_message_is_received_with_the_changes(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await send(lane)
        message = await lane.one()
        await modify(lane, message, CHANGES, delivery_failed=True, undeliverable_here=True)
        assert lane.counts()["deferred_now"] == 1
        assert message.sequence_number is not None
        (again,) = await lane.receiver.receive_deferred_messages(message.sequence_number)
        check(again)

    bench.run(work())


def test_a_dead_letter_has_the_changes_beside_its_reason(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await send(lane)
        message = await lane.one()
        why = {"DeadLetterReason": "poison", "DeadLetterErrorDescription": None}
        await lane.receiver._handler.settle_messages_async(
            message._delivery_id,
            message._delivery_tag,
            "rejected",
            error=AMQPError(
                condition=b"com.microsoft:dead-letter",
                description="poison",
                info={"count": 2, **why},
            ),
            await_outcome=True,
        )
        async with lane.buried() as buried:
            (dead,) = await buried.receive_messages(1, max_wait_time=3)
            assert dead.application_properties == {
                b"own": b"kept",
                b"count": 2,
                b"DeadLetterReason": b"poison",
            }

    bench.run(work())


@pytest.mark.parametrize("status", ["abandoned", "defered", "suspended"])
def test_by_lock_token_the_changes_are_the_same(bench: Bench, lane: Lane, status: str) -> None:
    async def work() -> None:
        await send(lane)
        message = await lane.one()
        assert message.sequence_number is not None
        changes = {"properties-to-modify": {"count": 2}}
        if status == "suspended":
            changes |= {"deadletter-reason": "poison", "deadletter-description": "by token"}
        await lane.receiver._settle_message_via_mgmt_link(status, [message.lock_token], changes)
        expected: dict[bytes, object] = {b"own": b"kept", b"count": 2}
        if status == "abandoned":
            again = await lane.one()
        elif status == "defered":
            (again,) = await lane.receiver.receive_deferred_messages(message.sequence_number)
        else:
            expected |= {
                b"DeadLetterReason": b"poison",
                b"DeadLetterErrorDescription": b"by token",
            }
            async with lane.buried() as buried:
                (again,) = await buried.receive_messages(1, max_wait_time=3)
        assert again.application_properties == expected

    bench.run(work())


def test_a_value_no_property_can_have_is_refused_and_the_message_stays_locked(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        await send(lane)
        message = await lane.one()
        for value in ({"a": 1}, ["b"]):
            with pytest.raises(ServiceBusError, match="'own' has a value"):
                await lane.receiver._settle_message_via_mgmt_link(
                    "abandoned", [message.lock_token], {"properties-to-modify": {"own": value}}
                )
        assert lane.counts()["locked"] == 1
        await lane.receiver.complete_message(message)
        assert lane.counts()["completed"] == 1

    bench.run(work())
