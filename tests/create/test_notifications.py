"""Notifications of new work: a hint, given once, and not when bridges have work to find."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.client import FORMS, Client, Listener

READY = ("stagebus_ready", "")


@pytest.fixture
def listener(client: Client) -> Listener:
    return Listener(client, "stagebus_ready", "stagebus_jobs")


def create(client: Client, form: str = "count") -> None:
    client.create_stage(form, client.create_job())


@pytest.mark.parametrize("form", FORMS)
def test_a_creation_is_notified_once_at_its_commit(
    client: Client, listener: Listener, form: str
) -> None:
    with client.transaction():
        create(client, form)
        assert listener.heard() == []
    assert listener.heard() == [READY]
    assert listener.heard() == []


def test_a_transaction_of_many_stages_is_notified_once(client: Client, listener: Listener) -> None:
    client.set_task_type("elsewhere", destination="jobs")
    with client.transaction():
        for _ in range(5):
            create(client)
            client.create_stage_tasks(client.create_job(), task_type="elsewhere")
    assert listener.heard() == [READY]


def test_a_rolled_back_creation_is_not_notified(client: Client, listener: Listener) -> None:
    with client.transaction(roll_back=True):
        create(client)
    assert listener.heard() == []


def test_a_filling_stage_is_not_notified_but_its_seal_is(
    client: Client, listener: Listener
) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, seal=False)
    assert listener.heard() == []
    client.seal_stage(job_id)
    assert listener.heard() == [READY]


def test_nothing_is_said_while_claimable_batches_of_the_destination_wait(
    client: Client, listener: Listener
) -> None:
    create(client)
    assert listener.heard() == [READY]
    create(client)
    assert listener.heard() == []
    client.claim_batches(10)
    create(client)
    assert listener.heard() == [READY]


def test_batches_of_another_destination_do_not_count(client: Client, listener: Listener) -> None:
    create(client)
    assert listener.heard() == [READY]
    client.set_task_type("elsewhere", destination="jobs")
    client.create_stage_tasks(client.create_job(), task_type="elsewhere")
    assert listener.heard() == [READY]


def test_batches_that_wait_for_their_time_do_not_count(client: Client, listener: Listener) -> None:
    client.stop_clock()
    create(client)
    assert client.release_batch(client.claim(), timedelta(seconds=10))
    assert listener.heard() == [READY]
    create(client)
    assert listener.heard() == [READY]


def test_an_empty_stage_is_news_for_controllers_only(client: Client, listener: Listener) -> None:
    job_id = client.create_job()
    client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [])
    assert listener.heard() == [("stagebus_jobs", str(job_id))]


def test_retries_are_notified(client: Client, listener: Listener) -> None:
    client.set_task_type("h3_hexagon", timeout="1 minute")
    published = client.published_stage()
    client.stop_clock()
    client.start_all(published.messages, client.bridge_id)
    client.advance(timedelta(minutes=2))
    assert listener.heard() == [READY]
    assert client.end_lost_attempts() == 1
    assert listener.heard() == []
    assert client.gather_retries() == 1
    assert listener.heard() == [READY]
