"""retry_batch takes a batch from the bridge that publishes it."""

from __future__ import annotations

from tests.client import Client


def test_a_batch_that_is_being_published_begins_anew_and_its_bridge_is_refused(
    client: Client,
) -> None:
    client.create_stage_tasks(client.create_job(), task_count=9)
    claim = client.claim()
    before = client.batch_messages(claim)
    client.record_send(claim, 1, 4)
    client.order("retry_batch", claim.job_id, claim.batch_id)
    assert not client.record_send(claim, 5, 9)
    assert not client.finish_batch(claim)
    assert [(send.outcome, send.first_index, send.last_index) for send in client.sends(claim)] == [
        ("accepted", 1, 4),
        ("unknown", 5, 9),
    ]
    again = client.claim()
    assert (again.dispatch, again.published_through) == (2, 0)
    assert again.claim_epoch > claim.claim_epoch
    ids = {message.message_id for message in client.batch_messages(again)}
    assert len(ids) == 9
    assert not ids & {message.message_id for message in before}
