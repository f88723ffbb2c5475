"""A bridge works off what operators order, step by step, and publishes what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from bridge import connection
from bridge.errors import CallTimedOut
from bridge.house_keeping import HouseKeeping
from bridge.maintenance import Paces, run_once
from bridge.settings import Settings
from bridge.witness import Witness
from tests.bridge.conftest import Queue, all_queued, running
from tests.bridge.test_database_away import events
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]


def test_cancelled_tasks_come_back_to_the_queue_when_the_order_is_undone(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("tiles", batch_size=5)
    job_id = client.create_job()

    async def scenario() -> None:
        client.create_stage_tasks(job_id, 1, "tiles", 12)
        async with running(settings()):
            await becomes(lambda: all_queued(client))
            order = client.order("cancel_stage", job_id, 1)
            await becomes(lambda: client.stage(job_id).status == "cancelled")
            assert client.recount(job_id) == []
            client.orders("undo_order", order.order_id)
            await becomes(lambda: client.task_states(job_id) == {"queued": 12}, 20)

    asyncio.run(scenario())
    assert client.recount(job_id) == []
    assert queue.stored == 24, "each task once at first, and once for its second attempt"


def test_an_order_whose_step_fails_keeps_no_other_from_being_done(
    client: Client, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = [client.published_stage(3).job_id for _ in range(2)]
    bad, _ = [client.order("cancel_job", job_id) for job_id in jobs]
    step = client.value(
        "select pg_get_functiondef('stagebus.work_order(bigint, integer)'::regprocedure)"
    )
    client.execute(
        step.replace("\nbegin\n", f"\nbegin\n    perform 1 / (p_order_id - {bad.order_id});\n", 1)
    )

    async def scenario() -> None:
        caplog.set_level("INFO")
        async with running(settings()):
            await becomes(lambda: client.job(jobs[1]).status == "cancelled")
            assert client.job(jobs[0]).status == "running"
            assert "order.step_failed" in events(caplog)
            assert client.order_row(bad.order_id).last_error == "division by zero"
            client.execute(step)
            await becomes(lambda: client.job(jobs[0]).status == "cancelled")
            await becomes(lambda: events(caplog).count("order.done") == 2)
            assert client.order_row(bad.order_id).last_error is None

    asyncio.run(scenario())


def test_steps_that_take_too_long_make_no_others_smaller(
    client: Client, bridge_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CALL_DEADLINE", 0.5)
    slow, quick = (client.published_stage(3).job_id for _ in range(2))
    order_id = client.order("cancel_stage", slow, 1).order_id
    other = client.session()

    async def scenario() -> None:
        paces = Paces()
        database = HouseKeeping(bridge_url, "test", Witness(uuid4()), allow_fsync_off=True)
        with other.transaction():
            other.execute("select from stagebus_data.tasks where job_id = %s for update", slow)
            for _ in range(2):
                await run_once(database, paces, asyncio.Event())
            client.order("cancel_stage", quick, 1)
            await run_once(database, paces, asyncio.Event())
            assert client.stage(quick).status == "cancelled"
        assert paces.orders.pop(order_id).share == 0.125
        others = [paces.duties, paces.removal, *paces.orders.values()]
        assert [pace.share for pace in others] == [1.0] * 3
        while client.stage(slow).status != "cancelled":
            await run_once(database, paces, asyncio.Event())
        await database.close()

    asyncio.run(scenario())


def test_a_round_that_left_something_is_followed_by_another_at_once(
    client: Client, bridge_url: str
) -> None:
    client.set_task_type("work", batch_size=1)
    published = client.published_stage(11, "work")
    client.start_all(published.messages, uuid4())
    client.execute("update stagebus_data.batches set start_due_at = created_at")

    async def scenario() -> None:
        database = HouseKeeping(bridge_url, "test", Witness(uuid4()), allow_fsync_off=True)
        rounds = [await run_once(database, Paces(), asyncio.Event()) for _ in range(2)]
        assert rounds == [True, False]
        await database.close()

    asyncio.run(scenario())


def test_one_round_in_a_minute_looks_for_attempts_that_were_lost_long_ago(
    client: Client, bridge_url: str
) -> None:
    published = client.published_stage(2)

    async def scenario() -> None:
        database = HouseKeeping(bridge_url, "test", Witness(uuid4()), allow_fsync_off=True)
        paces = Paces()
        for looks, message in zip((True, False), published.messages, strict=True):
            client.start(message, uuid4())
            client.execute("update stagebus_data.running_attempts set lease_until = '2020-01-01'")
            await run_once(database, paces, asyncio.Event())
            assert client.count("running_attempts") == (0 if looks else 1)
        paces.everything_at = 0.0
        await run_once(database, paces, asyncio.Event())
        assert client.count("running_attempts") == 0
        await database.close()

    asyncio.run(scenario())


def test_two_bridges_work_off_one_order_without_getting_in_each_others_way(
    client: Client, settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    published = client.published_stage(5_000)
    token = uuid4()
    client.start_all(published.messages[:100], token)
    client.order("cancel_job", published.job_id)

    async def scenario() -> None:
        async with running(settings()), running(settings()):
            await becomes(lambda: client.job(published.job_id).status == "cancelled")

    asyncio.run(scenario())
    assert not {"order.step_failed", "maintenance.crashed"} & set(events(caplog))
    assert client.recount(published.job_id) == []
    assert client.complete_tasks(published.task_ids[:2], token) == ["cancelled"] * 2


def test_a_look_at_everything_that_takes_too_long_is_followed_by_rounds_without_it(
    client: Client, bridge_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CALL_DEADLINE", 1.0)
    order_id = client.order("cancel_stage", client.published_stage(3).job_id, 1).order_id
    definition = client.value(
        "select pg_get_functiondef('stagebus.maintain(integer, boolean)'::regprocedure)"
    )
    slow = "\nbegin\n    if everything then perform pg_sleep(20); end if;\n"
    client.execute(definition.replace("\nbegin\n", slow, 1))

    async def scenario() -> None:
        database = HouseKeeping(bridge_url, "test", Witness(uuid4()), allow_fsync_off=True)
        paces = Paces()
        with pytest.raises(CallTimedOut):
            await run_once(database, paces, asyncio.Event())
        while await run_once(database, paces, asyncio.Event()):
            pass
        assert client.order_row(order_id).status == "done"
        await database.close()

    asyncio.run(scenario())
