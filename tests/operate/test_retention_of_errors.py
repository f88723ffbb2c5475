"""Retention: what went wrong in a week goes with it, and what names no week by its own age."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from tests.client import Client
from tests.operate.retention import DAY, EXPIRED, KEEP, MONDAY, set_retention, shown, step


def test_nothing_of_it_is_seen_once_the_removal_has_begun(client: Client) -> None:
    client.at(MONDAY)
    client.set_task_type("once", max_attempts=1, job_messages=True)
    published = client.published_stage(3, "once")
    assert client.record_dead_letters(published.messages[0].message_id) == ["failed"]
    client.end_stage_of(published.job_id, 1)
    client.publish()
    client.finish_job(published.job_id)
    *_, message = client.batches(published.job_id)
    client.order("hold_batch", published.job_id, message.batch_id)
    set_retention(client)
    client.at(EXPIRED)
    held = "select finding from stagebus.doctor() where finding ~ 'are held'"
    before = shown(client, published.job_id)
    assert before >= {
        f"stagebus.{view}" for view in ("dead_tasks", "dead_letters", "recent_errors")
    }
    assert len(client.rows(held)) == 1
    assert step(client).status == "begun"
    assert shown(client, published.job_id) == set()
    assert client.rows(held) == []
    for function in ("why_stuck", "verify_job"):
        with client.refused("SB101"):
            client.execute(f"select stagebus.{function}(%s)", published.job_id)


def test_dead_letters_that_name_no_task_go_when_they_are_as_old(client: Client) -> None:
    client.at(MONDAY)
    unnamed = ["somebody else's", f"{uuid4()}.1.0123456789"]
    assert client.record_dead_letters(*unnamed) == ["not_ours", "job_message"]
    client.at(MONDAY + 5000 * DAY)
    client.maintain()
    assert client.count("dead_letters") == 2
    set_retention(client)
    client.at(MONDAY + KEEP)
    client.maintain()
    assert client.count("dead_letters") == 2
    client.at(MONDAY + KEEP + timedelta(seconds=1))
    client.maintain(limit=1)
    assert client.count("dead_letters") == 1
    client.maintain()
    assert client.count("dead_letters") == 0
