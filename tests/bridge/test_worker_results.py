"""The reference worker when the database will not keep a result, or a message cannot be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.amqp import AmqpAnnotatedMessage

from bridge.exact_json import Json
from bridge.task_calls import LONGEST_SENT
from bridge.worker import StartedTask, Worker
from tests.bridge.conftest import Queue
from tests.client import Client, PublishedStage
from tests.eventually import becomes


class Returns:
    """A handler that gives each task the result that its own parameter `result` names."""

    def __init__(self, **results: Any) -> None:
        self.results = results
        self.parameters: list[dict[str, Json]] = []

    def __call__(self, tasks: Sequence[StartedTask]) -> list[Json]:
        self.parameters += [task.parameters for task in tasks]
        return [self.results[str(task.parameters["result"])] for task in tasks]


@pytest.fixture
def work_through(
    client: Client, queue: Queue, worker_url: str
) -> Callable[[Returns, PublishedStage, int], Worker]:
    """Lets one worker see so many messages through, in one receive each time."""

    def work(handler: Returns, published: PublishedStage, settled: int) -> Worker:
        queue.send([message_of(message.body) for message in published.messages])
        return run(handler, settled)

    def run(handler: Returns, settled: int) -> Worker:
        worker = Worker(worker_url, queue.connection_string, handler, queue=queue.name)

        async def scenario() -> None:
            task = asyncio.create_task(worker.run())
            try:
                await becomes(
                    lambda: queue.counts["completed"] + queue.counts["dead_lettered"] == settled
                )
            finally:
                worker.stop()
                async with asyncio.timeout(20):
                    await task

        asyncio.run(scenario())
        return worker

    return work


def message_of(body: Any) -> ServiceBusMessage:
    return ServiceBusMessage(body, message_id=str(uuid4()), application_properties={})


def dead_letters(queue: Queue, messages: int) -> list[ServiceBusReceivedMessage]:
    with (
        ServiceBusClient.from_connection_string(queue.connection_string) as service,
        service.get_queue_receiver(
            queue.name,
            sub_queue=ServiceBusSubQueue.DEAD_LETTER,
            receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE,
        ) as receiver,
    ):
        return receiver.receive_messages(messages, max_wait_time=5)


#: What is returned, and what the dead letter says of it.
REFUSED: dict[str, tuple[Any, str]] = {
    "large": ("x" * 70_000, "70002 bytes as text; a result has at most 65536"),
    "huge": ("é" * LONGEST_SENT, "too large"),
    "deep": ([[[]]], ""),
    "nan": (float("nan"), "JSON"),
    "nul": ({"a": "\0"}, "\\u0000 cannot be converted to text"),
    "surrogate": ("\ud800", "surrogate"),
    "set": ({1, 2}, "set"),
    "numeric": (Decimal("1e999999"), "overflows numeric"),
}
for _ in range(70):
    REFUSED["deep"] = ([REFUSED["deep"][0]], "nested too deep")


def test_results_that_are_refused_are_seen_and_take_no_other_task_with_them(
    client: Client, queue: Queue, work_through: Any
) -> None:
    names = ["good", *REFUSED, "none", "good"]
    published = client.published_stage([{"result": name} for name in names])
    results = {name: result for name, (result, _) in REFUSED.items()}
    worker = work_through(Returns(good={"n": 1}, none=None, **results), published, len(names))
    totals = worker.totals
    assert (totals.completed, totals.failed, totals.passed_over) == (3, len(REFUSED), 0)
    last = len(names)
    kept = [(1, {"n": 1}), (last - 1, None), (last, {"n": 1})]
    assert client.stage_results(published.job_id) == kept
    assert client.task_states(published.job_id) == {"completed": 3, "failed": len(REFUSED)}
    assert queue.counts["dead_lettered"] == 0, "the database knows of it; the message is done with"
    for name, task_id in zip(names, published.task_ids, strict=True):
        if name in REFUSED:
            error = client.task(task_id).error
            assert error.startswith("its result was refused: ")
            assert REFUSED[name][1] in error
            assert "xxx" not in error, "the result itself is in the error"


def test_numbers_come_to_the_handler_and_go_back_as_they_are(
    client: Client, work_through: Any
) -> None:
    numbers = '{"result": "same", "n": [0.12345678901234567890, 9007199254740993, 1e400, 0.5]}'
    job_id = client.create_job()
    client.execute(
        "select stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon', %s::jsonb[])",
        job_id,
        [numbers],
    )
    handler = Returns(same=[Decimal("0.12345678901234567890"), 2**53 + 1, 10**400, 0.5])
    work_through(handler, PublishedStage(job_id, 1, client.publish()), 1)
    assert handler.parameters[0]["n"] == handler.results["same"]
    assert client.value(
        "select result = (%s::jsonb)->'n' from stagebus.stage_results(%s, 1)", numbers, job_id
    )


#: Bodies that no TaskQueueMessage is made of, and what the dead letter says of each.
UNREADABLE: list[tuple[Any, str]] = [
    (b"not json", "Expecting value"),
    (b"\xff\xfe", "decode"),
    (b"[]", "dictionary"),
    (b"[" * 10_000, "nested too deep"),
    (b'{"schema_version": 1}', "task_id: Field required"),
]


def test_a_message_that_cannot_be_read_is_dead_lettered_once_and_says_why(
    client: Client, queue: Queue, work_through: Any
) -> None:
    published = client.published_stage([{"result": "good"}])
    good = published.messages[0].content
    unreadable = [
        *UNREADABLE,
        (dumped({**good, "schema_version": 0}), "schema_version: Input should be greater"),
        (dumped({**good, "schema_version": "2"}), "schema_version: Input should be a valid int"),
        (dumped({**good, "task_index": 2}), "job_id, stage and task_index make"),
        # As if a later version had taken a field away.
        (dumped({**good, "schema_version": 9, "nonce": None}), "nonce: Input should be a valid"),
    ]
    messages = [message_of(body) for body, _ in unreadable]
    value = AmqpAnnotatedMessage(value_body="text", properties={"message_id": "a value"})
    queue.send([*messages, value])
    worker = work_through(Returns(good=1), published, len(messages) + 2)
    # Nothing is lost: the task of the message that can be read is done, the others are to be seen.
    assert worker.totals.completed == 1
    dead = {str(each.message_id): each for each in dead_letters(queue, len(messages) + 1)}
    expected = {
        str(message.message_id): why for message, (_, why) in zip(messages, unreadable, strict=True)
    }
    assert set(dead) == {*expected, "a value"}
    for message_id, letter in dead.items():
        assert letter.dead_letter_reason == "not a TaskQueueMessage"
        assert expected.get(message_id, "") in str(letter.dead_letter_error_description)
        assert letter.delivery_count == 0, "it was delivered again"


def dumped(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def test_a_message_of_the_next_version_is_worked_on(client: Client, work_through: Any) -> None:
    published = client.published_stage([{"result": "good"}])
    (message,) = published.messages
    newer = dumped({**message.content, "schema_version": 2, "priority": {"high": True}})
    published.messages[0] = replace(message, body=newer)
    worker = work_through(Returns(good=1), published, 1)
    assert worker.totals.completed == 1
    assert client.stage(published.job_id).status == "completed"
