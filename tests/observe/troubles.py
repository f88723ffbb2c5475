"""Troubles that a running system may have: each function makes one and returns what it is about.

The clock stands still; who calls these also says that a bridge is alive.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from bridge.replay import code_digest
from tests.client import Client
from tests.operate.retention import KEEP, set_retention
from tests.plans.functions import create_function

TOKEN = UUID(int=1)

#: A bridge that was silent for so long is dead.
SILENCE = timedelta(minutes=2)


def report(
    client: Client, bridge_id: UUID | None = None, code: str | None = None, release: str = "1.0"
) -> None:
    """A bridge, the client's own unless another is named, says that it is there."""
    client.execute(
        "select stagebus.report_bridge(%s, 'host', 7, %s, %s)",
        bridge_id or client.bridge_id,
        release,
        code_digest() if code is None else code,
    )


def later(client: Client, **time: float) -> None:
    """The bridge is alive all the while."""
    client.advance(timedelta(**time))
    report(client)


def quiet(client: Client) -> None:
    """Nothing is wrong yet: time stands still, a bridge is alive, and there is a task type."""
    client.stop_clock()
    client.set_task_type("work", batch_size=2, timeout="1 minute", max_attempts=2)
    report(client)


def small_job(client: Client, tasks: int = 2) -> UUID:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", tasks)
    return job_id


def paused_destination(client: Client) -> UUID:
    job_id = small_job(client)
    client.execute("select stagebus.pause_destination('tasks', 'the queue moves')")
    return job_id


def dead_bridge(client: Client) -> tuple[UUID, UUID]:
    """A job, and the bridge that died with its two batches in hand; another one lives."""
    job_id = small_job(client, 4)
    dead = uuid4()
    report(client, dead)
    client.claim_batches(2, bridge_id=dead)
    client.advance(SILENCE)
    report(client)
    return job_id, dead


def expired_leases(client: Client) -> UUID:
    """As with a dead bridge, and nobody may take over."""
    job_id, _ = dead_bridge(client)
    client.execute("select stagebus.pause_destination('tasks', 'the queue moves')")
    return job_id


def spent_publish_attempts(client: Client) -> UUID:
    job_id = small_job(client, 4)
    for claim in client.claim_batches(2):
        client.fail_batch(claim, "the link broke", max_attempts=1)
    return job_id


def unsealed_stage(client: Client) -> UUID:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 2, seal=False)
    return job_id


def dead_worker(client: Client) -> UUID:
    """It had one task of two; another worker, too."""
    published = client.published_stage(2, "work")
    client.start(published.messages[0], TOKEN, worker="worker-7")
    client.start(published.messages[1], TOKEN)
    later(client, minutes=3)
    return published.job_id


def never_started(client: Client) -> UUID:
    """Of four messages one was received; then nothing for two minutes."""
    published = client.published_stage(4, "work")
    client.start(published.messages[0], TOKEN)
    client.complete_task(published.task_ids[0], TOKEN)
    later(client, minutes=2)
    return published.job_id


def poison_task(client: Client) -> UUID:
    """One of two tasks fails, and waits for its second attempt."""
    published = client.published_stage(2, "work")
    client.start_all(published.messages, TOKEN)
    client.complete_task(published.task_ids[0], TOKEN)
    client.fail_task(published.task_ids[1], TOKEN, "division by zero")
    return published.job_id


def failed_stage(client: Client) -> UUID:
    """A stage that tolerates no failed task has one, and its job waits."""
    client.set_task_type("work", tolerated_failures="0", on_failure="wait")
    published = client.published_stage(2, "work")
    client.end_stage_of(published.job_id, 1, failing=1)
    return published.job_id


def failing_plan(client: Client) -> UUID:
    client.execute("create schema gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    tiles = create_function(client, "gis.tiles", "raise 'no such table';")
    client.define_job_type([{"name": "a", "task_type": "work", "tasks": tiles}])
    job_id = client.submit_job()
    client.advance_job(job_id)
    return job_id


def mend_plan(client: Client) -> None:
    """As its owner: the function returns three tasks."""
    tasks = "return query select '{}'::jsonb from generate_series(1, 3);"
    create_function(client, "gis.tiles", tasks)


def holding_back(client: Client, holding: Client) -> int:
    """The session's transaction, of a quarter of an hour, keeps a snapshot; its process."""
    holding.execute("begin isolation level repeatable read")
    holding.execute("select 1")
    later(client, minutes=15)
    return holding.connection.info.backend_pid


def full_notify_queue(client: Client, laggard: Client) -> int:
    """The session listens in an open transaction; the server has little room. Its process."""
    laggard.execute("listen filler")
    laggard.execute("begin")
    laggard.execute("select 1")
    while client.value("select pg_notification_queue_usage() <= 0.6"):
        client.execute("select pg_notify('filler', repeat('x', 7900))")
    return laggard.connection.info.backend_pid


def missing_partition(client: Client) -> None:
    """Nobody maintained for weeks."""
    later(client, weeks=5)


def stale_code(client: Client) -> None:
    """The database has last year's code, and so has the bridge."""
    client.execute("update stagebus_data.installed_code set digest = 'of last year'")
    client.execute("select stagebus.forget_bridge(%s)", client.bridge_id)
    report(client, code="of last year")


def expired_week_that_is_held_back(client: Client) -> UUID:
    """Its only job still runs."""
    set_retention(client)
    job_id = client.create_job()
    client.advance(KEEP + timedelta(weeks=1))
    client.maintain()
    report(client)
    return job_id


def many_transactions(client: Client) -> None:
    """A hundred thousand of them: subtransactions take a number each."""
    client.execute(
        "do $$ begin for i in 1..100001 loop begin"
        " insert into stagebus_data.task_keys values (gen_random_uuid(), 1, 'x', 1);"
        " raise exception using errcode = 'SB999'; exception when sqlstate 'SB999' then null; end;"
        " end loop; end $$"
    )
