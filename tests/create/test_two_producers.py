"""Two producers at once: whoever comes second waits, and then sees what the first has done."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from tests.client import FORMS, Client


@pytest.fixture
def other(client: Client) -> Client:
    return client.session()


@pytest.fixture
def job_id(client: Client) -> UUID:
    return client.create_job()


@pytest.mark.parametrize("form", FORMS)
def test_the_second_maker_of_a_stage_is_refused(
    client: Client, other: Client, job_id: UUID, form: str
) -> None:
    with client.transaction():
        client.create_stage_tasks(job_id, task_count=5)
        second = other.in_background(lambda: other.create_stage(form, job_id))
        client.wait_until_blocked(other, second)
    with pytest.raises(psycopg.Error) as caught:
        second.result()
    assert caught.value.sqlstate == "SB106"
    assert client.task_states(job_id) == {"pending_queue": 5}


@pytest.mark.parametrize("form", FORMS)
def test_the_second_maker_that_skips_gets_the_firsts_summary(
    client: Client, other: Client, job_id: UUID, form: str
) -> None:
    with client.transaction():
        first = client.create_stage_tasks(job_id, task_count=5)
        second = other.in_background(lambda: other.create_stage(form, job_id, if_exists="skip"))
        client.wait_until_blocked(other, second)
    assert second.result() == first


def test_the_second_maker_makes_the_stage_when_the_first_rolls_back(
    client: Client, other: Client, job_id: UUID
) -> None:
    with client.transaction(roll_back=True):
        client.create_stage_tasks(job_id, task_count=5)
        second = other.in_background(lambda: other.create_stage_tasks(job_id, task_count=3))
        client.wait_until_blocked(other, second)
    assert second.result().tasks == 3


def test_two_fillers_of_a_stage_number_their_tasks_on(
    client: Client, other: Client, job_id: UUID
) -> None:
    with client.transaction():
        client.create_stage_tasks(job_id, task_count=5, seal=False)
        second = other.in_background(
            lambda: other.create_stage_tasks(job_id, task_count=3, seal=False)
        )
        client.wait_until_blocked(other, second)
    assert second.result().tasks == 8
    assert client.seal_stage(job_id).tasks == 8


def test_a_seal_waits_for_an_append_and_takes_its_tasks_in(
    client: Client, other: Client, job_id: UUID
) -> None:
    client.create_stage_tasks(job_id, task_count=5, seal=False)
    with client.transaction():
        client.append_tasks(job_id, 1, [{}, {}])
        sealed = other.in_background(lambda: other.seal_stage(job_id))
        client.wait_until_blocked(other, sealed)
    assert sealed.result().tasks == 7
    assert [(b.first_index, b.last_index) for b in client.batches(job_id)] == [(1, 7)]


@pytest.mark.parametrize("rolled_back", [False, True])
def test_an_append_waits_for_a_seal(
    client: Client, other: Client, job_id: UUID, rolled_back: bool
) -> None:
    client.create_stage_tasks(job_id, task_count=5, seal=False)
    with client.transaction(roll_back=rolled_back):
        client.seal_stage(job_id)
        appended = other.in_background(lambda: other.append_numbered_tasks(job_id, 1, 2))
        client.wait_until_blocked(other, appended)
    if rolled_back:
        assert appended.result() == 7
    else:
        error = appended.exception()
        assert isinstance(error, psycopg.Error)
        assert error.sqlstate == "SB106"
        assert client.task_states(job_id) == {"pending_queue": 5}


def test_two_seals_make_one_set_of_batches(client: Client, other: Client, job_id: UUID) -> None:
    client.create_stage_tasks(job_id, task_count=5, seal=False)
    with client.transaction():
        client.seal_stage(job_id)
        second = other.in_background(lambda: other.seal_stage(job_id))
        client.wait_until_blocked(other, second)
    error = second.exception()
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "SB106"
    assert len(client.batches(job_id)) == 1


def test_a_job_is_not_finished_under_a_stage_that_is_being_made(
    client: Client, other: Client, job_id: UUID
) -> None:
    with client.transaction():
        client.create_stage_tasks(job_id)
        finished = other.in_background(lambda: other.finish_job(job_id))
        client.wait_until_blocked(other, finished)
    error = finished.exception()
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "SB113"


def test_a_stage_is_not_made_under_a_job_that_is_being_finished(
    client: Client, other: Client, job_id: UUID
) -> None:
    with client.transaction():
        client.finish_job(job_id)
        made = other.in_background(lambda: other.create_stage_tasks(job_id))
        client.wait_until_blocked(other, made)
    error = made.exception()
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "SB102"
