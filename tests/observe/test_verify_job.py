"""`verify_job` counts every task once, from its row, and finds what does not add up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.client import Client

TOKEN = UUID(int=1)


def verify(client: Client, job_id: UUID) -> list[Any]:
    return client.rows("select * from stagebus.verify_job(%s)", job_id)


def places(row: Any) -> tuple[int, ...]:
    return row.waiting, row.sent, row.running, row.done, row.dead, row.cancelled


@pytest.fixture
def job_id(client: Client) -> UUID:
    """A stage of 20 tasks in each of the places, and a second one that is being filled."""
    client.set_task_type("work", batch_size=5, timeout="1 minute", max_attempts=2)
    client.stop_clock()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 20)
    messages = []
    for claim in client.claim_batches(3):
        messages += client.batch_messages(claim)
        client.finish_batch(claim)
    ids = [message.task_id for message in messages]
    client.start_all(messages[:8], TOKEN)
    client.complete_tasks(ids[:3], TOKEN)
    client.fail_tasks(ids[3:4], TOKEN, ["out of luck"], retry=False)
    client.fail_tasks(ids[4:6], TOKEN, ["not yet"] * 2)
    return job_id


def test_every_task_is_in_one_place(client: Client, job_id: UUID) -> None:
    (row,) = verify(client, job_id)
    # Five of a batch that waits, two that wait for their second attempt.
    assert (row.created, *places(row)) == (20, 7, 7, 2, 3, 1, 0)
    assert (row.proved, row.differences) == (True, [])
    client.advance(timedelta(seconds=10))
    client.gather_retries()
    assert places(verify(client, job_id)[0]) == (7, 7, 2, 3, 1, 0)
    second = [message for message in client.publish() if message.attempt == 2]
    assert places(verify(client, job_id)[0]) == (0, 14, 2, 3, 1, 0)
    client.start_all(second, uuid4())
    assert places(verify(client, job_id)[0]) == (0, 12, 4, 3, 1, 0)
    client.order("cancel_job", job_id)
    client.work_orders()
    (row,) = verify(client, job_id)
    assert (places(row), row.proved) == ((0, 0, 0, 3, 1, 16), True)


def test_a_batch_that_is_half_published(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 10)
    client.record_send(client.claim(), 1, 4)
    (row,) = verify(client, job_id)
    assert (places(row), row.proved) == ((6, 4, 0, 0, 0, 0), True)


def test_a_stage_that_is_filling_is_all_waiting(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 10, seal=False)
    (row,) = verify(client, job_id)
    assert (places(row), row.proved) == ((10, 0, 0, 0, 0, 0), True)


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("delete from stagebus_data.batches where last_index = 20", "5 tasks are in no batch"),
        (
            "update stagebus_data.batches set task_count = 4, last_index = 19,"
            " published_through = 15 where last_index = 20",
            "1 tasks are in no batch",
        ),
        ("delete from stagebus_data.tasks where task_index = 20", "20 tasks were created, 19 are"),
        (
            "delete from stagebus_data.running_attempts where task_index = 7",
            "stage: running attempts: counted 1, found 2",
        ),
        ("update stagebus_data.counter_slots set completed = 2", "completed: counted 2, found"),
        ("update stagebus_data.tasks set state = 'failed' where task_index = 20", "failed:"),
    ],
)
def test_what_was_damaged_is_found(
    client: Client, job_id: UUID, damage: str, difference: str
) -> None:
    client.execute(damage)
    (row,) = verify(client, job_id)
    assert not row.proved
    assert any(difference in text for text in row.differences), row.differences


def test_it_is_as_true_while_workers_are_at_it(client: Client) -> None:
    published = client.published_stage(400, "h3_hexagon")
    worker = client.session()

    def work() -> None:
        for message in published.messages:
            token = uuid4()
            worker.start(message, token)
            worker.complete_task(message.task_id, token)

    working = worker.in_background(work)
    seen = set()
    while not working.done():
        (row,) = verify(client, published.job_id)
        assert (row.created, row.proved) == (400, True), row
        seen.add(row.done)
    working.result()
    assert len(seen) > 2, "it was not looked at meanwhile"
    assert places(verify(client, published.job_id)[0]) == (0, 0, 0, 400, 0, 0)


def test_an_unknown_job_is_refused(client: Client) -> None:
    with client.refused("SB101"):
        verify(client, uuid4())


def test_each_slot_is_looked_at_once_and_not_for_each_group(client: Client) -> None:
    """As many as ten million tasks have: otherwise it would take a minute."""
    job_id = client.create_job()
    client.create_stage_tasks(job_id)
    client.execute(
        "insert into stagebus_data.counter_slots (job_id, stage, slot_no, open_tasks)"
        " select %s, 1, slot_no, 1 from generate_series(64, 150000) as slot_no",
        job_id,
    )
    client.execute(
        "insert into stagebus_data.counter_groups (job_id, stage, group_no, open_slots)"
        " select %s, 1, group_no, 64 from generate_series(1, 2343) as group_no",
        job_id,
    )
    with client.transaction():
        client.execute("set local statement_timeout = '10s'")
        found = client.column(
            "select what from stagebus.recount_stage(%s, 1) where what !~ '^slot'", job_id
        )
    # The last group has fewer slots than the others.
    assert found == ["group 2343: open slots", "stage: open groups"]
