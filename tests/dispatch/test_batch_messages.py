"""batch_messages: the messages of a batch, ready for the wire, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.client import Client

KEYS = [
    "schema_version",
    "job_id",
    "job_type",
    "stage",
    "task_type",
    "nonce",
    "batch_id",
    "task_id",
    "task_index",
    "attempt",
    "parameters",
]


def test_a_body_has_exactly_the_documented_keys(client: Client) -> None:
    job_id = client.create_job("tiles")
    client.create_stage_tasks(job_id, 1, "process_raster", 3, {"zoom": 5})
    claim = client.claim()
    nonce = client.stage_row(job_id).nonce
    for index, message in enumerate(client.batch_messages(claim), start=1):
        task_id = f"{job_id}-s1-{index}"
        assert message.content == {
            "schema_version": 1,
            "task_id": task_id,
            "job_id": str(job_id),
            "job_type": "tiles",
            "stage": 1,
            "task_index": index,
            "task_type": "process_raster",
            "attempt": 1,
            "nonce": nonce,
            "batch_id": str(claim.batch_id),
            "parameters": {"zoom": 5, "index": index},
        }
        assert sorted(message.content) == sorted(KEYS)
        assert message.task_index == index
        assert message.message_id == f"{task_id}.1.1.{nonce}"


def test_no_key_stands_twice(client: Client) -> None:
    parameters = {"index": "common", "task_id": 7, "a": 1}
    client.create_stage_tasks(client.create_job(), task_count=2, parameters=parameters)
    (message, _) = client.batch_messages(client.claim())
    text = message.body.decode()
    assert text.count('"index":') == 1
    assert message.content["parameters"] == {"index": 1, "task_id": 7, "a": 1}


def test_the_dispatch_is_part_of_the_message_id(client: Client) -> None:
    client.create_stage_tasks(client.create_job())
    claim = client.claim()
    client.execute("update stagebus_data.batches set dispatch = 7")
    (message,) = client.batch_messages(claim)
    assert message.message_id == f"{message.task_id}.1.7.{message.nonce}"


def test_a_repeated_read_gives_the_same_messages(client: Client) -> None:
    client.create_stage_tasks(client.create_job(), task_count=50)
    claim = client.claim()
    first = client.batch_messages(claim)
    assert client.release_batch(claim)
    assert client.batch_messages(client.claim()) == first


def test_the_same_job_made_again_has_other_message_ids(client: Client) -> None:
    """A rolled-back stage and its repetition: the broker must not take them for duplicates."""
    job_id = client.create_job()
    ids = []
    for _ in range(2):
        with client.transaction(roll_back=True):
            client.create_stage_tasks(job_id)
            ids += [message.message_id for message in client.batch_messages(client.claim())]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
def test_pages_follow_one_another(client: Client, limit: int) -> None:
    client.set_task_type("work", batch_size=10)
    client.create_stage_tasks(client.create_job(), task_type="work", task_count=25)
    for claim, expected in zip(
        client.claim_batches(10), (range(1, 11), range(11, 21), range(21, 26)), strict=True
    ):
        pages = []
        after = claim.published_through
        while page := client.batch_messages(claim, after, limit):
            assert len(page) <= limit
            pages += page
            after = page[-1].task_index
        assert [message.task_index for message in pages] == list(expected)
        assert after == claim.last_index


def test_a_page_never_begins_before_its_batch(client: Client) -> None:
    client.set_task_type("work", batch_size=10)
    client.create_stage_tasks(client.create_job(), task_type="work", task_count=25)
    _, second, _ = client.claim_batches(3)
    for after in (-1, 0, 5, 10):
        assert [m.task_index for m in client.batch_messages(second, after, 3)] == [11, 12, 13]


def test_an_unknown_batch_has_no_messages(client: Client) -> None:
    client.create_stage_tasks(client.create_job())
    claim = client.claim()
    assert client.batch_messages(replace(claim, batch_id=uuid4())) == []
    assert client.batch_messages(replace(claim, job_id=uuid4())) == []


def test_a_claim_that_was_taken_away_has_no_messages(client: Client) -> None:
    """Else it could send the ids of a dispatch of which the ledger knows nothing."""
    job_id = client.create_job()
    client.create_stage_tasks(job_id)
    claim = client.claim()
    assert client.batch_messages(claim) != []
    client.order("retry_batch", job_id, claim.batch_id)
    assert client.batch_messages(claim) == []
    assert client.batch_messages(client.claim()) != []


def test_tasks_that_were_started_or_have_ended_are_left_out(client: Client) -> None:
    published = client.published_stage(tasks=5)
    token = uuid4()
    client.start_all(published.messages[1:4], token)
    client.complete_task(published.task_ids[2], token)
    client.execute("update stagebus_data.tasks set state = 'cancelled' where task_index = 5")
    (row,) = client.batches(published.job_id)
    left = client.rows(
        "select * from stagebus.batch_messages(%s, %s, 1, 0, 10)", row.job_id, row.batch_id
    )
    assert [message.task_index for message in left] == [1]


def test_a_task_that_moved_is_no_longer_its_first_batchs(client: Client) -> None:
    client.set_task_type("work", retry_delay="0")
    published = client.published_stage(3, "work")
    token = uuid4()
    client.start(published.messages[0], token)
    client.fail_task(published.task_ids[0], token)
    assert client.gather_retries() == 1
    first, moved = client.batches(published.job_id)
    for batch, indexes in ((first, [2, 3]), (moved, [1])):
        messages = client.rows(
            "select * from stagebus.batch_messages(%s, %s, %s, 0, 10)",
            batch.job_id, batch.batch_id, batch.claim_epoch,
        )  # fmt: skip
        assert [message.task_index for message in messages] == indexes


def test_a_scattered_batch_has_the_messages_of_its_members(client: Client) -> None:
    client.set_task_type("work", timeout="1 minute")
    tasks = [{"name": f"tile {i}"} for i in range(1, 31)]
    published = client.published_stage(tasks, "work", {"zoom": 5})
    lost = [published.messages[i] for i in (3, 11, 12, 29)]
    client.stop_clock()
    client.start_all(lost, uuid4())
    client.advance(timedelta(minutes=5))
    client.end_lost_attempts()
    client.gather_retries()
    claim = client.claim()
    messages = client.batch_messages(claim)
    assert [message.task_index for message in messages] == [4, 12, 13, 30]
    assert [m.task_index for m in client.batch_messages(claim, 4, 2)] == [12, 13]
    for message in messages:
        assert message.attempt == 2
        assert message.message_id == f"{message.task_id}.2.1.{message.nonce}"
        assert message.content["batch_id"] == str(claim.batch_id)
        assert message.content["parameters"] == {"zoom": 5, "name": f"tile {message.task_index}"}
        assert sorted(message.content) == sorted(KEYS)
    assert {m.message_id for m in messages}.isdisjoint(m.message_id for m in lost)
