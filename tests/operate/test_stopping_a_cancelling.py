"""A cancelling is stopped before it is through: what is left of it goes on."""

from __future__ import annotations

from uuid import UUID

from tests.client import Client

TOKEN = UUID(int=1)


def test_what_a_held_batch_had_published_goes_out_again_after_it(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 4)
    claim = client.claim()
    published = client.batch_messages(claim, 0, 2)
    client.record_send(claim, 1, 2)
    client.order("hold_batch", job_id, claim.batch_id)
    cancelling = client.order("cancel_stage", job_id, 1)
    # The workers complete these messages: the broker has them no longer.
    assert client.start_all(published, TOKEN) == ["cancelled"] * 2

    client.order("stop_order", cancelling.order_id)
    batch = client.batch(claim)
    assert (batch.state, batch.dispatch, batch.published_through) == ("held", 2, 0)
    client.order("unhold_batch", job_id, claim.batch_id)
    messages = client.publish()
    assert [message.task_index for message in messages] == [1, 2, 3, 4]
    assert not {message.message_id for message in messages} & {m.message_id for m in published}


def test_the_cancelling_of_a_stage_is_not_stopped_while_its_job_is_cancelled(
    client: Client,
) -> None:
    published = client.published_stage(3)
    stage = client.order("cancel_stage", published.job_id, 1)
    job = client.order("cancel_job", published.job_id)
    for function in ("stop_order", "undo_order"):
        with client.refused("SB120"):
            client.orders(function, stage.order_id)

    client.order("stop_order", job.order_id)
    assert client.stage_row(published.job_id).ending is None
    client.work_orders()
    client.run_stage(published.__class__(published.job_id, 1, client.publish()))
    assert client.stage(published.job_id).status == "completed"
