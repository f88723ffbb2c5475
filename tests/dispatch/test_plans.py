"""The hot calls read what they need, however large the backlog: counted in tuples, not guessed.

pg_stat_xact_user_tables counts what the session has just read, inside functions too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.client import Client

BATCHES = 20_000
READ = (
    "select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::integer"
    " from pg_stat_xact_user_tables where schemaname = 'stagebus_data' and relname ~ %s"
)


@pytest.fixture(params=["without statistics", "with statistics"])
def backlog(client: Client, request: pytest.FixtureRequest) -> Client:
    """20,000 batches of 3 tasks, half of them published."""
    client.set_task_type("tiny", batch_size=3)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "tiny", 3 * BATCHES)
    client.execute(
        "update stagebus_data.batches set state = 'queued', published_through = last_index,"
        " queued_at = created_at where last_index <= %s",
        3 * BATCHES // 2,
    )
    if request.param == "with statistics":
        for table in ("batches", "counter_slots", "stages", "tasks"):
            client.execute(f"analyze stagebus_data.{table}")
    return client


def rows_read(client: Client, table: str, call: Callable[[], Any]) -> int:
    """The most rows that one of ten calls read; a plan may change after the fifth."""
    pattern = f"^{table}(_from_[0-9]+)?$"
    most = 0
    for _ in range(10):
        with client.transaction():
            before = client.value(READ, pattern)
            call()
            most = max(most, client.value(READ, pattern) - before)
    return most


def test_a_claim_reads_about_as_many_batches_as_it_takes(backlog: Client) -> None:
    def claim() -> None:
        assert len(backlog.claim_batches(20)) == 20

    assert rows_read(backlog, "batches", claim) <= 20 * 5


def test_a_claim_in_the_midst_of_the_turns_reads_no_more(backlog: Client) -> None:
    backlog.execute(
        "update stagebus_data.destinations set looked_from = l.turn, turn = l.turn"
        " from (select max(turn) - 100 * 48 as turn from stagebus_data.batches) as l"
    )

    def claim() -> None:
        assert len(backlog.claim_batches(5, start=1)) == 5

    assert rows_read(backlog, "batches", claim) <= 5 * 5


def test_a_claim_of_nothing_reads_nothing(backlog: Client) -> None:
    backlog.execute("update stagebus_data.destinations set paused_at = now(), pause_reason = 'x'")
    assert rows_read(backlog, "batches", lambda: backlog.claim_batches(20)) == 0


def test_a_claim_does_not_look_at_leases_that_hold(backlog: Client) -> None:
    backlog.claim_batches(5000)

    def claim() -> None:
        assert len(backlog.claim_batches(2)) == 2

    assert rows_read(backlog, "batches", claim) <= 2 * 5


def test_a_batch_is_found_by_its_key_however_many_leases_there_were(client: Client) -> None:
    client.set_task_type("tiny", batch_size=1)
    holding = client.session()
    with holding.transaction("repeatable read"):
        assert holding.count("jobs") == 0
        for _ in range(2):
            client.create_stage_tasks(client.create_job(), 1, "tiny", 2000)
            assert len(client.claim_batches(2000)) == 2000
            client.execute(
                "update stagebus_data.batches set state = 'queued', published_through = last_index,"
                " queued_at = created_at, claimed_by = null, lease_until = null"
            )
        client.create_stage_tasks(client.create_job(), 1, "tiny", 1)
        claim = client.claim()
        client.execute("analyze stagebus_data.batches")
        # As record_send, finish_batch and their like look for it.
        plan = client.column(
            "explain update stagebus_data.batches set send_count = 1 where job_id = %s"
            " and batch_id = %s and state = 'publishing' and claim_epoch = 1",
            claim.job_id,
            claim.batch_id,
        )
    assert "batches_pkey" in plan[1]


def test_a_finished_batch_of_a_provisional_stage_looks_at_few_others(backlog: Client) -> None:
    told = backlog.provisional_stage(3 * BATCHES // 10, "tiny")
    claims = [c for c in backlog.claim_batches(BATCHES) if c.job_id == told.job_id]
    left = iter(claims)

    def finish() -> None:
        assert backlog.finish_batch(next(left))

    assert len(claims) == BATCHES // 10
    for _ in range(BATCHES // 10 - 20):
        finish()
    assert rows_read(backlog, "batches", finish) <= 5 + 20


def test_a_creation_looks_for_one_waiting_batch(backlog: Client) -> None:
    def create() -> None:
        backlog.create_stage_tasks(backlog.create_job(), 1, "tiny", 3)

    assert rows_read(backlog, "batches", create) <= 5


def test_a_page_of_messages_reads_its_tasks(backlog: Client) -> None:
    claim = backlog.claim_batches(BATCHES)[BATCHES // 4]

    def read() -> None:
        messages = backlog.batch_messages(claim, claim.published_through, 3)
        assert len(messages) == 3

    assert rows_read(backlog, "tasks", read) <= 3
    assert rows_read(backlog, "batches", read) == 1


def test_a_page_deep_in_a_large_batch_reads_its_tasks(backlog: Client) -> None:
    backlog.set_task_type("large", batch_size=100_000)
    job_id = backlog.create_job()
    backlog.create_stage_tasks(job_id, 1, "large", 50_000)
    claim = backlog.claim_batches(BATCHES)[-1]
    assert claim.job_id == job_id

    def read() -> None:
        messages = backlog.batch_messages(claim, 40_000, 500)
        assert [messages[0].task_index, messages[-1].task_index] == [40_001, 40_500]

    assert rows_read(backlog, "tasks", read) <= 500


@pytest.mark.parametrize("tasks", [1, 100])
def test_starting_and_completing_reads_the_tasks_and_their_counters(
    backlog: Client, tasks: int
) -> None:
    job_id = backlog.value("select job_id from stagebus_data.jobs")
    nonce = backlog.stage_row(job_id).nonce
    token = uuid4()
    indexes = iter(range(1, 3 * BATCHES, 13))

    def work() -> None:
        ids = [f"{job_id}-s1-{next(indexes)}" for _ in range(tasks)]
        backlog.start_tasks(ids, [1] * tasks, [nonce] * tasks, token)
        assert backlog.complete_tasks(ids, token) == ["completed"] * tasks

    # Locking, judging, starting, ending and answering each look at a task once or twice.
    assert rows_read(backlog, "tasks", work) <= tasks * 8
    # Locked in their order, then counted.
    assert rows_read(backlog, "counter_slots", work) <= tasks * 2
    assert rows_read(backlog, "stages", work) <= tasks * 4


def test_a_look_at_one_task_reads_one(backlog: Client) -> None:
    job_id = backlog.value("select job_id from stagebus_data.jobs")
    read = rows_read(backlog, "tasks", lambda: backlog.task(f"{job_id}-s1-50001"))
    assert read == 1
