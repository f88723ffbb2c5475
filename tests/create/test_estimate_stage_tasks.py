"""An estimate is what `create_stage_tasks` then makes, and makes nothing itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessageBatch
from psycopg.types.json import Jsonb

from bridge.batch import Message
from bridge.encoder import SdkBatch
from bridge.message_bytes import Common
from bridge.publisher import ENVELOPE_SLACK
from bridge.send import Send
from tests.client import Client

JOB_TYPE = "tiles of a country"


def estimate(
    client: Client, tasks: int | None, task_type: str | None = "work", **given: Any
) -> Any:
    named = "".join(f", {name} => %s" for name in given)
    return client.row(
        f"select * from stagebus.estimate_stage_tasks(%s, %s{named})",
        task_type,
        tasks,
        *given.values(),
    )


def sends_of_bridges(client: Client) -> int:
    """How many sends all batches that wait make, filled as a lane fills them."""
    sends = 0
    while claims := client.claim_batches(1):
        (claim,) = claims
        left = [
            Message(each.task_index, each.message_id, each.body)
            for each in client.batch_messages(claim)
        ]
        while left:
            batch = ServiceBusMessageBatch(claim.max_send_bytes - ENVELOPE_SLACK)
            send = Send(SdkBatch(batch, Common(subject=claim.task_type)), claim.max_send_messages)
            left = send.add_all(left)
            sends += 1
        client.finish_batch(claim)
    return sends


@pytest.mark.parametrize("parameters", [{}, {"index": 0, "zoom": 5, "name": "é" * 40}])
@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        (1, {}),
        (1200, {"batch_size": 95}),
        (1200, {"batch_size": 1000}),
        (1200, {"boundary": "by_stage"}),
        (1200, {"batch_size": 300, "atomic": True}),
        (9, {"boundary": "by_stage", "atomic": True}),
    ],
)
def test_it_is_exactly_what_is_made_of_numbered_tasks(
    client: Client, tasks: int, options: dict[str, Any], parameters: dict[str, Any]
) -> None:
    client.set_destination("tasks", max_send_bytes=30_000, max_send_messages=90)
    client.set_task_type("work", **options)
    before = client.contents()
    told = estimate(client, tasks, parameters=Jsonb(parameters), job_type=JOB_TYPE)
    assert client.contents() == before
    job_id = client.create_job(JOB_TYPE)
    made = client.create_stage_tasks(job_id, 1, "work", tasks, parameters)
    assert (told.tasks, told.bytes, told.batches) == (made.tasks, made.bytes, made.batches)
    assert told.sends == sends_of_bridges(client)
    assert told.seconds is None, "nothing was sent yet"


@pytest.mark.parametrize("atomic", [False, True])
def test_tasks_with_parameters_are_estimated_by_samples(client: Client, atomic: bool) -> None:
    client.set_destination("tasks", max_send_bytes=30_000, max_send_messages=90)
    client.set_task_type("work", batch_size=250, atomic=atomic)
    own = [{"name": "x" * 30}, {"name": "x" * 90}]
    told = estimate(
        client, 1200, job_type=JOB_TYPE, sample_parameters=Jsonb(own), parameters=Jsonb({"zoom": 5})
    )
    job_id = client.create_job(JOB_TYPE)
    made = client.create_stage_tasks_from_array(
        job_id, 1, "work", own * 600, parameters={"zoom": 5}
    )
    assert (told.tasks, told.bytes) == (made.tasks, made.bytes)
    assert abs(told.batches - made.batches) <= atomic
    assert abs(told.sends - sends_of_bridges(client)) <= 1


def test_a_very_large_stage_is_estimated_at_once_where_it_may_be_made(client: Client) -> None:
    with client.refused("SB127"):
        estimate(client, 999_999_999, "h3_hexagon")
    client.execute("select stagebus.set_limit('stage_tasks', 999999999)")
    told = estimate(client, 999_999_999, "h3_hexagon")
    assert (told.tasks, told.batches) == (999_999_999, 100_000)
    assert told.sends > 10**9 * 300 / 262_144


def test_the_seconds_are_those_at_the_rate_of_the_last_minutes(client: Client) -> None:
    client.set_task_type("work", batch_size=100)
    client.stop_clock()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 300)
    for claim in client.claim_batches(3):
        client.advance(timedelta(seconds=1))
        client.record_send(claim, claim.published_through + 1, claim.last_index)
    # 300 tasks: from a moment before the first record to two seconds later.
    first = client.value("select max(duration) from stagebus_data.sends").total_seconds()
    assert estimate(client, 3000).seconds == pytest.approx(10 * (2 + first), abs=0.1)
    client.execute("select stagebus.set_rate_limit('tasks', 10)")
    assert estimate(client, 3000).seconds == 300
    client.set_destination("elsewhere", entity="elsewhere")
    client.set_task_type("other", destination="elsewhere")
    assert estimate(client, 3000, "other").seconds is None
    client.advance(timedelta(minutes=6))
    assert estimate(client, 3000).seconds is None


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("SB107", {"task_type": None}),
        ("SB108", {"tasks": 0}),
        ("SB108", {"tasks": 10**9}),
        ("SB109", {"parameters": Jsonb([])}),
        ("SB110", {"sample_parameters": Jsonb([])}),
        ("SB110", {"sample_parameters": Jsonb([1])}),
        ("SB111", {"sample_parameters": Jsonb({"a": "x" * 300_000})}),
        ("SB126", {"task_type": "one send"}),
    ],
)
def test_what_could_not_be_made_is_refused(
    client: Client, code: str, given: dict[str, Any]
) -> None:
    client.set_task_type("work")
    client.set_task_type("one send", boundary="by_stage", atomic=True)
    with client.refused(code):
        estimate(client, **{"tasks": 10_000} | given)
