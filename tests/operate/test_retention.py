"""Retention: what is kept, what goes, in which order, and what keeps it back."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import Client
from tests.operate.retention import (
    DAY,
    EXPIRED,
    KEEP,
    MONDAY,
    PARTITION,
    WEEK,
    drop_all,
    ended_job,
    left_behind,
    set_retention,
    shown,
    status,
    step,
)

SECOND = timedelta(seconds=1)


def test_nothing_is_removed_unless_somebody_said_so(client: Client) -> None:
    job_id = ended_job(client)
    client.at(MONDAY + 5000 * DAY)
    assert drop_all(client) == ["nothing expired"]
    assert step(client, at_once=False).status == "nothing expired"
    assert status(client).status == "kept: no retention is set"
    assert client.job(job_id).status == "completed"


@pytest.mark.parametrize("keep", ["0", "-30 days", "6 days 23:59:59", "36501 days", None])
def test_a_policy_out_of_its_range_is_refused(client: Client, keep: str | None) -> None:
    with client.refused("SB116") as caught:
        set_retention(client, keep)
    assert "stop_retention" in str(caught.value.diag.message_hint)


def test_the_limits_of_a_policy_are_allowed(client: Client) -> None:
    for keep in (WEEK, 36500 * DAY):
        set_retention(client, keep)
        assert client.value("select keep from stagebus_data.retention") == keep
        assert {row.status for row in client.rows("select * from retention_status()")} == {"kept"}


def test_a_week_goes_with_all_that_its_jobs_had(client: Client) -> None:
    jobs = [ended_job(client, MONDAY + n * DAY) for n in range(7)]
    kept = ended_job(client, MONDAY + WEEK)
    kept_rows = left_behind(client, kept)
    set_retention(client)
    client.at(EXPIRED)
    assert drop_all(client) == ["begun", "being removed", "dropped", "nothing expired"]
    assert left_behind(client, *jobs) == set()
    assert status(client) is None
    assert client.value("select to_regclass(%s)", f"stagebus_data.{PARTITION}") is None
    assert left_behind(client, kept) == kept_rows
    assert {"stagebus_data.tasks", "stagebus_data.sends"} < kept_rows
    assert client.task_states(kept) == {"completed": 3}


def test_a_week_is_kept_to_the_last_moment(client: Client) -> None:
    ended_job(client, MONDAY)
    set_retention(client)
    client.at(EXPIRED - SECOND)
    assert drop_all(client) == ["nothing expired"]
    assert status(client).status == "kept"
    client.at(EXPIRED)
    assert status(client).status == "expired"
    assert drop_all(client)[0] == "begun"


def test_a_job_that_ended_late_keeps_its_week(client: Client) -> None:
    ended_job(client)
    job_id = client.create_job()
    client.at(MONDAY + 2 * WEEK)
    client.finish_job(job_id)
    set_retention(client)
    client.at(MONDAY + 2 * WEEK + KEEP - SECOND)
    assert drop_all(client) == ["nothing expired"]
    row = status(client)
    assert (row.status, row.job_id) == ("held back", job_id)
    assert "ended only at" in row.why
    client.at(MONDAY + 2 * WEEK + KEEP)
    assert drop_all(client)[0] == "begun"


def test_a_job_that_has_not_ended_keeps_its_week(client: Client) -> None:
    ended_job(client)
    job_id = client.create_job()
    set_retention(client)
    client.at(MONDAY + 400 * DAY)
    assert drop_all(client) == ["nothing expired"]
    row = status(client)
    assert (row.status, row.job_id, row.why) == ("held back", job_id, "it is created")


def test_a_newer_week_need_not_wait_for_an_older_one(client: Client) -> None:
    client.at(MONDAY)
    running = client.create_job()
    ended = ended_job(client, MONDAY + WEEK)
    set_retention(client)
    client.at(EXPIRED + WEEK)
    assert drop_all(client)[0] == "begun"
    assert (client.job(running).status, left_behind(client, ended)) == ("created", set())


def failed_stage(client: Client) -> UUID:
    """A job whose first stage has failed tasks, and which has gone past it."""
    client.at(MONDAY)
    published = client.published_stage(2)
    client.end_stage_of(published.job_id, 1, failing=1)
    client.run_stage(client.published_stage(1, job_id=published.job_id, stage=2))
    client.finish_job(published.job_id)
    return published.job_id


def test_a_stage_that_is_repaired_keeps_the_week_of_its_job(client: Client) -> None:
    job_id = failed_stage(client)
    set_retention(client)
    client.at(EXPIRED)
    order = client.order("retry_tasks", job_id, 1)
    assert status(client).why == f"order {order.order_id} is worked off"
    client.work_orders()
    assert client.job(job_id).ended_at == MONDAY
    assert (status(client).job_id, status(client).why) == (job_id, "its stage 1 is open")
    assert drop_all(client) == ["nothing expired"]
    client.advance(DAY)
    client.gather_retries()
    (message,) = client.publish()
    client.start_all([message], client.bridge_id)
    client.complete_tasks([message.task_id], client.bridge_id)
    assert "its stage 1 ended only at" in status(client).why
    client.advance(KEEP)
    assert drop_all(client)[0] == "begun"


def test_a_message_that_waits_keeps_the_week_of_its_job(client: Client) -> None:
    client.set_task_type("h3_hexagon", job_messages=True)
    job_id = ended_job(client)
    set_retention(client)
    client.at(EXPIRED)
    row = status(client)
    assert (row.job_id, row.why.endswith("is pending_queue")) == (job_id, True)
    client.publish()
    assert drop_all(client)[0] == "begun"
    assert left_behind(client, job_id) == set()


def test_an_empty_week_goes_too_and_the_next_one_stays(client: Client) -> None:
    client.at(MONDAY - WEEK)
    client.maintain()
    assert status(client).status.startswith("kept")
    set_retention(client, WEEK)
    client.at(MONDAY + 2 * WEEK)
    client.maintain()
    assert drop_all(client).count("dropped") == 1
    assert (status(client), status(client, "tasks_from_20250324").status) == (None, "kept")
    client.create_stage_tasks(client.create_job())


def test_nothing_of_a_week_is_seen_once_its_removal_has_begun(client: Client) -> None:
    job_id = ended_job(client, dedupe_key="once")
    client.order("cancel_job", client.create_job())
    client.work_orders()
    set_retention(client)
    client.at(EXPIRED)
    before = shown(client, job_id)
    assert before >= {f"stagebus.{view}" for view in ("jobs", "stages", "tasks", "batches")}
    assert client.rows("select * from stagebus.orders")
    assert step(client).status == "begun"
    assert shown(client, job_id) == set()
    assert client.rows("select * from stagebus.orders") == []
    assert status(client).status == "being removed"


def test_an_order_about_a_job_that_is_being_removed_is_refused(client: Client) -> None:
    job_id = failed_stage(client)
    set_retention(client)
    client.at(EXPIRED)
    cancelled = client.create_job()
    order_id = client.order("cancel_job", cancelled).order_id
    step(client)
    for call in (
        lambda: client.order("retry_tasks", job_id, 1),
        lambda: client.execute("select stagebus.archive_job(%s)", job_id),
        lambda: client.execute("select stagebus.mark_archived(%s)", job_id),
    ):
        with client.refused("SB101"):
            call()
    client.orders("undo_order", order_id)
    assert client.job(cancelled).status == "created"


def test_a_cancelling_of_a_job_that_is_being_removed_is_not_undone(client: Client) -> None:
    client.at(MONDAY)
    job_id = client.create_job()
    order_id = client.order("cancel_job", job_id).order_id
    client.work_orders()
    set_retention(client)
    client.at(EXPIRED)
    step(client)
    with client.refused("SB101"):
        client.orders("undo_order", order_id)


def test_the_dedupe_key_of_a_job_that_is_being_removed_is_free(client: Client) -> None:
    old = ended_job(client, dedupe_key="once")
    set_retention(client)
    client.at(EXPIRED)
    assert client.create_job(dedupe_key="once") == old
    step(client)
    new = client.create_job(dedupe_key="once")
    assert new != old
    assert client.create_job(dedupe_key="once") == new
    drop_all(client)
    assert client.create_job(dedupe_key="once") == new


def test_a_dry_run_says_what_would_go_and_removes_nothing(client: Client) -> None:
    job_id = ended_job(client)
    client.at(EXPIRED)
    rows = client.rows("select * from stagebus.retention_status(keep => %s)", KEEP)
    assert [row.partition for row in rows if row.status == "expired"] == [PARTITION]
    set_retention(client)
    (row,) = client.rows("select * from stagebus.drop_expired(dry_run => true)")
    assert (row.partition, row.status) == (PARTITION, "dry run")
    assert shown(client, job_id)
    assert status(client).status == "expired"


def test_a_removal_that_has_begun_ends_though_retention_is_stopped(client: Client) -> None:
    job_id = ended_job(client)
    later = ended_job(client, MONDAY + WEEK)
    set_retention(client)
    client.at(EXPIRED + WEEK)
    step(client)
    client.execute("select stagebus.stop_retention()")
    assert drop_all(client) == ["being removed", "dropped", "nothing expired"]
    assert left_behind(client, job_id) == set()
    assert client.job(later).status == "completed"


def test_rows_go_in_bounded_steps(client: Client) -> None:
    jobs = [ended_job(client) for _ in range(5)]
    set_retention(client)
    client.at(EXPIRED)
    step(client)
    removed = []
    while (now := step(client, 3)).status == "being removed":
        removed.append(now.removed_rows)
    assert now.status == "dropped"
    assert set(removed[:-1]) == {3}
    assert left_behind(client, *jobs) == set()
    row = client.row("select * from stagebus_data.removals")
    assert (row.rows_removed, row.ended_at) == (sum(removed), EXPIRED)


def test_bridges_make_a_step_a_second_and_look_once_an_hour(client: Client) -> None:
    ended_job(client)
    set_retention(client)
    client.at(EXPIRED - timedelta(minutes=30))
    for _ in range(2):
        assert step(client, at_once=False).status == "nothing expired"
    client.at(EXPIRED)
    assert step(client, at_once=False).status == "nothing expired"
    client.at(EXPIRED + timedelta(minutes=30))
    assert step(client, 1, at_once=False).status == "begun"
    assert step(client, 1, at_once=False).status == "being removed"
    assert step(client, 1, at_once=False).status == "waits"
    client.advance(SECOND)
    assert step(client, 1, at_once=False).status == "being removed"


def test_a_round_of_house_keeping_says_when_a_step_is_due(client: Client) -> None:
    ended_job(client)

    def is_due() -> bool:
        due: bool = client.value("select removal_due from stagebus.maintain()")
        return due

    assert not is_due()
    set_retention(client)
    client.at(EXPIRED - timedelta(minutes=30))
    assert is_due()
    step(client, at_once=False)
    assert not is_due()
    client.at(EXPIRED + timedelta(minutes=30))
    assert is_due()
    assert step(client, at_once=False).status == "begun"
    assert is_due()
    client.advance(2 * SECOND)
    while step(client, at_once=False).status != "nothing expired":
        assert is_due()
        client.advance(2 * SECOND)
    assert not is_due()


def test_only_operators_set_it_and_only_they_and_bridges_remove(client: Client) -> None:
    set_retention(client.session("stagebus_operator"))
    assert client.value("select set_by from stagebus_data.retention") == "stagebus_operator"
    assert step(client.session("stagebus_bridge")).status == "nothing expired"
    monitor = client.session("stagebus_monitor")
    assert monitor.rows("select * from stagebus.retention_status()")
