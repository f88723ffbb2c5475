"""No update of a task writes to an index: all of them stay on their page (HOT)."""

from __future__ import annotations

from uuid import UUID

from tests.client import Client

TOKEN = UUID(int=1)
UPDATES = (
    "select sum(n_tup_upd)::integer as updates, sum(n_tup_hot_upd)::integer as hot"
    " from pg_stat_xact_user_tables where relname ~ '^tasks_from_'"
)


def test_starting_completing_and_failing_tasks_is_hot(client: Client) -> None:
    published = client.published_stage(6)
    first, second, third = published.task_ids[:3]
    with client.transaction():
        client.start_all(published.messages, TOKEN)
        client.complete_task(first, TOKEN, {"n": 1})
        client.complete_tasks([second], TOKEN, [{"n": 2}])
        client.fail_task(third, TOKEN)
        counted = client.row(UPDATES)
    assert (counted.updates, counted.hot) == (9, 9)
