"""Faults of deliveries and settlements: what the receiver sees, and what becomes of the message."""

from __future__ import annotations

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.exceptions import (
    MessageLockLostError,
    ServiceBusConnectionError,
    ServiceBusServerBusyError,
)

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.config import TopicConfig
from tests.local_endpoint.conftest import Bench, connect, until
from tests.local_endpoint.faults.conftest import HANGS, LOSES_CONNECTIONS, Stage, outcome

pytestmark = LOSES_CONNECTIONS

SETTLEMENTS = [
    ("reject", {}, "MessageLockLostError", 0),
    ("reject", {"info": None, "description": None}, "MessageLockLostError", 0),
    ("reject", {"condition": "amqp:internal-error"}, "ServiceBusError", 0),
    ("throttle", {}, "ServiceBusServerBusyError", 0),
    ("never", {}, HANGS, 1),
    ("never", {"store": False}, HANGS, 0),
    ("late", {"seconds": 0.2}, "ok", 1),
    ("drop_before", {}, "ServiceBusConnectionError", 0),
    ("drop_after", {}, "ServiceBusConnectionError", 1),
    # The SDK asks again by lock token, of which the lock is gone or not.
    ("detach", {}, "MessageLockLostError", 1),
    ("detach", {"store": False}, "ok", 1),
]


@pytest.mark.parametrize(("action", "fields", "becomes", "completed"), SETTLEMENTS)
def test_the_sdk_makes_of_a_struck_settlement(
    bench: Bench,
    stage: Stage,
    action: str,
    fields: dict[str, object],
    becomes: str,
    completed: int,
) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        message = await stage.lane.one()
        name = stage.set(on="settle", do=action, **fields)
        found = await outcome(stage.lane.receiver.complete_message(message), becomes)
        counts = stage.lane.counts()
        assert (found, counts["completed"], stage.counted(name)[1]) == (becomes, completed, 1)
        assert counts["locked"] == 1 - completed

    bench.run(work())


@pytest.mark.parametrize(
    ("store", "becomes"), [(True, "MessageLockLostError"), (False, "ok")], ids=["stored", "not"]
)
def test_a_settlement_nobody_answers_is_asked_for_again_by_lock_token(
    bench: Bench, stage: Stage, store: bool, becomes: str
) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        message = await stage.lane.one()
        name = stage.set(on="settle", do="never", store=store)
        # The SDK waits for an outcome for 60 seconds, unless this is changed behind its back.
        stage.lane.receiver._config.timeout = 0.3
        found = await outcome(stage.lane.receiver.complete_message(message), becomes)
        assert (found, stage.lane.counts()["completed"]) == (becomes, 1)
        assert stage.counted(name) == (1, 1)

    bench.run(work())


def test_a_settlement_by_lock_token_is_struck_too(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        message = await stage.lane.one()
        bench.endpoint.faults.set(
            name="links",
            on="now",
            do="detach",
            entity=stage.lane.name,
            condition="amqp:not-allowed",
        )
        name = stage.set(on="settle", do="reject")
        with pytest.raises(MessageLockLostError):
            await stage.lane.receiver.complete_message(message)
        assert (stage.counted(name), stage.lane.counts()["locked"]) == ((1, 1), 1)

    bench.run(work())


def test_a_message_lost_on_its_way_out_stays_locked_until_its_lock_ends(
    bench: Bench, short_stage: Stage
) -> None:
    async def work() -> None:
        stage = short_stage
        await stage.lane.send("a")
        name = stage.set(on="deliver", do="never")
        assert await stage.lane.receive(1, wait=0.4) == []
        assert (stage.counted(name), stage.lane.counts()["completed"]) == ((1, 1), 0)
        again = await stage.lane.one()
        assert (again.message_id, again.delivery_count) == ("a", 1)
        await stage.lane.receiver.complete_message(again)
        assert stage.lane.counts()["lock_expired"] == 1

    bench.run(work())


@pytest.mark.parametrize("action", ["drop_before", "detach"])
def test_a_connection_or_link_that_ends_before_a_delivery_loses_it_until_its_lock_ends(
    bench: Bench, short_stage: Stage, action: str
) -> None:
    async def work() -> None:
        stage = short_stage
        await stage.lane.send("a")
        name = stage.set(on="deliver", do=action)
        with pytest.raises(ServiceBusConnectionError):
            await stage.lane.receiver.receive_messages(1, max_wait_time=3)
        assert stage.counted(name) == (1, 1)
        assert (await stage.lane.one()).delivery_count == 1
        counts = stage.lane.counts()
        assert (counts["delivered"], counts["lock_expired"]) == (2, 1)

    bench.run(work())


def test_a_connection_that_ends_after_a_delivery_leaves_a_message_nobody_can_complete(
    bench: Bench, short_stage: Stage
) -> None:
    async def work() -> None:
        stage = short_stage
        await stage.lane.send("a", "b")
        name = stage.set(on="deliver", do="drop_after")
        (message,) = await stage.lane.receiver.receive_messages(1, max_wait_time=3)
        assert message.message_id == "a"
        with pytest.raises(ServiceBusConnectionError):
            await stage.lane.receiver.complete_message(message)
        assert (stage.lane.counts()["completed"], stage.counted(name)) == (0, (1, 1))
        await stage.lane.until(lambda counts: counts["lock_expired"] == 1)
        assert [each.message_id for each in await stage.lane.receive(2)] == ["a", "b"]

    bench.run(work())


def test_no_delivery_follows_the_one_that_the_connection_ends_with(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        await stage.lane.send("a", "b", "c")
        stage.set(on="deliver", do="drop_after", after=1)
        # What the SDK has received by then it forgets.
        with pytest.raises(ServiceBusConnectionError):
            await stage.lane.receiver.receive_messages(3, max_wait_time=3)
        counts = stage.lane.counts()
        assert (counts["delivered"], counts["active"]) == (2, 1)

    bench.run(work())


def test_a_late_delivery_comes_when_it_is_due(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        name = stage.set(on="deliver", do="late", seconds=0.3)
        message = await stage.lane.one()
        assert stage.counted(name) == (1, 1)
        await stage.lane.receiver.complete_message(message)
        assert stage.lane.counts()["completed"] == 1

    bench.run(work())


def test_what_is_received_and_deleted_is_lost_with_its_connection(
    bench: Bench, stage: Stage
) -> None:
    async def work() -> None:
        await stage.lane.send("a")
        name = stage.set(on="deliver", do="drop_before")
        async with bench.client.get_queue_receiver(
            stage.lane.name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
        ) as receiver:
            with pytest.raises(ServiceBusConnectionError):
                await receiver.receive_messages(1, max_wait_time=3)
        counts = stage.lane.counts()
        assert (counts["deleted"], counts["active"], stage.counted(name)) == (1, 0, (1, 1))

    bench.run(work())


def test_a_dead_letter_queue_has_faults_of_its_own(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        lane = stage.lane
        await lane.send("a")
        await lane.receiver.dead_letter_message(await lane.one(), reason="why")
        above = stage.set(on="settle", do="reject", times=None)
        name = stage.set(on="settle", do="reject", entity=f"{lane.name}/$DeadLetterQueue")
        async with lane.buried() as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=3)
            with pytest.raises(MessageLockLostError):
                await receiver.complete_message(message)
        assert (stage.counted(name), stage.counted(above)) == ((1, 1), (0, 0))
        assert lane.counts()["dead_letter_count"] == 1

    bench.run(work())


def test_topics_and_subscriptions_have_faults_of_their_own(
    bench: Bench, collect_garbage: None
) -> None:
    async def work() -> None:
        topics = {"t": TopicConfig(subscriptions={"s": EntityConfig()})}
        async with (
            Endpoint(topics=topics) as endpoint,
            connect(endpoint.connection_string) as client,
            client.get_topic_sender("t") as sender,
            client.get_subscription_receiver("t", "s") as receiver,
        ):
            endpoint.faults.set(name="topic", on="send", do="reject", entity="t")
            endpoint.faults.set(
                name="subscription", on="settle", do="reject", entity="t/Subscriptions/s"
            )
            with pytest.raises(ServiceBusServerBusyError):
                await sender.send_messages(ServiceBusMessage(b"x"))
            await sender.send_messages(ServiceBusMessage(b"x"))
            (message,) = await receiver.receive_messages(1, max_wait_time=3)
            with pytest.raises(MessageLockLostError):
                await receiver.complete_message(message)
            assert endpoint.faults.done() == {"topic": 1, "subscription": 1}

    bench.run(work())


def test_a_settlement_that_is_refused_leaves_the_lock_to_its_end(
    bench: Bench, short_stage: Stage
) -> None:
    async def work() -> None:
        lane = short_stage.lane
        await lane.send("a")
        short_stage.set(on="settle", do="reject")
        with pytest.raises(MessageLockLostError):
            await lane.receiver.complete_message(await lane.one())
        await until(lambda: lane.counts()["lock_expired"] == 1)
        await lane.receiver.complete_message(await lane.one())
        assert lane.counts()["completed"] == 1

    bench.run(work())
