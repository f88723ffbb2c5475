"""A session plans each statement once: what it planned when tables were empty has to do later.

Statistics are gathered a minute after a table has grown. Until then a plan that reads all of it
would make each call as slow as the table is long.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from tests.client import Client

#: Tables of which more rows were read than that, one after the other and along indexes.
GROWING = (
    "select relname || ' ' || seq_tup_read || ' ' || coalesce(idx_tup_fetch, 0)"
    " from pg_stat_user_tables"
    " where schemaname = 'stagebus_data' and seq_tup_read + coalesce(idx_tup_fetch, 0) > %s"
)


def work(client: Client, job_id: UUID, tasks: int) -> None:
    """As a bridge does, and a worker: one batch is published, its first tasks come to an end."""
    for _ in range(tasks):
        (claimed,) = client.claim_batches(1)
        client.extend_lease(claimed)
        assert client.batch_messages(claimed)
        assert client.record_send(claimed, claimed.published_through + 1, claimed.last_index)
        assert client.finish_batch(claimed)
    nonce = client.stage_row(job_id, 1).nonce
    for index in range(1, tasks + 1):
        token = uuid4()
        task_id = f"{job_id}-s1-{index}"
        assert client.start_task(task_id, 1, nonce, token).verdict == "run"
        client.heartbeat_tasks([task_id], token)
        if index % 2:
            client.complete_task(task_id, token)
        else:
            client.fail_task(task_id, token, "no")
    client.maintain()


def test_what_was_planned_on_empty_tables_reads_no_table_as_a_whole(client: Client) -> None:
    client.set_task_type("small", batch_size=10)
    for tasks in (200, 20_000):
        job_id = client.create_job()
        client.create_stage_tasks(job_id, task_type="small", task_count=tasks)
        client.rows("select pg_stat_force_next_flush()")
        client.rows("select pg_stat_reset()")
        work(client, job_id, 12)
    client.rows("select pg_stat_force_next_flush()")
    assert client.column(GROWING, 500) == []
