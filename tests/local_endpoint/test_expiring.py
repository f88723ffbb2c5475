"""Time to live: what waits for longer is gone, or among the dead letters; a lock keeps it alive."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import MessageNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.batch import Arrival
from bridge.local.endpoint.config import TopicConfig
from bridge.local.endpoint.message import Place
from bridge.local.endpoint.process import run_endpoint
from bridge.local.endpoint.store import Store
from tests.local_endpoint.conftest import Bench, Lane, connect, until

#: The shortest that the SDK can say: whole seconds.
SECOND = timedelta(seconds=1)


def mortal(each: str, life: timedelta | None = SECOND, **own: object) -> ServiceBusMessage:
    """A message with a time to live."""
    return ServiceBusMessage(b"body", message_id=each, time_to_live=life, **own)


def test_what_nobody_receives_in_time_is_gone_and_counted(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.sender.send_messages([mortal("a"), mortal("b", None), mortal("c")])
        await lane.sender.send_messages(mortal("d"))
        began = asyncio.get_running_loop().time()
        await lane.until(lambda counts: counts["expired"] == 3)
        assert asyncio.get_running_loop().time() - began > 0.8
        assert (await lane.one()).message_id == "b"
        counts = lane.counts()
        assert (counts["active"], counts["dead_letter_count"]) == (0, 0)

    bench.run(work())


def test_a_message_says_how_long_it_lives_and_when_it_ends(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        for batch in (mortal("a", timedelta(hours=1)), [mortal("b", timedelta(hours=1))]):
            await lane.sender.send_messages(batch)
            got = await lane.one()
            assert got.time_to_live == timedelta(hours=1)
            assert got.enqueued_time_utc is not None
            assert got.expires_at_utc == got.enqueued_time_utc + timedelta(hours=1)
            # These two are the SDK's; the service passes them on too.
            properties = got.raw_amqp_message.properties
            assert properties is not None
            assert properties.creation_time is not None
            assert properties.absolute_expiry_time == properties.creation_time + 3_600_000

    bench.run(work())


def test_with_dead_lettering_an_expired_message_says_why(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("mortal")
        await lane.send("a", "b")
        await lane.sender.send_messages(
            mortal("c", timedelta(hours=1), application_properties={"own": 1})
        )
        await lane.until(lambda counts: counts["dead_letter_count"] == 3)
        counts = lane.counts()
        assert (counts["expired"], counts["dead_lettered"], counts["active"]) == (3, 3, 0)
        async with lane.buried() as buried:
            got = await take(buried, 3)
            assert [each.message_id for each in got] == ["a", "b", "c"]
            for each in got:
                assert each.dead_letter_reason == "TTLExpiredException"
                assert (
                    each.dead_letter_error_description
                    == "The message expired and was dead lettered."
                )
            assert got[2].application_properties is not None
            assert got[2].application_properties[b"own"] == 1

    bench.run(work())


def test_the_shorter_of_the_two_times_to_live_counts_and_is_told(bench: Bench) -> None:
    async def work() -> None:
        long, short = timedelta(days=20), timedelta(hours=1)
        queues = {"q": EntityConfig(default_ttl=7_200.0)}
        async with (
            Endpoint(queues) as endpoint,
            connect(endpoint.connection_string) as client,
            client.get_queue_sender("q") as sender,
            client.get_queue_receiver("q") as receiver,
        ):
            await sender.send_messages([mortal("a", long), mortal("b", short), mortal("c", None)])
            lives = [each.time_to_live for each in await take(receiver, 3)]
            assert lives == [timedelta(hours=2), short, timedelta(hours=2)]

    asyncio.run(work())


async def take(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    """Receive and complete so many."""
    got: list[ServiceBusReceivedMessage] = []
    while len(got) < count:
        more = await receiver.receive_messages(count - len(got), max_wait_time=3)
        assert more, f"only {len(got)} of {count} came"
        for each in more:
            await receiver.complete_message(each)
        got += more
    return got


def test_a_lock_outlasts_the_life_of_its_message(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.sender.send_messages([mortal("done"), mortal("given back"), mortal("waits")])
        done, given_back = await lane.receive(2)
        # Its end is on the agenda from now on, and will come while it is locked again.
        await lane.receiver.abandon_message(given_back)
        given_back = await lane.one()
        await lane.until(lambda counts: counts["expired"] == 1)
        assert lane.counts()["locked"] == 2
        await lane.receiver.complete_message(done)
        assert (lane.counts()["completed"], lane.counts()["expired"]) == (1, 1)
        await lane.receiver.abandon_message(given_back)
        counts = lane.counts()
        assert (counts["expired"], counts["active"], counts["abandoned"]) == (2, 0, 2)

    bench.run(work())


def test_when_a_lock_ends_after_the_life_of_its_message_that_is_dead(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("mortal")
        await lane.send("a")
        message = await lane.one()
        await lane.until(lambda counts: counts["lock_expired"] == 1)
        assert message.expires_at_utc is not None
        assert message.expires_at_utc < datetime.now(UTC)
        counts = lane.counts()
        assert (counts["expired"], counts["dead_letter_count"], counts["active"]) == (1, 1, 0)

    bench.run(work())


def test_what_comes_back_in_time_expires_while_it_waits(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.sender.send_messages([mortal("a"), mortal("b", None)])
        for _ in range(3):
            first = await lane.one()
            assert first.message_id == "a"
            await lane.receiver.abandon_message(first)
        await lane.until(lambda counts: counts["expired"] == 1)
        assert (await lane.one()).message_id == "b"

    bench.run(work())


def test_the_end_of_a_life_is_on_the_agenda_when_it_begins_to_wait(
    bench: Bench, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        queue = bench.endpoint.queue(lane.name)
        armed: list[float] = []
        monkeypatch.setattr(queue, "arm", armed.append)
        await lane.send("for ever")
        assert armed == []
        await lane.sender.send_messages(mortal("a", timedelta(minutes=1)))
        expires = queue._store.next_expiry()
        assert expires is not None
        assert armed == [queue._clock.moment(expires)]

    bench.run(work())


def test_a_deferred_message_expires_when_somebody_asks_for_it(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("mortal")
        await lane.send("a", "b")
        deferred, _ = await lane.receive(2)
        await lane.receiver.defer_message(deferred)
        await lane.until(lambda counts: counts["lock_expired"] == 1)
        assert lane.counts()["deferred_now"] == 1
        assert deferred.sequence_number is not None
        with pytest.raises(MessageNotFoundError):
            await lane.receiver.receive_deferred_messages(deferred.sequence_number)
        counts = lane.counts()
        assert (counts["deferred_now"], counts["expired"], counts["dead_letter_count"]) == (0, 2, 2)

    bench.run(work())


def test_a_dead_letter_lives_for_ever(bench: Bench, lane: Lane) -> None:
    async def work() -> None:
        await lane.sender.send_messages([mortal("a"), mortal("b")])
        await lane.receiver.dead_letter_message(await lane.one(), reason="why")
        await lane.until(lambda counts: counts["expired"] == 1)
        assert lane.counts()["dead_letter_count"] == 1
        async with lane.buried() as buried:
            assert (await take(buried, 1))[0].message_id == "a"

    bench.run(work())


def test_what_has_expired_is_not_delivered_before_it_is_swept(
    bench: Bench, lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        queue = bench.endpoint.queue(lane.name)
        monkeypatch.setattr(queue, "run_once", lambda: None)
        await lane.sender.send_messages([mortal("a"), mortal("b", timedelta(minutes=1))])
        began = queue.today()
        await until(lambda: queue.today() > began + 1_100)
        assert lane.counts()["active"] == 2
        mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
        async with bench.client.get_queue_receiver(lane.name, receive_mode=mode) as receiver:
            (got,) = await receiver.receive_messages(2, max_wait_time=3)
            assert got.message_id == "b"
        assert (lane.counts()["expired"], lane.counts()["deleted"]) == (1, 1)

    bench.run(work())


def test_of_a_topic_and_its_subscription_the_shorter_time_to_live_counts() -> None:
    async def work() -> None:
        subscriptions = {
            "short": EntityConfig(default_ttl=1.0, dead_letter_on_expiry=True),
            "long": EntityConfig(default_ttl=7_200.0),
        }
        topics = {"news": TopicConfig(EntityConfig(default_ttl=3_600.0), subscriptions)}
        async with (
            Endpoint([], topics=topics) as endpoint,
            connect(endpoint.connection_string) as client,
            client.get_topic_sender("news") as sender,
            client.get_subscription_receiver("news", "long") as receiver,
        ):
            await sender.send_messages(mortal("a", None))
            (got,) = await receiver.receive_messages(1, max_wait_time=3)
            assert got.time_to_live == timedelta(hours=1)
            short = endpoint.queue("news/subscriptions/short")
            await until(lambda: short.counts()["dead_letter_count"] == 1)

    asyncio.run(work())


def test_many_expire_in_goes_and_all_are_counted(bench: Bench) -> None:
    async def work() -> None:
        lane = bench.lane("mortal")
        ids = [f"m{number}" for number in range(2_500)]
        await lane.send(*ids)
        await lane.until(lambda counts: counts["dead_letter_count"] == len(ids))
        assert (lane.counts()["active"], lane.counts()["expired"]) == (0, len(ids))

    bench.run(work())


lives = st.none() | st.integers(1, 8)
steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "take", "take", "put_back", "defer", "complete", "wait"]),
        st.lists(lives, min_size=1, max_size=6),
    ),
    min_size=25,
    max_size=60,
)


@settings(max_examples=300)
@given(steps, st.none() | st.integers(1, 8))
def test_a_store_holds_what_a_list_would_hold(
    script: list[tuple[str, list[int | None]]], longest: int | None
) -> None:
    """The store against a plain list of (number, expiry, place)."""
    store, now, numbers = Store(longest), 0, itertools.count(1)
    expected: dict[int, tuple[int | None, Place]] = {}
    locked = []
    for step, ttls in script:
        if step == "send":
            size = len(ttls)
            arrival = Arrival(
                b"x" * size,
                list(range(size)),
                list(range(1, size + 1)),
                [None] * size,
                {at: ttl for at, ttl in enumerate(ttls) if ttl is not None},
            )
            store.append(arrival, range(size), now)
            for ttl in ttls:
                known = [each for each in (ttl, longest) if each is not None]
                expires = now + min(known) if known else None
                expected[next(numbers)] = expires, Place.WAITING
        elif step == "take" and store.count(Place.WAITING):
            message = store.take()
            store.hold(message)
            locked.append(message)
            first = min(each for each, (_, at) in expected.items() if at is Place.WAITING)
            assert (message.sequence_number, message.expires_at) == (first, expected[first][0])
            expected[first] = expected[first][0], Place.LOCKED
        elif step == "wait":
            now += 1
            while gone := store.expire(now, 2):
                for message in gone:
                    expires, place = expected.pop(message.sequence_number)
                    assert (place, expires) == (Place.WAITING, message.expires_at)
                    store.remove(message)
            assert not store._returned or store._returned[0].place is Place.WAITING
            assert not any(
                place is Place.WAITING and expires is not None and expires <= now
                for expires, place in expected.values()
            )
        elif locked:
            message = locked.pop(0)
            number, expires = message.sequence_number, message.expires_at
            if step == "complete" or message.has_expired(now):
                store.remove(message)
                del expected[number]
            elif step == "defer":
                store.set_aside(message)
                expected[number] = expires, Place.DEFERRED
                assert store.deferred(number) is message
            else:
                store.put_back(message)
                expected[number] = expires, Place.WAITING
        assert [each.sequence_number for each in store.walk(0)] == sorted(expected)
        for place in (Place.WAITING, Place.LOCKED, Place.DEFERRED):
            held = [each for each, (_, at) in expected.items() if at is place]
            assert store.count(place) == len(held)
        assert store.size == len(store) == len(expected)
        middle = len(expected) // 2
        assert [each.sequence_number for each in store.walk(middle)] == sorted(
            each for each in expected if each >= middle
        )


def test_a_time_to_live_can_be_given_on_the_command_line() -> None:
    with (
        run_endpoint(
            ["tasks"], arguments=["--default-ttl", "0.1", "--dead-letter-on-expiry"]
        ) as process,
        SyncClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("tasks") as sender,
        client.get_queue_receiver("tasks", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as buried,
    ):
        sender.send_messages(ServiceBusMessage(b"body"))
        (dead,) = buried.receive_messages(1, max_wait_time=5)
        assert dead.dead_letter_reason == "TTLExpiredException"
