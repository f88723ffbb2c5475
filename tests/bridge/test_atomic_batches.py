"""Atomic batches on a real broker: one send each, accepted as a whole or not at all."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from azure.core.settings import settings as sdk_settings

from bridge import pages
from bridge.batch import Claim, Message
from bridge.database import Database
from bridge.settings import Settings
from tests.bridge.conftest import (
    BATCH_BYTES,
    LOSES_CONNECTIONS,
    BridgeProcess,
    Queue,
    all_queued,
    assert_ledger_is_whole,
    expected_ids,
    running,
    states,
)
from tests.client import Client
from tests.eventually import becomes, eventually

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]


@pytest.fixture
def fault(queue: Queue) -> Callable[..., None]:
    """Sets a fault on the sends to this test's queue."""

    def set_fault(**fields: Any) -> None:
        queue.endpoint.faults.set(name=queue.name, entity=queue.name, **fields)

    return set_fault


@pytest.fixture
def stage(client: Client, queue: Queue) -> Callable[..., UUID]:
    """Makes a stage of atomic batches for what the endpoint says that it takes."""

    def make(
        tasks: int, max_send_bytes: int = BATCH_BYTES, seal: bool = True, **options: Any
    ) -> UUID:
        client.set_destination("tasks", max_send_bytes=max_send_bytes)
        client.set_task_type("tiles", **{"atomic": True, "batch_size": 1000, **options})
        job_id = client.create_job()
        client.create_stage_tasks(job_id, 1, "tiles", tasks, seal=seal)
        return job_id

    return make


def publish(
    settings: Settings, until: Callable[[], bool], meanwhile: Callable[[], None] | None = None
) -> None:
    async def scenario() -> None:
        async with running(settings):
            if meanwhile is not None:
                meanwhile()
            await becomes(until, within=30)

    asyncio.run(scenario())


def failed(client: Client) -> bool:
    return set(states(client)) == {"failed"}


def test_each_batch_arrives_as_one_full_send(
    client: Client, queue: Queue, settings: Make, stage: Callable[..., UUID]
) -> None:
    job_id = stage(1000)
    publish(settings(connections=2), lambda: all_queued(client))
    batches = client.batches(job_id)
    assert len(batches) > 10
    assert queue.counts["sends_accepted"] == len(batches)
    assert queue.counts["sends_rejected"] == 0
    assert_ledger_is_whole(client, job_id)
    sends = client.rows("select * from stagebus_data.sends order by recorded_at")
    assert {send.batch_id: send.messages for send in sends} == {
        batch.batch_id: batch.task_count for batch in batches
    }
    # All but the last take more than 93 parts of 100.
    assert sorted(send.bytes for send in sends)[1] > 0.93 * BATCH_BYTES
    received = {str(message.message_id) for message in queue.receive(1000)}
    assert received == expected_ids(client, job_id)


def test_a_batch_of_many_pages_is_one_send_whatever_the_bridge_is_set_to(
    client: Client,
    queue: Queue,
    settings: Make,
    stage: Callable[..., UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "PAGE_ROWS", 7)
    stage(60, boundary="by_stage")
    publish(settings(max_send_messages=10), lambda: all_queued(client))
    assert client.column("select messages from stagebus.sends") == [60]
    assert (queue.counts["sends_accepted"], queue.stored) == (1, 60)


@pytest.mark.parametrize("page", [2, 3])
@pytest.mark.parametrize("order", ["hold_batch", "cancel_stage", "withdraw_stage"])
def test_what_was_read_of_a_batch_before_it_was_taken_away_is_not_sent(
    client: Client,
    queue: Queue,
    settings: Make,
    stage: Callable[..., UUID],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    order: str,
    page: int,
) -> None:
    """The pages after that are empty; those before are a part, which must not go out alone."""
    monkeypatch.setattr(pages, "PAGE_ROWS", 7)
    job_id = stage(60, seal=order != "withdraw_stage")
    if order == "withdraw_stage":
        client.publish_stage(job_id)
    (batch,) = client.batches(job_id)
    read = Database.batch_messages
    asked: list[int] = []

    async def taken_away_before(
        database: Database, claim: Claim, after_index: int, limit: int
    ) -> list[Message]:
        asked.append(after_index)
        if len(asked) == page:
            if order == "withdraw_stage":
                client.withdraw_stage(job_id)
            else:
                client.order(order, job_id, batch.batch_id if order == "hold_batch" else 1)
                client.work_orders()
        return await read(database, claim, after_index, limit)

    monkeypatch.setattr(Database, "batch_messages", taken_away_before)
    publish(settings(), lambda: "batch.fenced" in caplog.text)
    assert asked == [0, 7, 14][:page]
    if order != "withdraw_stage":
        assert client.batches(job_id)[0].state in ("held", "cancelled")
    assert (queue.stored, queue.counts["sends_accepted"]) == (0, 0)
    if order == "hold_batch":
        client.order("unhold_batch", job_id, batch.batch_id)
        publish(settings(), lambda: all_queued(client))
        assert (queue.stored, queue.counts["sends_accepted"]) == (60, 1)


@pytest.mark.parametrize(
    "condition", ["com.microsoft:argument-error", "amqp:link:message-size-exceeded"]
)
def test_what_is_refused_waits_whole_for_an_operator_and_goes_out_whole(
    client: Client,
    queue: Queue,
    settings: Make,
    stage: Callable[..., UUID],
    fault: Callable[..., None],
    condition: str,
) -> None:
    job_id = stage(60)
    fault(do="reject", condition=condition, description="not allowed", holds="-s1-31.1.", times=1)
    publish(settings(), lambda: failed(client))
    (batch,) = client.batches(job_id)
    assert "the broker refuses it as a whole, 60 tasks with " in batch.last_error
    assert f"{client.value('select bytes from stagebus.sends')} bytes" in batch.last_error
    assert (queue.stored, batch.published_through, batch.publish_attempts) == (0, 0, 1)
    assert client.column("select outcome from stagebus.sends") == ["rejected"]
    assert client.task_states(job_id) == {"pending_queue": 60}
    assert client.recount(job_id) == []

    client.order("retry_batch", job_id, batch.batch_id)
    publish(settings(), lambda: all_queued(client))
    assert (queue.stored, queue.counts["sends_accepted"]) == (60, 1)
    assert_ledger_is_whole(client, job_id)


def test_a_link_that_takes_less_than_the_destination_says_fails_it_whole(
    client: Client, queue: Queue, settings: Make, stage: Callable[..., UUID]
) -> None:
    job_id = stage(200, max_send_bytes=262_144)
    publish(settings(), lambda: failed(client))
    (batch,) = client.batches(job_id)
    assert batch.last_error.startswith("atomic, but it does not fit in one send: 200 tasks with")
    assert batch.last_error.endswith(
        f"link and destination take 4500 with {BATCH_BYTES - 512} bytes"
    )
    needed = int(batch.last_error.split(" bytes;")[0].split()[-1])
    assert BATCH_BYTES < needed < 200 * 450
    assert (queue.stored, client.count("sends")) == (0, 0)
    assert client.task_states(job_id) == {"pending_queue": 200}


@pytest.mark.parametrize(
    "lowered", [{"max_send_messages": 59}, {"max_send_bytes": 8192}], ids=lambda each: str([*each])
)
def test_a_limit_that_was_lowered_fails_it_whole_until_it_is_raised(
    client: Client,
    queue: Queue,
    settings: Make,
    stage: Callable[..., UUID],
    lowered: dict[str, int],
) -> None:
    job_id = stage(60)
    client.set_destination("tasks", **lowered)
    publish(settings(), lambda: failed(client))
    (batch,) = client.batches(job_id)
    assert "60 tasks" in batch.last_error
    taken = {"max_send_messages": 4500, "max_send_bytes": BATCH_BYTES} | lowered
    assert batch.last_error.endswith(
        f"take {taken['max_send_messages']} with {taken['max_send_bytes'] - 512} bytes"
    )
    assert queue.stored == 0
    client.set_destination("tasks", max_send_messages=60, max_send_bytes=BATCH_BYTES)
    client.order("retry_batch", job_id, batch.batch_id)
    publish(settings(), lambda: all_queued(client))
    assert (queue.stored, queue.counts["sends_accepted"]) == (60, 1)


def test_throttling_spends_nothing_and_it_goes_out_whole(
    client: Client,
    queue: Queue,
    settings: Make,
    stage: Callable[..., UUID],
    fault: Callable[..., None],
) -> None:
    stage(60)
    fault(do="throttle", times=1)
    publish(settings(), lambda: all_queued(client))
    assert client.column("select outcome from stagebus.sends order by send_no") == [
        "rejected",
        "accepted",
    ]
    assert client.column("select publish_attempts from stagebus.batches") == [0]
    assert (queue.stored, queue.counts["sends_accepted"]) == (60, 1)


@pytest.mark.parametrize("do", ["release", "drop_before", "drop_after"])
def test_what_nobody_can_tell_is_repeated_whole_with_the_same_ids(
    client: Client,
    queue: Queue,
    settings: Make,
    stage: Callable[..., UUID],
    fault: Callable[..., None],
    do: str,
) -> None:
    job_id = stage(60)
    fault(do=do, times=1)
    publish(settings(send_deadline=1.0, lease=30.0), lambda: all_queued(client))
    sends = client.rows("select outcome, messages from stagebus.sends order by send_no")
    assert [tuple(send) for send in sends] == [("unknown", 60), ("accepted", 60)]
    assert queue.stored == 60
    assert queue.counts["duplicates_dropped"] == (60 if do == "drop_after" else 0)
    assert_ledger_is_whole(client, job_id)


@pytest.mark.parametrize("point", ["send.before", "send.after", "record_last_send.after"])
def test_after_a_bridge_was_killed_at_it_the_next_repeats_it_whole(
    client: Client,
    queue: Queue,
    stage: Callable[..., UUID],
    start_bridge: Callable[..., BridgeProcess],
    point: str,
) -> None:
    job_id = stage(60)
    arguments = ("--connections", "1", "--lease", "3", "--send-deadline", "1", "--poll", "0.2")
    bridge = start_bridge(*arguments, STAGEBUS_FAILPOINTS=f"{point}=kill")
    assert bridge.exit_code() == -signal.SIGKILL
    (batch,) = client.batches(job_id)
    recorded = point == "record_last_send.after"
    assert batch.published_through == (60 if recorded else 0)
    assert queue.stored == (0 if point == "send.before" else 60)
    start_bridge(*arguments)
    eventually(lambda: all_queued(client), within=30)
    assert queue.stored == 60
    assert queue.counts["duplicates_dropped"] == (60 if point == "send.after" else 0)
    assert client.column("select outcome from stagebus.sends order by send_no") == (
        ["accepted"] if recorded else ["unknown", "accepted"]
    )


def test_of_a_batch_published_again_goes_out_what_nobody_started(
    client: Client, queue: Queue, settings: Make, stage: Callable[..., UUID]
) -> None:
    """Its last tasks are not in the send, and still the batch is published to its end."""
    job_id = stage(60)
    claim = client.claim()
    messages = client.batch_messages(claim)
    client.record_send(claim, 1, 60)
    client.finish_batch(claim)
    client.start_all(messages[50:], UUID(int=1))
    client.order("retry_batch", job_id, claim.batch_id)
    publish(settings(), lambda: all_queued(client))
    assert queue.stored == 50
    sends = client.rows("select * from stagebus.sends where dispatch = 2")
    assert [(send.first_index, send.last_index, send.messages) for send in sends] == [(1, 60, 50)]
    assert client.batch(claim).published_through == 60


def test_tracing_adds_nothing_to_what_was_packed(
    client: Client, queue: Queue, settings: Make, stage: Callable[..., UUID]
) -> None:
    """The SDK would put 130 bytes and more into each message, were its tracing on."""

    class Span:
        def __init__(self, **_: Any) -> None: ...

        def __enter__(self) -> Span:
            return self

        def __exit__(self, *_: object) -> None: ...

        def to_header(self) -> dict[str, str]:
            return {"traceparent": "0" * 55, "tracestate": "s" * 100}

        def add_attribute(self, *_: object) -> None: ...

    tracing: Any = sdk_settings.tracing_implementation
    tracing.set_value(Span)
    try:
        stage(1000)
        publish(settings(), lambda: all_queued(client))
    finally:
        tracing.set_value(None)
    assert queue.stored == 1000
    assert not any(message.application_properties for message in queue.receive(1000))
