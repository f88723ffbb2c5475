"""stage_results of a large stage: the server keeps it in a file, a client may read it in parts."""

from __future__ import annotations

from tests.client import Client

TASKS = 20_000
#: 32 MB of results in all, small enough to stay in their rows, and not to be compressed.
EACH = "select string_agg(md5(t.task_index::text || n::text), '') from generate_series(1, 50) as n"


def test_a_large_stage_is_read_in_parts_and_in_order_with_little_memory(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=TASKS)
    client.execute(
        "update stagebus_data.tasks as t set state = 'completed', token = gen_random_uuid(),"
        f" result = to_jsonb(({EACH}))"
    )
    before = megabytes_of_the_session(client)
    with client.transaction(), client.connection.cursor(name="results") as cursor:
        cursor.itersize = 500
        cursor.execute("select * from stagebus.stage_results(%s, 1)", (job_id,))
        rows = iter(cursor)
        assert next(rows)[0] == 1
        assert 0 < megabytes_of_the_session(client) - before < 16
        assert [index for index, _ in rows] == list(range(2, TASKS + 1))


def megabytes_of_the_session(client: Client) -> float:
    return float(
        client.value("select sum(total_bytes) / 1024 / 1024 from pg_backend_memory_contexts")
    )
