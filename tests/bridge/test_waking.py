"""A notification wakes a bridge; without it, it still looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from bridge import listener
from bridge.settings import Settings
from tests.bridge.conftest import Queue, all_queued, create_stage, running, states
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]

LISTENERS = "from pg_stat_activity where application_name = 'stagebus listener'"


def listening(client: Client) -> bool:
    """A listener's last statement was LISTEN, and it waits."""
    return bool(
        client.value(f"select count(*) {LISTENERS} and state = 'idle' and query like 'listen%%'")
    )


def test_a_listener_wakes_at_a_notification_and_after_each_new_connection(
    client: Client, bridge_url: str
) -> None:
    async def scenario() -> None:
        wake = asyncio.Event()
        task = asyncio.create_task(listener.run(bridge_url, {listener.READY: wake}))
        try:
            for _ in range(2):
                # It may have missed something until it listens.
                await asyncio.wait_for(wake.wait(), 10)
                await becomes(lambda: listening(client))
                wake.clear()
                client.execute("notify stagebus_ready")
                await asyncio.wait_for(wake.wait(), 10)
                wake.clear()
                client.execute(f"select pg_terminate_backend(pid) {LISTENERS}")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())


def test_a_notification_wakes_an_idle_bridge_well_before_its_next_look(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("tiles")
    job_id = client.create_job()
    # Its looks are 0.05 s, 0.1 s … 3.2 s, 6.4 s apart: idle for so long, it is in the pause of
    # 3.2 s or a longer one, and has more than a second to go.
    idle = (
        "select count(*) from pg_stat_activity where application_name = 'stagebus relay'"
        " and state = 'idle' and clock_timestamp() - query_start between '1.7 s' and '2.1 s'"
    )

    async def scenario() -> float:
        async with running(settings(poll=60)):
            await becomes(lambda: client.value(idle))
            began = time.monotonic()
            client.create_stage_tasks(job_id, 1, "tiles", 10)
            await becomes(
                lambda: client.value("select bool_and(claim_epoch > 0) from stagebus.batches"), 5
            )
            took = time.monotonic() - began
            await becomes(lambda: all_queued(client))
            return took

    assert asyncio.run(scenario()) < 0.8
    assert queue.stored == 10


def test_a_bridge_whose_listener_is_cut_off_again_and_again_still_delivers(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("tiles")

    async def scenario() -> None:
        async with running(settings(poll=0.2)):
            for _ in range(3):
                client.execute(f"select pg_terminate_backend(pid) {LISTENERS}")
                create_stage(client, 10)
                await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 30


def test_a_bridge_loses_every_connection_to_the_database_and_goes_on(
    client: Client, queue: Queue, settings: Make
) -> None:
    async def scenario() -> None:
        async with running(settings(poll=0.2)):
            create_stage(client, 10)
            await becomes(lambda: all_queued(client))
            client.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name like 'stagebus %%'"
            )
            create_stage(client, 10)
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 20
    assert queue.counts["duplicates_dropped"] == 0


def test_what_waited_while_others_were_published_goes_out_without_pauses(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_destination("paused", entity=queue.name)
    client.execute("select stagebus.pause_destination('paused')")

    async def scenario() -> None:
        async with running(settings(connections=1)):
            create_stage(client, 60, batch_size=1, task_type="old", destination="paused")
            create_stage(client, 1)
            await becomes(lambda: queue.stored == 1)
            client.execute("select stagebus.resume_destination('paused')")
            # With a pause after each of them it would take 45 s.
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 61


def test_a_busy_bridge_takes_over_what_a_lost_one_had_without_pauses(
    client: Client, queue: Queue, settings: Make
) -> None:
    lost = create_stage(client, 8, batch_size=1, task_type="lost")
    assert len(client.claim_batches(8, lease=timedelta(seconds=0.1))) == 8
    create_stage(client, 3000, batch_size=1)

    async def scenario() -> None:
        async with running(settings(connections=1)):
            # One every two seconds would take 14 s.
            await becomes(
                lambda: {batch.state for batch in client.batches(lost)} == {"queued"}, within=7
            )

    asyncio.run(scenario())
    assert states(client)["pending_queue"] > 0
