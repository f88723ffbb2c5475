"""Ids: of jobs, ordered by time; of tasks, derived and read back; and the weeks' partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.client import Client

NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)
JOB = "0190b5a8-3c5e-7def-8123-456789abcdef"


def test_a_job_id_is_a_uuid_of_version_7_with_the_clocks_milliseconds(client: Client) -> None:
    client.at(NOON)
    for job_id in [client.create_job() for _ in range(20)]:
        assert job_id.version == 7
        assert job_id.variant == "specified in RFC 4122"
        assert job_id.int >> 80 == int(NOON.timestamp() * 1000)


def test_job_ids_are_ordered_by_time(client: Client) -> None:
    client.at(NOON)
    ids = []
    for _ in range(10):
        ids.append(client.create_job())
        client.advance(timedelta(milliseconds=1))
    assert ids == sorted(ids)


def test_a_task_id_is_made_of_its_key(client: Client) -> None:
    assert client.value("select stagebus.task_id(%s, 2, 17)", JOB) == f"{JOB}-s2-17"


def test_a_task_id_is_read_back(client: Client) -> None:
    for stage, index in ((1, 1), (32767, 999_999_999)):
        text = f"{JOB}-s{stage}-{index}"
        key = client.row("select * from stagebus.parse_task_ids(array[%s])", text)
        assert (str(key.job_id), key.stage, key.task_index) == (JOB, stage, index)


def test_other_text_is_not_a_task_id(client: Client) -> None:
    texts = [
        None,
        "",
        "task",
        JOB,
        f"{JOB}-s1",
        f"{JOB}-s0-1",
        f"{JOB}-s1-0",
        f"{JOB}-s01-1",
        f"{JOB}-s1-01",
        f"{JOB}-s1--1",
        f"{JOB}-s1-1 ",
        f"{JOB}-s1-1\n",
        f"{JOB.upper()}-s1-1",
        f"{JOB}-s1-1000000000",
        f"{JOB}-s99999999999-1",
    ]
    keys = client.rows("select * from stagebus.parse_task_ids(%s::text[])", texts)
    assert [key.task_id for key in keys] == texts
    assert {key.job_id for key in keys} == {None}


def test_ids_are_read_in_their_order(client: Client) -> None:
    ids = [f"{JOB}-s1-3", "no", f"{JOB}-s1-1", f"{JOB}-s1-3"]
    rows = client.rows("select * from stagebus.parse_task_ids(%s) order by ordinal", ids)
    assert [row.task_id for row in rows] == ids
    assert [row.task_index for row in rows] == [3, None, 1, 3]


def test_a_job_of_a_new_week_gets_its_partition(client: Client) -> None:
    monday = datetime(2031, 5, 12, tzinfo=UTC)
    for moment, partition in [
        (NOON, "tasks_from_20310512"),
        (monday, "tasks_from_20310512"),
        (monday - timedelta(milliseconds=1), "tasks_from_20310505"),
        (monday + timedelta(days=7), "tasks_from_20310519"),
    ]:
        client.at(moment)
        job_id = client.create_job()
        client.create_stage_tasks(job_id, task_count=2)
        assert client.column(
            "select distinct tableoid::regclass::text from stagebus_data.tasks where job_id = %s",
            job_id,
        ) == [f"stagebus_data.{partition}"]


def test_the_weeks_do_not_depend_on_the_sessions_time_zone(client: Client) -> None:
    sunday = datetime(2031, 5, 11, 23, 30, tzinfo=UTC)
    for zone in ("UTC", "Pacific/Auckland", "America/Los_Angeles"):
        client.execute(f"set time zone '{zone}'")
        assert client.value("select stagebus.ensure_partition(%s)", sunday) == "tasks_from_20310505"


@pytest.mark.parametrize(
    "monday", [datetime(2031, 3, 31, tzinfo=UTC), datetime(2031, 10, 27, tzinfo=UTC)]
)
def test_a_week_in_which_clocks_change_ends_where_the_next_begins(
    client: Client, monday: datetime
) -> None:
    client.execute("set time zone 'Europe/Berlin'")
    for moment in (monday - timedelta(days=7), monday, monday - timedelta(milliseconds=1)):
        client.at(moment)
        client.create_stage_tasks(client.create_job())


def test_two_sessions_make_the_partition_of_a_week_once(client: Client) -> None:
    other = client.session()
    with client.transaction():
        name = client.value("select stagebus.ensure_partition(%s)", NOON)
        again = other.in_background(
            lambda: other.value("select stagebus.ensure_partition(%s)", NOON)
        )
        client.wait_until_blocked(other, again)
    assert again.result() == name


def test_maintenance_makes_next_weeks_partition(client: Client) -> None:
    client.at(NOON)
    client.maintain()
    assert client.value("select to_regclass('stagebus_data.tasks_from_20310519')") is not None


def test_digits_up_to_is_the_length_of_the_numbers_written_out(client: Client) -> None:
    for n in (0, 1, 9, 10, 11, 99, 100, 101, 12345, 1_000_000):
        assert client.value("select stagebus.digits_up_to(%s)", n) == sum(
            len(str(i)) for i in range(1, n + 1)
        )
