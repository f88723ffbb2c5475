"""What an operator looks at reads counters and few batches, never tasks, however much there is.

pg_stat_xact_user_tables counts what the session has just read, inside functions too.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client
from tests.dispatch.test_plans import rows_read

#: Batches of each of ten jobs, of three tasks each.
BATCHES = 1000


@pytest.fixture(params=["without statistics", "with statistics"])
def backlog(client: Client, request: pytest.FixtureRequest) -> Client:
    """Ten jobs whose batches are published but for the last job's; 500 tasks of the first died."""
    client.stop_clock()
    client.set_task_type("tiny", batch_size=3)
    for _ in range(10):
        client.create_stage_tasks(client.create_job(), 1, "tiny", 3 * BATCHES)
    client.execute(
        "update stagebus_data.batches set state = 'queued', published_through = last_index,"
        " queued_at = created_at where job_id <> (select max(job_id::text)::uuid"
        " from stagebus_data.jobs)"
    )
    client.execute(
        "insert into stagebus_data.sends select job_id, batch_id, 1, 1, 1, batch_id, first_index,"
        " last_index, 3, 100, 'accepted', null, '1ms', created_at from stagebus_data.batches"
    )
    client.execute(
        "insert into stagebus_data.failed_tasks select %s, 1, i, 1, 'no', now()"
        " from generate_series(1, 500) as i",
        jobs(client)[0],
    )
    if request.param == "with statistics":
        client.execute("analyze")
    return client


def jobs(client: Client) -> list[UUID]:
    return client.column("select job_id from stagebus_data.jobs order by job_id")


def read(client: Client, table: str, query: str, *values: object) -> int:
    return rows_read(client, table, lambda: client.rows(query, *values))


@pytest.mark.parametrize(
    "query",
    [
        "select * from stagebus.job_progress",
        "select * from stagebus.destination_status",
        "select * from stagebus.batch_status",
        "select * from stagebus.bridges",
        "select * from stagebus.recent_errors",
        "select * from stagebus.dead_tasks",
        "select * from stagebus.retrying_tasks",
        "select * from stagebus.doctor()",
        "select stagebus.why_stuck(job_id) from stagebus.jobs",
    ],
)
def test_none_reads_tasks(backlog: Client, query: str) -> None:
    assert read(backlog, "tasks", query) == 0


def test_progress_of_a_job_reads_its_batches(backlog: Client) -> None:
    query = "select * from stagebus.job_progress where job_id = %s"
    assert read(backlog, "batches", query, jobs(backlog)[3]) <= BATCHES


def test_progress_of_what_has_ended_reads_neither_batches_nor_counters(backlog: Client) -> None:
    """Of nine jobs every task was completed."""
    done = jobs(backlog)[:-1]
    for end in (
        "counter_slots set completed = open_tasks, open_tasks = 0",
        "counter_groups set open_slots = 0",
        "stages set state = 'completed', completed = task_count, open_groups = 0, ended_at = now()",
    ):
        backlog.execute(f"update stagebus_data.{end} where job_id = any(%s)", done)
    query = "select * from stagebus.job_progress"
    assert [(row.completed, row.queued_batches) for row in backlog.rows(query + " order by 1")] == [
        *[(3 * BATCHES, BATCHES)] * 9,
        (0, 0),
    ]
    assert read(backlog, "batches", query) <= BATCHES
    assert read(backlog, "counter_slots", query) <= backlog.count("counter_slots") // 10


def test_progress_reads_each_batch_and_each_counter_once(backlog: Client) -> None:
    query = "select * from stagebus.job_progress"
    assert read(backlog, "batches", query) <= backlog.count("batches")
    assert read(backlog, "counter_slots", query) <= backlog.count("counter_slots")


def test_the_status_of_batches_reads_those_of_stages_that_go_on(backlog: Client) -> None:
    backlog.execute(
        "update stagebus_data.stages set state = 'completed', ended_at = now()"
        " where job_id = any(%s)",
        jobs(backlog)[:-2],
    )
    assert read(backlog, "batches", "select * from stagebus.batch_status") <= 2 * BATCHES


def test_doctor_finds_the_dead_letters_that_are_not_ours(backlog: Client) -> None:
    backlog.execute(
        "insert into stagebus_data.dead_letters (destination, sequence_number, message_id, outcome,"
        " job_id, stage, task_index, attempt, dispatch, nonce, received_at)"
        " select 'tasks', i, 'm', 'failed', %s, 1, i, 1, 1, 'n', now()"
        " from generate_series(1, 5000) as i",
        jobs(backlog)[0],
    )
    assert read(backlog, "dead_letters", "select * from stagebus.doctor()") <= 10


def test_a_destination_reads_what_waits_for_it(backlog: Client) -> None:
    backlog.claim_batches(7)
    query = "select * from stagebus.destination_status"
    # For each of the two the leases of both are read.
    assert read(backlog, "batches", query) <= BATCHES + 100 + 2 * 7


def test_the_bridges_read_the_leases(backlog: Client) -> None:
    backlog.execute("select stagebus.report_bridge(%s, 'h', 1, '1', 'd')", backlog.bridge_id)
    backlog.claim_batches(7)
    assert read(backlog, "batches", "select * from stagebus.bridges") <= 7


def test_errors_are_found_without_what_went_well(backlog: Client) -> None:
    query = "select * from stagebus.recent_errors"
    assert read(backlog, "sends", query) == 0
    # When it is planned, the end of an index may be looked at.
    assert read(backlog, "batches", query) <= 5
    assert read(backlog, "failed_tasks", query) <= 100
    query = "select * from stagebus.dead_tasks limit 20"
    assert read(backlog, "failed_tasks", query) <= 20


def test_the_doctor_reads_what_stands_still(backlog: Client) -> None:
    assert read(backlog, "batches", "select * from stagebus.doctor()") <= 10


def test_why_stuck_reads_the_batches_of_its_job(backlog: Client) -> None:
    query = "select * from stagebus.why_stuck(%s)"
    # Each of its questions may go through all of them.
    assert read(backlog, "batches", query, jobs(backlog)[3]) <= 8 * BATCHES
