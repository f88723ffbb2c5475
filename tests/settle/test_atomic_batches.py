"""An atomic batch is published as a whole or not at all; no task of it fails alone."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from tests.client import Client

TOKEN = UUID(int=1)


@pytest.fixture
def job_id(client: Client) -> UUID:
    """A stage of six tasks in atomic batches of three."""
    client.set_task_type("work", atomic=True, batch_size=3, retry_delay="0", max_attempts=9)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 6)
    return job_id


def test_a_part_of_it_cannot_be_recorded_as_accepted(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    before = client.contents()
    with pytest.raises(psycopg.errors.CheckViolation, match="an_atomic_batch_is_published_whole"):
        client.record_send(claim, 1, 2)
    assert client.contents() == before
    assert client.record_send(claim, 1, 3)
    assert client.batch(claim).published_through == 3
    assert client.record_send(claim, 1, 3), "told again"
    assert client.finish_batch(claim)


@pytest.mark.parametrize("outcome", ["unknown", "rejected"])
def test_what_was_not_accepted_leaves_all_of_it_to_be_sent(
    client: Client, job_id: UUID, outcome: str
) -> None:
    claim = client.claim()
    assert client.record_send(claim, 1, 3, outcome, "why")
    assert client.batch(claim).published_through == 0
    assert len(client.batch_messages(claim)) == 3


def test_no_task_of_it_fails_alone(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    before = client.contents()
    assert not client.fail_unsendable_task(claim, 1)
    assert not client.fail_unsendable_task(claim, 3)
    assert client.contents() == before
    client.record_send(claim, 1, 3)
    assert not client.fail_unsendable_task(claim, 3), "nor does it say that one did"


def test_a_batch_that_failed_goes_out_again_whole(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    client.fail_batch(claim, "too large", max_attempts=1)
    assert client.batch(claim).state == "failed"
    assert client.task_states(job_id) == {"pending_queue": 6}
    client.order("retry_batch", job_id, claim.batch_id)
    again = client.claim()
    assert (again.batch_id, again.published_through, again.atomic) == (claim.batch_id, 0, True)
    assert [message.task_index for message in client.batch_messages(again)] == [1, 2, 3]


def test_what_nobody_started_of_a_queued_batch_is_one_send_again(
    client: Client, job_id: UUID
) -> None:
    messages = client.publish()
    client.start_all([messages[0], messages[2]], TOKEN)
    first, _ = client.batches(job_id)
    client.order("retry_batch", job_id, first.batch_id)
    claim = client.claim()
    assert (claim.atomic, claim.dispatch, claim.last_index) == (True, 2, 3)
    (message,) = client.batch_messages(claim)
    assert message.task_index == 2
    assert client.record_send(claim, 2, claim.last_index, messages=1)
    assert client.finish_batch(claim)


def test_what_runs_of_a_batch_comes_back_in_sends(client: Client, job_id: UUID) -> None:
    messages = client.publish()
    client.start_all(messages, TOKEN)
    first, _ = client.batches(job_id)
    order = client.order("retry_batch", job_id, first.batch_id, unfinished=True)
    client.execute("select stagebus.work_order(%s, 100)", order.order_id)
    client.set_destination("tasks", max_send_messages=2)
    assert client.gather_retries() == 3
    assert [
        (batch.atomic, batch.scattered, batch.first_index, batch.last_index, batch.task_count)
        for batch in client.batches(job_id)[2:]
    ] == [(True, True, 1, 2, 2), (True, True, 3, 3, 1)]
    assert len(client.publish()) == 3


def test_a_stages_end_is_told_by_message_as_ever(client: Client) -> None:
    client.set_task_type("told", atomic=True, job_messages=True)
    stage = client.published_stage(3, "told")
    client.start_all(stage.messages, TOKEN)
    client.complete_tasks(stage.task_ids, TOKEN)
    claims = client.claim_batches(5)
    assert {claim.entity for claim in claims} == {"jobs"}
    assert not any(claim.atomic for claim in claims)
