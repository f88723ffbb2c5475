"""A cancelling is worked off in steps, over whatever it finds."""

from __future__ import annotations

from uuid import UUID

from tests.client import Client

TOKEN = UUID(int=1)


def test_a_step_may_find_nothing_but_tasks_that_have_ended(client: Client) -> None:
    published = client.published_stage(9)
    client.start_all(published.messages, TOKEN)
    client.complete_tasks(published.task_ids[:6], TOKEN)
    client.order("cancel_stage", published.job_id, 1)
    client.work_orders(limit=2)
    assert client.task_states(published.job_id) == {"completed": 6, "cancelled": 3}
    assert client.stage(published.job_id).status == "cancelled"
