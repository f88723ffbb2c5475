"""Scheduling: a message is accepted now and enqueued later, unless it is taken back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState
from azure.servicebus._common import mgmt_handlers
from azure.servicebus.exceptions import MessageNotFoundError, ServiceBusError

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.config import TopicConfig
from tests.local_endpoint.conftest import Bench, Lane, connect

SOON = timedelta(seconds=0.4)
LATER = timedelta(hours=1)


def message(each: str, ahead: timedelta, **own: object) -> ServiceBusMessage:
    """A message that is scheduled."""
    at = datetime.now(UTC) + ahead
    return ServiceBusMessage(b"x", message_id=each, scheduled_enqueue_time_utc=at, **own)


def test_a_message_that_is_sent_for_later_comes_when_it_is_due(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        sent = datetime.now(UTC)
        await lane.sender.send_messages([message("later", SOON), ServiceBusMessage(b"x")])
        counts = lane.counts()
        assert (counts["stored"], counts["scheduled"], counts["scheduled_now"]) == (2, 1, 1)
        assert (await lane.one()).message_id != "later"
        due = await lane.one()
        assert due.message_id == "later"
        assert due.state is ServiceBusMessageState.ACTIVE
        assert due.enqueued_time_utc is not None
        assert due.enqueued_time_utc - sent >= SOON - timedelta(milliseconds=2)
        assert lane.counts()["scheduled_now"] == 0

    bench.run(work())


def test_a_scheduled_message_gets_a_new_number_when_it_is_enqueued(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        (number,) = await lane.sender.schedule_messages(
            message("later", LATER), datetime.now(UTC) + SOON
        )
        await lane.send("now")
        assert number == 1
        assert (await lane.one()).sequence_number == 2
        assert (await lane.one()).sequence_number == 3

    bench.run(work())


def test_a_time_that_has_passed_is_now(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.sender.send_messages(message("a", -LATER))
        assert (await lane.one()).message_id == "a"
        assert lane.counts()["scheduled"] == 0

    bench.run(work())


def test_what_is_scheduled_can_be_seen_and_taken_back(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        at = datetime.now(UTC) + SOON
        given = [ServiceBusMessage(b"x", message_id=each) for each in ("a", "b", "c")]
        first, second, third = await lane.sender.schedule_messages(given, at)
        seen = await lane.receiver.peek_messages(5, sequence_number=1)
        assert [each.sequence_number for each in seen] == [first, second, third]
        assert {each.state for each in seen} == {ServiceBusMessageState.SCHEDULED}
        size = lane.counts()["size_bytes"]
        await lane.sender.cancel_scheduled_messages([first, third])
        assert lane.counts()["size_bytes"] == size / 3
        assert (await lane.one()).message_id == "b"
        assert await lane.receive(wait=0.2) == []
        assert (lane.counts()["cancelled"], lane.counts()["scheduled_now"]) == (2, 0)

    bench.run(work())


def test_a_number_that_is_not_scheduled_is_not_found_and_nothing_is_taken_back(
    bench: Bench, lane: Lane
) -> None:
    async def work() -> None:
        (number,) = await lane.sender.schedule_messages(
            ServiceBusMessage(b"x"), datetime.now(UTC) + LATER
        )
        with pytest.raises(MessageNotFoundError, match="17"):
            await lane.sender.cancel_scheduled_messages([number, 17])
        assert lane.counts()["scheduled_now"] == 1

    bench.run(work())


def test_what_is_to_be_done_next_is_known_to_the_millisecond(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        queue = bench.endpoint.queue(lane.name)
        hour, minute = timedelta(hours=1), timedelta(minutes=1)
        await lane.sender.send_messages(message("a", hour))
        due = queue._schedule.next_time()
        assert due is not None
        assert queue.run_once() == queue._clock.moment(due)
        await lane.sender.send_messages(ServiceBusMessage(b"x", time_to_live=minute))
        expires = queue._store.next_expiry()
        assert expires is not None
        assert queue.run_once() == queue._clock.moment(expires)
        assert timedelta(milliseconds=due - expires) > hour - minute - timedelta(seconds=5)

    bench.run(work())


def test_a_duplicate_is_not_scheduled(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        at = datetime.now(UTC) + LATER
        given = [ServiceBusMessage(b"x", message_id=each) for each in ("a", "b", "a")]
        assert await lane.sender.schedule_messages(given, at) == [1, 2, 0]
        await lane.send("b")
        counts = lane.counts()
        assert (counts["received"], counts["stored"], counts["duplicates_dropped"]) == (4, 2, 2)

    bench.run(work())


def test_a_time_to_live_begins_when_the_message_is_enqueued(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        life, ahead = timedelta(seconds=1), timedelta(seconds=1.2)
        given = [message(each, ahead, time_to_live=life) for each in ("a", "b")]
        await lane.sender.send_messages(given)
        await lane.until(lambda counts: counts["active"] == 2)
        assert lane.counts()["expired"] == 0
        got = await lane.one()
        assert got.time_to_live == life
        await lane.receiver.complete_message(got)
        await lane.until(lambda counts: counts["expired"] == 1)

    bench.run(work())


def test_nothing_is_scheduled_for_a_dead_letter_queue(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        async with lane.buried() as buried:
            schedule = b"com.microsoft:schedule-message"
            with pytest.raises(ServiceBusError, match="not supported"):
                await buried._mgmt_request_response_with_retry(
                    schedule, {}, mgmt_handlers.schedule_op
                )

    bench.run(work())


def test_a_topic_keeps_what_is_scheduled_until_its_subscriptions_get_it() -> None:
    async def work() -> None:
        topics = {"news": TopicConfig(subscriptions={"all": EntityConfig()})}
        async with (
            Endpoint([], topics=topics) as endpoint,
            connect(endpoint.connection_string) as client,
            client.get_topic_sender("news") as sender,
            client.get_subscription_receiver("news", "all") as receiver,
        ):
            at = datetime.now(UTC) + SOON
            given = [ServiceBusMessage(b"x", message_id=each) for each in ("a", "b")]
            first, _ = await sender.schedule_messages(given, at)
            await sender.cancel_scheduled_messages(first)
            entities = endpoint.counts()["entities"]
            assert entities["news"]["scheduled_now"] == 1
            assert entities["news/Subscriptions/all"]["stored"] == 0
            (got,) = await receiver.receive_messages(2, max_wait_time=3)
            assert got.message_id == "b"

    asyncio.run(work())
