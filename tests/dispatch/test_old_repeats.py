"""A repeat that the broker may not recognise any more is not sent unasked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.client import MINUTE, Claim, Client

SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def ten_minutes(client: Client) -> None:
    client.stop_clock()
    client.set_destination("tasks", duplicate_window="10 minutes")


@pytest.fixture
def job_id(client: Client) -> UUID:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 4)
    return job_id


def unanswered(client: Client) -> Claim:
    """The first two were accepted, the third send nobody answered; the batch was given back."""
    claim = client.claim()
    assert client.record_send(claim, 1, 2)
    assert client.record_send(claim, 3, 4, "unknown", "nobody answered")
    client.fail_batch(claim)
    return claim


def held(client: Client, job_id: UUID) -> bool:
    return bool(client.batches(job_id)[0].state == "held")


def test_within_the_window_the_same_ids_go_out_again(client: Client, job_id: UUID) -> None:
    unanswered(client)
    # A lease of one minute, and a send that outlasts it, still end within ten.
    client.advance(MINUTE * 8 - SECOND)
    again = client.claim()
    assert [message.task_index for message in client.batch_messages(again, 2)] == [3, 4]
    assert again.dispatch == 1


def test_after_it_the_batch_is_held_and_says_why(client: Client, job_id: UUID) -> None:
    unanswered(client)
    client.advance(MINUTE * 8 + SECOND)
    assert client.claim_batches(1) == []
    (batch,) = client.batches(job_id)
    assert batch.state == "held"
    assert "unhold_batch" in batch.last_error
    dry = client.order("unhold_batch", job_id, batch.batch_id, dry_run=True)
    assert "may be there twice" in dry.note
    client.order("unhold_batch", job_id, batch.batch_id)
    assert [message.task_index for message in client.publish()] == [3, 4]
    assert client.task_states(job_id) == {"queued": 4}


@pytest.mark.parametrize(
    "now", [datetime(2031, 3, 29, tzinfo=UTC), datetime(2031, 10, 25, tzinfo=UTC)]
)
def test_a_window_of_days_is_as_long_when_clocks_change(
    client: Client, job_id: UUID, now: datetime
) -> None:
    client.execute("set time zone 'Europe/Berlin'")
    client.set_destination("tasks", duplicate_window="7 days")
    client.at(now)
    unanswered(client)
    held_at = now + timedelta(hours=7 * 24) - MINUTE * 2
    client.at(held_at - SECOND)
    client.release_batch(client.claim())
    client.at(held_at + SECOND)
    assert client.claim_batches(1) == []
    assert held(client, job_id)


def test_a_destination_may_have_it_sent_all_the_same(client: Client, job_id: UUID) -> None:
    client.set_destination("tasks", old_repeats="resend")
    unanswered(client)
    client.advance(timedelta(days=1))
    assert client.claim().published_through == 2


def test_a_failed_batch_that_an_operator_retries_is_not_held(client: Client, job_id: UUID) -> None:
    claim = client.claim()
    client.record_send(claim, 1, 4, "unknown", "nobody answered")
    client.fail_batch(claim, max_attempts=1)
    client.advance(timedelta(hours=1))
    client.order("retry_batch", job_id, claim.batch_id)
    assert [message.task_index for message in client.publish()] == [1, 2, 3, 4]


def test_a_broker_that_drops_no_repeats_gets_none_unasked(client: Client, job_id: UUID) -> None:
    client.set_destination("tasks", duplicate_window="0")
    unanswered(client)
    client.advance(SECOND * 2)
    assert client.claim_batches(1) == []
    assert held(client, job_id)


def test_what_was_accepted_since_is_no_longer_in_doubt(client: Client, job_id: UUID) -> None:
    unanswered(client)
    client.advance(MINUTE)
    again = client.claim()
    client.record_send(again, 3, 4)
    client.release_batch(again)
    client.advance(timedelta(hours=1))
    assert client.claim_batches(1) != []


def test_a_part_that_was_accepted_leaves_the_rest_in_doubt(client: Client, job_id: UUID) -> None:
    unanswered(client)
    client.advance(MINUTE)
    again = client.claim()
    client.record_send(again, 3, 3)
    client.release_batch(again)
    client.advance(MINUTE * 7 + SECOND)
    assert client.claim_batches(1) == []
    assert held(client, job_id)


def test_the_oldest_of_several_unanswered_sends_counts(client: Client, job_id: UUID) -> None:
    for _ in range(2):
        claim = client.claim()
        assert client.record_send(claim, 1, 4, "unknown", "nobody answered")
        client.release_batch(claim)
        client.advance(MINUTE * 4)
    client.advance(SECOND)
    assert client.claim_batches(1) == []
    assert held(client, job_id)


def test_the_age_of_a_dead_bridges_sends_counts_from_its_last_report(
    client: Client, job_id: UUID
) -> None:
    claim = client.claim()
    client.advance(SECOND * 50)
    client.record_send(claim, 1, 2)
    # A second bridge finds it in time: what is unreported was sent after the last report.
    client.advance(MINUTE * 7 + SECOND * 59)
    assert client.claim_batches(1) != []


def test_and_a_batch_that_nobody_looked_after_for_too_long_is_held(
    client: Client, job_id: UUID
) -> None:
    client.claim()
    client.advance(MINUTE * 9)
    assert client.claim_batches(1) == []
    assert held(client, job_id)
    assert client.column("select outcome from stagebus.sends") == ["unknown"]


def test_a_new_dispatch_has_new_ids_and_no_doubt(client: Client, job_id: UUID) -> None:
    unanswered(client)
    client.advance(SECOND * 2)
    again = client.claim()
    client.order("retry_batch", job_id, again.batch_id)
    client.advance(timedelta(hours=1))
    assert client.claim().dispatch == 2
