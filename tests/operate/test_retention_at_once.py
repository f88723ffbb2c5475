"""Retention beside operators, locks that others hold, a second retention, and after a death."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.client import Client, Write
from tests.operate.retention import (
    DAY,
    EXPIRED,
    KEEP,
    MONDAY,
    PARTITION,
    drop_all,
    ended_job,
    left_behind,
    set_retention,
    shown,
    status,
    step,
)


@pytest.fixture
def other(client: Client) -> Client:
    return client.session()


@pytest.fixture
def failed(client: Client) -> UUID:
    """An expired job with a failed task, under a policy that lets it go."""
    client.at(MONDAY)
    published = client.published_stage(2)
    client.end_stage_of(published.job_id, 1, failing=1)
    client.finish_job(published.job_id)
    set_retention(client)
    client.at(EXPIRED)
    return published.job_id


def test_a_retry_that_is_just_being_ordered_keeps_the_job(
    client: Client, other: Client, failed: UUID
) -> None:
    with client.transaction():
        client.order("retry_tasks", failed, 1)
        row = step(other)
        assert (row.status, row.note) == ("waits", "an order is just being given")
    assert drop_all(other) == ["nothing expired"]
    assert status(client).why.endswith("is worked off")
    client.work_orders()
    assert client.task_states(failed) == {"completed": 1, "retry_wait": 1}


def test_a_retry_that_is_committed_while_a_removal_waits_for_it_keeps_the_job(
    client: Client, other: Client, failed: UUID
) -> None:
    with client.transaction():
        client.order("retry_tasks", failed, 1)
        removal = other.in_background(lambda: step(other).status)
        pid = other.connection.info.backend_pid
        # Not for long: it gives up by itself.
        while not (
            removal.done() or client.value("select cardinality(pg_blocking_pids(%s)) > 0", pid)
        ):
            pass
    # Where the commit comes late it has given up.
    assert removal.result() in ("nothing expired", "waits")
    assert drop_all(other) == ["nothing expired"]
    assert shown(client, failed)


def test_a_retry_waits_for_a_removal_that_begins_and_is_refused(
    client: Client, other: Client, failed: UUID
) -> None:
    with client.transaction():
        assert step(client).status == "begun"
        retry = other.in_background(lambda: other.order("retry_tasks", failed, 1))
        client.wait_until_blocked(other, retry)
    with pytest.raises(psycopg.Error) as caught:
        retry.result()
    assert caught.value.sqlstate == "SB101"
    assert drop_all(client)[-1] == "nothing expired"
    assert left_behind(client, failed) == set()


def test_a_retry_is_possible_after_a_removal_that_was_rolled_back(
    client: Client, failed: UUID
) -> None:
    with client.transaction(roll_back=True):
        assert step(client).status == "begun"
    assert client.order("retry_tasks", failed, 1).tasks == 1


def test_two_retentions_at_once_are_one(client: Client, other: Client, failed: UUID) -> None:
    for expected in ("begun", "being removed", "dropped"):
        with client.transaction():
            assert step(client).status == expected
            assert step(other).status == "busy"
    assert step(other).status == "nothing expired"
    assert left_behind(client, failed) == set()


def test_rows_that_somebody_has_locked_go_later(
    client: Client, other: Client, failed: UUID
) -> None:
    """Setting a priority and finishing a job ask nobody whether the job is being removed."""
    client.execute("set search_path = stagebus_data, stagebus; set statement_timeout = '10s'")
    assert step(client).status == "begun"
    with other.transaction():
        other.value("select stagebus.set_priority(%s, 1)", failed)
        row = step(client)
        assert (row.status, row.removed_rows) == ("waits", 0)
        assert row.note == f"processes that write to jobs: {other.connection.info.backend_pid}"
        assert status(client).why == row.note
        # Not at once again, and later each time.
        assert step(client).status == "waits"
        client.advance(DAY)
        assert step(client).status == "waits"
        assert client.value("select tries from removals") == 2
    client.advance(DAY)
    assert drop_all(client) == ["being removed", "dropped", "nothing expired"]
    assert client.value("select last_error from removals") is None
    assert left_behind(client, failed) == set()


def test_a_week_has_no_169_hours_where_the_clocks_go_back(client: Client) -> None:
    """It went away after 168 hours: what is ordered is refused, and nothing was lost."""
    made = datetime(2025, 10, 19, 23, 45, tzinfo=UTC)
    client.at(made)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=1)
    claim = client.claim()
    client.record_send(claim, 1, 1)
    client.finish_batch(claim)
    client.end_stage_of(job_id, 1)
    client.finish_job(job_id)
    set_retention(client, 7 * DAY)
    client.at(made + 7 * DAY + timedelta(minutes=30))
    abroad = client.session()
    abroad.execute("set timezone = 'Europe/Berlin'")
    assert abroad.value("select stagebus.clock() - interval '7 days' < %s", made)
    assert step(client).status == "begun"
    with abroad.refused("SB101"):
        abroad.execute("select stagebus.require_kept_job(%s)", job_id)
    drop_all(client)
    write = Write(claim, published_through=1, sends=1, settled=True)
    assert abroad.check_writes(write).lost is None


def until_rows_are_gone(client: Client) -> None:
    while not client.value("select coalesce(bool_or(rows_are_gone), false) from removals"):
        step(client)


@pytest.mark.parametrize("lock", ["access share", "row exclusive", "share update exclusive"])
@pytest.mark.parametrize("table", ["tasks", PARTITION])
def test_a_partition_in_use_is_dropped_later(
    client: Client, other: Client, failed: UUID, lock: str, table: str
) -> None:
    client.execute("set search_path = stagebus_data, stagebus")
    until_rows_are_gone(client)
    with other.transaction():
        other.execute(f"lock table stagebus_data.{table} in {lock} mode")
        began = time.monotonic()
        row = step(client)
        assert time.monotonic() - began < 2
        assert row.status == "waits"
        assert str(other.connection.info.backend_pid) in row.note
        assert status(client).why == row.note
        assert step(client, at_once=False).status == "waits"
        assert shown(client, failed) == set()
    assert client.value("select tries from removals") == 1
    client.advance(DAY)
    assert step(client, at_once=False).status == "dropped"


def test_whoever_waits_behind_the_drop_waits_briefly(
    client: Client, other: Client, failed: UUID
) -> None:
    """A reader that stays lets the drop wait, and those who come after the drop wait with it."""
    client.execute("set search_path = stagebus_data, stagebus")
    until_rows_are_gone(client)
    reader, longest, stop = client.session(), [0.0], threading.Event()

    def produce() -> None:
        while not stop.is_set():
            began = time.monotonic()
            other.create_stage_tasks(other.create_job())
            longest.append(time.monotonic() - began)

    with reader.transaction():
        reader.execute("lock table stagebus_data.tasks in access share mode")
        producing = other.in_background(produce)
        for tries in range(1, 6):
            client.advance(DAY)
            assert step(client).status == "waits"
            assert client.value("select tries from removals") == tries
        stop.set()
        producing.result()
    assert len(longest) > 1
    assert max(longest) < 1
    assert step(client).status == "waits", "not so soon"
    client.advance(DAY)
    assert step(client).status == "dropped"


@pytest.mark.parametrize("steps", range(1, 25, 4))
def test_a_death_between_any_two_steps_is_made_good(client: Client, steps: int) -> None:
    jobs = [ended_job(client) for _ in range(2)]
    set_retention(client)
    client.at(EXPIRED)
    dying = client.session()
    for _ in range(steps):
        step(dying, 1)
    dying.execute("begin")
    step(dying, 1)
    client.execute("select pg_terminate_backend(%s)", dying.connection.info.backend_pid)
    for job_id in jobs:
        assert shown(client, job_id) == set()
        assert client.rows("select * from stagebus.tasks where job_id = %s", job_id) == []
    give_up = time.monotonic() + 10
    while step(client).status != "nothing expired":
        assert time.monotonic() < give_up, "it never ends"
    assert left_behind(client, *jobs) == set()
    assert status(client) is None


def test_a_job_that_is_committed_after_its_week_expired_is_kept(
    client: Client, other: Client
) -> None:
    ended = ended_job(client)
    set_retention(client)
    with other.transaction():
        late = other.create_job()
        client.at(EXPIRED)
        client.execute("set search_path = stagebus_data, stagebus")
        until_rows_are_gone(client)
    assert shown(client, late) == set()
    row = step(client)
    assert (row.status, "the partition stays" in row.note) == ("waits", True)
    assert "stagebus.jobs" in shown(client, late)
    assert drop_all(client) == ["nothing expired"]
    assert status(client).job_id == late
    assert client.create_stage_tasks(late, task_count=2).tasks == 2
    assert shown(client, ended) == set()


def test_no_bridge_takes_what_was_removed_for_a_loss(client: Client) -> None:
    """It remembers its last writes, however long ago they were."""
    client.at(MONDAY + 6 * DAY)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=2)
    claim = client.claim()
    client.record_send(claim, 1, 1)
    client.record_send(claim, 2, 2)
    client.finish_batch(claim)
    client.end_stage_of(job_id, 1)
    client.finish_job(job_id)
    set_retention(client, 7 * DAY)
    client.at(MONDAY + 14 * DAY)
    write = Write(claim, published_through=2, sends=2, settled=True)
    done = []
    while "dropped" not in done:
        done.append(step(client, 1).status)
        assert client.check_writes(write).lost is None
    assert len(done) > 5
    client.at(MONDAY + 12 * DAY)
    assert client.check_writes(write).lost, "a younger one would be a loss"


def test_a_worker_that_comes_late_is_told_so(client: Client) -> None:
    client.at(MONDAY)
    published = client.published_stage(1)
    client.run_stage(published)
    client.finish_job(published.job_id)
    set_retention(client)
    client.at(MONDAY + KEEP + 8 * DAY)
    (message,) = published.messages
    verdicts = {client.start(message, uuid4()).verdict}
    while step(client).status != "nothing expired":
        verdicts.add(client.start(message, uuid4()).verdict)
    assert verdicts == {"done", "ghost"}
