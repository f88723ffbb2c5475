"""Stages of atomic task types: each batch is what exactly one send of the destination takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest
from azure.servicebus import ServiceBusMessageBatch

from bridge.batch import Message
from bridge.encoder import EncodedBatch
from bridge.message_bytes import Common
from bridge.send import Send
from tests.client import Client, Json

#: What the bridge keeps of a send for its envelope.
ENVELOPE = 512

#: What is kept in each message for the digits of later dispatches.
DISPATCHES = 9


def define(client: Client, **options: Any) -> None:
    client.set_task_type("work", **{"atomic": True, "batch_size": 100_000, **options})


def create(
    client: Client,
    tasks: int | Sequence[Json],
    parameters: Json | None = None,
    job_id: UUID | None = None,
) -> UUID:
    job_id = job_id or client.create_job()
    if isinstance(tasks, int):
        summary = client.create_stage_tasks(job_id, 1, "work", tasks, parameters)
    else:
        summary = client.create_stage_tasks_from_array(job_id, 1, "work", tasks, parameters)
    assert summary.batches == len(client.batches(job_id)) == client.stage(job_id).batches
    return job_id


def ranges(client: Client, job_id: UUID) -> list[tuple[int, int]]:
    return [(batch.first_index, batch.last_index) for batch in client.batches(job_id)]


def claimed(client: Client, limit: int = 10**9) -> list[dict[int, int]]:
    """Claims what there is and packs each batch as the bridge does, into a send of that limit.

    For each the bytes of each of its tasks' messages, as the SDK counts them in a send.
    """
    batches = []
    for claim in client.claim_batches(1000):
        assert claim.atomic
        common = Common(subject=claim.task_type)
        send = Send(EncodedBatch(ServiceBusMessageBatch(limit), common), 100_000)
        sizes: dict[int, int] = {}
        for message in client.batch_messages(claim):
            before = send.size
            assert not send.add_all([Message(message.task_index, message.message_id, message.body)])
            sizes[message.task_index] = send.size - before
        batches.append(sizes)
    return batches


@pytest.mark.parametrize("parameters", [{}, {"zoom": 7, "ö": "é" * 40}])
def test_numbered_tasks_fill_sends(client: Client, parameters: Json) -> None:
    client.set_destination("tasks", max_send_bytes=20_000)
    define(client)
    cut = ranges(client, create(client, 1234, parameters))
    batches = claimed(client, 20_000 - ENVELOPE)
    assert [[*batch] for batch in batches] == [[*range(first, last + 1)] for first, last in cut]
    assert [index for batch in batches for index in batch] == [*range(1, 1235)]
    # As many as there is room for if all are as large as the last.
    largest = batches[-1][1234] + DISPATCHES
    assert {len(batch) for batch in batches[:-1]} == {(20_000 - ENVELOPE) // largest}


def test_tasks_with_parameters_of_their_own_fill_sends(client: Client) -> None:
    client.set_destination("tasks", max_send_bytes=20_000)
    define(client)
    tasks = [{"name": "é" * (index * 7919 % 1500)} for index in range(1, 501)]
    create(client, tasks, {"zoom": 5, "name": "common"})
    batches = claimed(client, 20_000 - ENVELOPE)
    assert [index for batch in batches for index in batch] == [*range(1, 501)]
    for batch, after in pairwise(batches):
        full = sum(batch.values()) + DISPATCHES * len(batch)
        assert full <= 20_000 - ENVELOPE < full + next(iter(after.values())) + DISPATCHES


def test_a_batch_has_no_more_tasks_than_its_type_or_its_destination_says(client: Client) -> None:
    for tasks in (25, [{"n": n} for n in range(25)]):
        define(client, batch_size=10)
        client.set_destination("tasks", max_send_messages=4500)
        assert ranges(client, create(client, tasks)) == [(1, 10), (11, 20), (21, 25)]
        client.set_destination("tasks", max_send_messages=9)
        assert ranges(client, create(client, tasks)) == [(1, 9), (10, 18), (19, 25)]
        client.set_destination("tasks", max_send_messages=1)
        assert len(ranges(client, create(client, tasks))) == 25


def test_a_stage_may_have_tasks_of_both_kinds(client: Client) -> None:
    client.set_destination("tasks", max_send_bytes=8192)
    define(client)
    job_id = client.create_job()
    client.open_stage(job_id, 1, "work", {"zoom": 3})
    for _ in range(3):
        client.append_numbered_tasks(job_id, 1, 40)
        client.append_tasks(job_id, 1, [{"x": "y" * size} for size in (0, 3000, 1)])
    client.seal_stage(job_id)
    batches = claimed(client, 8192 - ENVELOPE)
    assert [index for batch in batches for index in batch] == [*range(1, 130)]
    for batch, after in pairwise(batches):
        full = sum(batch.values()) + DISPATCHES * len(batch)
        assert full <= 8192 - ENVELOPE < full + next(iter(after.values())) + DISPATCHES


def test_stages_longer_than_a_run_of_the_packing_have_no_seam(client: Client) -> None:
    define(client, batch_size=70_000)
    client.set_destination("tasks", max_send_bytes=2**31 - 1, max_send_messages=100_000)
    job_id = client.create_job()
    client.open_stage(job_id, 1, "work")
    client.append_numbered_tasks(job_id, 1, 399_999)
    client.append_tasks(job_id, 1, [{}] * 12)
    client.seal_stage(job_id)
    assert ranges(client, job_id) == [
        (first, min(first + 69_999, 400_011)) for first in range(1, 400_012, 70_000)
    ]


@pytest.mark.parametrize("own", [False, True], ids=["numbered", "own parameters"])
def test_a_by_stage_stage_is_one_send_to_the_last_byte(client: Client, own: bool) -> None:
    """Refused with the sizes, which are those that are enough."""
    define(client, boundary="by_stage")
    client.set_destination("tasks", max_send_bytes=50_000)
    tasks: Any = [{"n": "x" * n} for n in range(200)] if own else 200
    job_id = client.create_job()
    with client.refused("SB126") as caught:
        create(client, tasks, job_id=job_id)
    detail = str(caught.value.diag.message_detail)
    needed = int(detail.split(" bytes;")[0].split()[-1])
    assert detail == (
        f"Its 200 tasks need {needed} bytes;"
        " a send of destination 'tasks' takes 4500 tasks and 49488 bytes."
    )
    client.set_destination("tasks", max_send_bytes=needed + ENVELOPE - 1)
    with client.refused("SB126"):
        create(client, tasks, job_id=job_id)
    client.set_destination("tasks", max_send_bytes=needed + ENVELOPE)
    assert ranges(client, create(client, tasks, job_id=job_id)) == [(1, 200)]
    (batch,) = claimed(client, needed)
    assert sum(batch.values()) == needed - 200 * DISPATCHES


def test_a_by_stage_stage_has_no_more_tasks_than_a_send(client: Client) -> None:
    define(client, boundary="by_stage", batch_size=1)
    client.set_destination("tasks", max_send_messages=20)
    job_id = client.create_job()
    with client.refused("SB126") as caught:
        create(client, 21, job_id=job_id)
    assert "Its 21 tasks" in str(caught.value.diag.message_detail)
    assert "takes 20 tasks" in str(caught.value.diag.message_detail)
    assert ranges(client, create(client, 20)) == [(1, 20)]


def test_a_stage_that_cannot_be_sealed_stays_filling(client: Client) -> None:
    define(client, boundary="by_stage")
    client.set_destination("tasks", max_send_messages=2)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 3, seal=False)
    with client.refused("SB126"):
        client.seal_stage(job_id)
    client.set_destination("tasks", max_send_messages=3)
    assert client.seal_stage(job_id).batches == 1


def test_a_task_that_no_send_has_room_for_is_refused_when_it_is_made(client: Client) -> None:
    define(client)
    client.set_destination("tasks", max_send_bytes=8192)
    job_id = client.create_job()
    with client.refused("SB111"):
        create(client, [{"x": "y" * 7500}], job_id=job_id)


def test_a_task_for_which_the_room_has_gone_is_refused_at_the_seal(client: Client) -> None:
    define(client)
    job_id = client.create_job()
    client.open_stage(job_id, 1, "work")
    client.append_tasks(job_id, 1, [{"n": 1}, {"x": "y" * 7500}, {"x": "y" * 7600}])
    client.set_destination("tasks", max_send_bytes=8192)
    with client.refused("SB126") as caught:
        client.seal_stage(job_id)
    assert "task 2 of stage 1" in str(caught.value.diag.message_primary)
    assert "takes 7680" in str(caught.value.diag.message_detail)
    client.set_destination("tasks", max_send_bytes=9000)
    assert client.seal_stage(job_id).batches == 2
    assert [[*batch] for batch in claimed(client, 9000 - ENVELOPE)] == [[1, 2], [3]]


@pytest.mark.parametrize("boundary", ["by_stage", "chunk"])
@pytest.mark.parametrize("action", ["cancel_stage", "cancel_job"])
def test_a_stage_that_cannot_be_sealed_can_be_cancelled(
    client: Client, boundary: str, action: str
) -> None:
    """Nothing else could end it, nor its job; what is undone goes out in sends that fit."""
    define(client, boundary=boundary, batch_size=2)
    job_id = client.create_job()
    client.open_stage(job_id, 1, "work")
    sizes = [1, 2000, 3000, 3000, 7600, 1]
    client.append_tasks(job_id, 1, [{"x": "y" * size} for size in sizes])
    client.set_destination("tasks", max_send_bytes=8192)
    with client.refused("SB126"):
        client.seal_stage(job_id)
    order = client.order(action, job_id, *([1] if action == "cancel_stage" else []))
    assert ranges(client, job_id) == [(1, 2), (3, 4), (5, 5), (6, 6)]
    client.order("stop_order", order.order_id)
    assert [[*batch] for batch in claimed(client)] == [[1, 2], [3, 4], [5], [6]]
    client.order(action, job_id, *([1] if action == "cancel_stage" else []))
    client.work_orders()
    assert client.stage(job_id).status == "cancelled"
    assert client.recount(job_id) == []


def test_a_long_task_type_is_packed_with_its_own_overhead(client: Client) -> None:
    """The one message whose body is accepted and whose ids then leave no room is refused."""
    name = "\N{WORLD MAP}" * 100
    client.set_task_type(name, atomic=True)
    client.set_destination("tasks", max_send_bytes=4096)
    outcomes = []
    for size in range(2000, 2400, 4):
        job_id = client.create_job()
        try:
            client.create_stage_tasks_from_array(job_id, 1, name, [{"x": "y" * size}])
        except psycopg.Error as error:
            outcomes.append(error.sqlstate)
        else:
            assert len(claimed(client, 4096 - ENVELOPE)) == 1
            outcomes.append("packed")
    assert [*dict.fromkeys(outcomes)] == ["packed", "SB126", "SB111"]


def test_a_stage_is_atomic_as_its_type_was_when_it_was_opened(client: Client) -> None:
    client.set_destination("tasks", max_send_messages=2)
    define(client)
    opened = client.create_job()
    client.create_stage_tasks(opened, 1, "work", 5, seal=False)
    client.set_task_type("work", atomic=False)
    assert client.seal_stage(opened).batches == 3
    assert {batch.atomic for batch in client.batches(opened)} == {True}
    assert client.stage(opened).atomic
    later = create(client, 5)
    client.set_task_type("work", atomic=True)
    assert [batch.atomic for batch in client.batches(later)] == [False]
    assert not client.stage(later).atomic


def test_an_atomic_stage_without_tasks_completes_at_once(client: Client) -> None:
    for boundary in ("chunk", "by_stage"):
        define(client, boundary=boundary)
        job_id = client.create_job()
        assert client.create_stage_tasks_from_array(job_id, 1, "work", []).batches == 0
        assert client.stage(job_id).status == "completed"


def test_pack_sends_is_greedy_and_keeps_both_limits(client: Client) -> None:
    def pack(sizes: list[int], most: int, count: int) -> list[int]:
        found: list[int] = client.value(
            "select stagebus.pack_sends(%s, %s, %s)", sizes, most, count
        )
        return found

    assert pack([], 10, 10) == []
    assert pack([10, 1, 9, 1], 10, 10) == [1, 2, 4]
    assert pack([1] * 7, 10, 3) == [1, 4, 7]
    assert pack([11, 1, 11, 11, 1], 10, 3) == [1, 2, 3, 4, 5]
    assert pack([2**30, 2**30, 2**30], 2**31 - 1, 10) == [1, 2, 3]
