"""create_job: a user's request becomes a row, once."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.conftest import CALLER


def test_a_new_job_is_a_row_with_its_parameters_and_its_maker(
    client: Client, caller: Client
) -> None:
    now = client.stop_clock()
    job_id = caller.create_job("tiles", {"region": "alps"})
    job = client.job(job_id)
    assert (job.job_type, job.status, job.parameters) == ("tiles", "created", {"region": "alps"})
    assert (job.created_at, job.created_by) == (now, CALLER)
    assert (job.started_at, job.ended_at, job.dedupe_key) == (None, None, None)


def test_the_function_is_found_without_its_schema(client: Client) -> None:
    assert client.value("select create_job('tiles')") == client.value("select job_id from jobs")


def test_the_same_key_gives_the_same_job(client: Client) -> None:
    first = client.create_job("tiles", {"n": 1}, dedupe_key="order 7")
    assert client.create_job("tiles", {"n": 2}, dedupe_key="order 7") == first
    assert client.create_job("tiles", dedupe_key="order 8") != first
    assert client.job(first).parameters == {"n": 1}
    assert client.job(first).dedupe_key == "order 7"
    assert client.count("jobs") == 2


def test_a_key_is_taken_where_constraints_are_immediate(client: Client) -> None:
    with client.transaction():
        client.execute("set constraints all immediate")
        first = client.create_job(dedupe_key="order 7")
        client.execute("set constraints all immediate")
        assert client.create_job(dedupe_key="order 8") != first
    assert client.job(first).dedupe_key == "order 7"


def test_without_a_key_each_call_makes_a_job(client: Client) -> None:
    assert client.create_job() != client.create_job()


def test_a_key_of_a_rolled_back_job_is_free_again(client: Client) -> None:
    with client.transaction(roll_back=True):
        lost = client.create_job(dedupe_key="order 7")
    assert client.create_job(dedupe_key="order 7") != lost


def test_a_job_type_has_1_to_100_characters(client: Client) -> None:
    for job_type in (None, "", "x" * 101):
        with client.refused("SB116"):
            client.create_job(job_type)


def test_a_dedupe_key_has_1_to_512_characters(client: Client) -> None:
    for dedupe_key in ("", "x" * 513):
        with client.refused("SB116"):
            client.create_job(dedupe_key=dedupe_key)


def test_the_longest_names_are_accepted(client: Client) -> None:
    job_id = client.create_job("x" * 100, dedupe_key="y" * 512)
    assert client.job(job_id).job_type == "x" * 100


def test_parameters_are_an_object(client: Client) -> None:
    for parameters in ("null", "'null'", "'[]'", "'5'", "'true'", """'"text"'"""):
        with client.refused("SB109"):
            client.execute(f"select stagebus.create_job('tiles', {parameters}::jsonb)")


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_dedupe_key_needs_read_committed(client: Client, isolation: str) -> None:
    with client.refused("SB115"), client.transaction(isolation):
        client.create_job(dedupe_key="order 7")
    with client.transaction(isolation):
        client.create_job()


def test_two_sessions_with_one_key_make_one_job(client: Client) -> None:
    other = client.session()
    with client.transaction():
        first = client.create_job(dedupe_key="order 7")
        second = other.in_background(lambda: other.create_job(dedupe_key="order 7"))
        client.wait_until_blocked(other, second)
    assert second.result() == first
    assert client.count("jobs") == 1


def test_a_key_whose_first_user_rolled_back_makes_the_second_ones_job(client: Client) -> None:
    other = client.session()
    with client.transaction(roll_back=True):
        first = client.create_job(dedupe_key="order 7")
        second = other.in_background(lambda: other.create_job(dedupe_key="order 7"))
        client.wait_until_blocked(other, second)
    assert second.result() != first
    assert client.column("select job_id from stagebus.jobs") == [second.result()]
