"""archive_job and mark_archived: a copy of all there is, before retention removes it."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from tests.client import Client
from tests.operate.retention import (
    DAY,
    EXPIRED,
    MONDAY,
    drop_all,
    ended_job,
    left_behind,
    set_retention,
    status,
)


def archive(client: Client, job_id: object) -> list[tuple[str, dict[str, object]]]:
    return [
        (row.table_name, row.content)
        for row in client.rows("select * from stagebus.archive_job(%s)", job_id)
    ]


def mark(client: Client, job_id: object) -> None:
    client.execute("select stagebus.mark_archived(%s)", job_id)


def test_an_archive_has_each_row_of_the_job_and_of_no_other(client: Client) -> None:
    client.set_task_type("h3_hexagon", job_messages=True)
    ended_job(client, tasks=5)
    job_id = ended_job(client, tasks=4, dedupe_key="once")
    client.publish()
    mark(client, job_id)
    rows = archive(client, job_id)
    assert [name for name, _ in rows][:2] == ["jobs", "stages"]
    assert {content["job_id"] for _, content in rows} == {str(job_id)}
    assert {f"stagebus_data.{name}" for name, _ in rows} == left_behind(client, job_id)
    for table in {name for name, _ in rows}:
        count = client.value(
            f"select count(*) from stagebus_data.{table} where job_id = %s", job_id
        )
        assert [name for name, _ in rows].count(table) == count
    (task,) = (row for name, row in rows if name == "tasks" and row["task_index"] == 3)
    assert (task["state"], task["attempt"]) == ("completed", 1)


def test_an_archive_can_be_put_back(client: Client) -> None:
    job_id = ended_job(client)
    before = {name: row for name, row in archive(client, job_id) if name in ("jobs", "stages")}
    client.execute("create temp table kept as select * from stagebus.archive_job(%s)", job_id)
    set_retention(client)
    client.at(EXPIRED)
    drop_all(client)
    assert left_behind(client, job_id) == set()
    for table in ("jobs", "stages"):
        client.execute(
            f"insert into stagebus_data.{table} select r.* from kept as k, jsonb_populate_record("
            f"null::stagebus_data.{table}, k.content) as r where k.table_name = '{table}'"
        )
    assert dict(archive(client, job_id)) == before


def test_what_is_not_there_is_not_archived(client: Client) -> None:
    for job_id in (uuid4(), None):
        for function in ("archive_job", "mark_archived"):
            with client.refused("SB101"):
                client.execute(f"select stagebus.{function}(%s)", job_id)


def test_a_job_that_has_not_ended_can_be_copied_and_not_marked(client: Client) -> None:
    job_id = client.published_stage(2).job_id
    assert len(archive(client, job_id)) > 4
    with client.refused("SB120"):
        mark(client, job_id)


def test_a_policy_may_ask_for_an_archive_first(client: Client) -> None:
    jobs = [ended_job(client) for _ in range(2)]
    set_retention(client, archive_first=True)
    client.at(EXPIRED)
    mark(client, jobs[0])
    assert drop_all(client) == ["nothing expired"]
    row = status(client)
    assert (row.status, row.job_id, row.why) == ("held back", jobs[1], "it is not archived")
    mark(client, jobs[1])
    assert drop_all(client)[0] == "begun"
    assert left_behind(client, *jobs) == set()


def test_a_new_policy_keeps_what_was_said_of_archives(client: Client) -> None:
    ended_job(client)
    set_retention(client, archive_first=True)
    set_retention(client)
    client.at(EXPIRED)
    assert status(client).why == "it is not archived"
    set_retention(client, archive_first=False)
    assert status(client).status == "expired"


def test_a_job_that_ended_again_is_archived_again(client: Client) -> None:
    client.at(MONDAY)
    published = client.published_stage(2)
    client.end_stage_of(published.job_id, 1, failing=1)
    client.finish_job(published.job_id)
    set_retention(client, archive_first=True)
    mark(client, published.job_id)
    client.advance(DAY)
    client.order("retry_tasks", published.job_id, 1)
    client.work_orders()
    client.advance(DAY)
    client.gather_retries()
    (message,) = client.publish()
    client.start_all([message], client.bridge_id)
    client.complete_tasks([message.task_id], client.bridge_id)
    client.at(EXPIRED + 3 * DAY)
    assert status(client).why == "it is not archived"
    mark(client, published.job_id)
    assert status(client).status == "expired"


def test_a_mark_says_what_its_snapshot_had(client: Client) -> None:
    """What ended after the copy is not in it, though the mark comes later."""
    client.at(MONDAY)
    published = client.published_stage(2)
    client.end_stage_of(published.job_id, 1, failing=2)
    client.finish_job(published.job_id)
    set_retention(client, archive_first=True)
    other = client.session()
    with other.transaction("repeatable read"):
        archive(other, published.job_id)
        client.advance(DAY)
        client.order("retry_tasks", published.job_id, 1)
        client.work_orders()
        client.advance(DAY)
        client.gather_retries()
        messages = client.publish()
        client.start_all(messages, client.bridge_id)
        client.complete_tasks([message.task_id for message in messages], client.bridge_id)
        mark(other, published.job_id)
    client.at(EXPIRED + 3 * DAY)
    assert status(client).why == "it is not archived"


def test_only_operators_archive(client: Client) -> None:
    job_id = ended_job(client)
    operator = client.session("stagebus_operator")
    assert archive(operator, job_id)
    mark(operator, job_id)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        archive(client.session("stagebus_monitor"), job_id)
