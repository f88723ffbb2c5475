"""A cancelling is worked off in steps, over whatever it finds."""

from __future__ import annotations

from uuid import UUID

from tests.client import Client

TOKEN = UUID(int=1)


def test_what_a_bridge_may_have_sent_of_a_cancelled_batch_is_in_the_ledger(client: Client) -> None:
    client.create_stage_tasks(client.create_job(), task_count=9)
    claim = client.claim()
    client.record_send(claim, 1, 4)
    client.order("cancel_stage", claim.job_id, 1)
    client.work_orders()
    assert not client.record_send(claim, 5, 9)
    assert [(send.outcome, send.first_index, send.last_index) for send in client.sends(claim)] == [
        ("accepted", 1, 4),
        ("unknown", 5, 9),
    ]
    assert client.batch(claim).state == "cancelled"


def test_a_step_may_find_nothing_but_tasks_that_have_ended(client: Client) -> None:
    published = client.published_stage(9)
    client.start_all(published.messages, TOKEN)
    client.complete_tasks(published.task_ids[:6], TOKEN)
    client.order("cancel_stage", published.job_id, 1)
    client.work_orders(limit=2)
    assert client.task_states(published.job_id) == {"completed": 6, "cancelled": 3}
    assert client.stage(published.job_id).status == "cancelled"


def test_what_came_back_behind_a_step_is_cancelled_too(client: Client) -> None:
    """As by a retry that had looked at the stage before its cancelling was ordered."""
    published = client.published_stage(6)
    client.start_all(published.messages, TOKEN)
    client.fail_task(published.task_ids[0], TOKEN, retry=False)
    order_id = client.order("cancel_stage", published.job_id, 1).order_id
    client.order("work_order", order_id, 3)
    client.execute("update stagebus_data.tasks set state = 'retry_wait' where task_index = 1")
    client.execute(
        "select stagebus.count_reopened_tasks(%s, 1, array[1], 'failed')", published.job_id
    )
    for _ in range(5):
        client.order("work_order", order_id, 3)
    assert client.task_states(published.job_id) == {"cancelled": 6}
    assert client.order_row(order_id).status == "done"
    assert client.recount(published.job_id) == []
