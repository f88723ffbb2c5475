"""What nobody started in time is published again, however much of the rest was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.client import Client

TOKEN = UUID(int=1)
DAY = timedelta(days=1)

#: Rows of tasks that this session has read.
READ = (
    "select sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) from pg_stat_xact_user_tables"
    " where relname like 'tasks_from_%'"
)


def maintained(client: Client) -> Any:
    return client.row("select republished_batches, more from stagebus.maintain()")


def test_a_round_says_that_more_batches_are_due(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", batch_size=1, start_timeout=DAY, timeout="7 days")
    started = client.published_stage(11, "work")
    client.start_all(started.messages, TOKEN)
    client.advance(timedelta(seconds=1))
    lost = client.published_stage(1, "work")
    assert maintained(client) == (0, False)
    client.advance(DAY)
    assert maintained(client) == (0, True)
    assert maintained(client) == (1, False)
    assert client.task_states(lost.job_id) == {"pending_queue": 1}
    assert client.task_states(started.job_id) == {"processing": 11}


def test_what_somebody_has_locked_is_not_asked_for_at_once(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", start_timeout=DAY)
    client.published_stage(1, "work")
    client.advance(DAY)
    other = client.session()
    with client.transaction():
        client.execute("select from stagebus_data.batches for update")
        assert maintained(other) == (0, False)
    assert maintained(other) == (1, False)


def test_of_a_stage_that_has_ended_no_task_is_read(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", batch_size=10, start_timeout=DAY)
    for ended in (True, False):
        published = client.published_stage(20, "work")
        client.start_all(published.messages, TOKEN)
        client.complete_tasks(published.task_ids[: 20 if ended else 19], TOKEN)
        client.advance(DAY)
        with client.transaction():
            before = client.value(READ)
            client.rows("select stagebus.republish_unstarted(10)")
            assert (client.value(READ) == before) is ended
        assert client.count("batches where start_due_at is not null") == 0
