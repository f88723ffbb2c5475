"""A bridge advances the jobs that have a plan, whatever their plans do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from bridge.advancing import Advancing
from bridge.house_keeping import HouseKeeping
from bridge.orders import DueJob
from bridge.settings import Settings
from bridge.witness import Witness
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, running
from tests.client import Client
from tests.eventually import becomes
from tests.plans.functions import create_function, returning

Make = Callable[..., Settings]

pytestmark = LOSES_CONNECTIONS


@pytest.fixture
def team(client: Client) -> Client:
    """A superuser with a schema of its own."""
    client.execute("create schema gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    return client


def stage(name: str, count: Any = 1, **keys: Any) -> dict[str, Any]:
    return {"name": name, "task_type": "tiles", "count": count} | keys


def made(client: Client, job_id: UUID, number: int) -> bool:
    return bool(
        client.value(
            "select exists (select from stagebus.stages where job_id = %s and stage = %s)",
            job_id,
            number,
        )
    )


def test_a_submitted_job_is_made_published_advanced_and_ended(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("tiles")
    client.define_job_type([stage("a", 7), stage("b", 3)])

    async def scenario() -> None:
        # Looks that maintenance would bring are seconds apart.
        async with running(settings(poll=60)):
            job_id = client.submit_job()
            await becomes(lambda: queue.stored == 7)
            client.end_stage_of(job_id, 1)
            await becomes(lambda: queue.stored == 10)
            client.end_stage_of(job_id, 2)
            await becomes(lambda: client.job(job_id).status == "completed")

    asyncio.run(scenario())


def test_what_failed_is_tried_again_and_goes_on_once_it_is_mended(
    client: Client, queue: Queue, settings: Make, team: Client
) -> None:
    client.set_task_type("tiles")
    tiles = create_function(team, "gis.tiles", "raise 'not yet';")
    client.define_job_type([{"name": "a", "task_type": "tiles", "tasks": tiles}])

    async def scenario() -> None:
        async with running(settings()):
            job_id = client.submit_job()
            await becomes(lambda: (client.job(job_id).failed_advances or 0) >= 1)
            returning(team, "select '{}'::jsonb from generate_series(1, 5)")
            await becomes(lambda: queue.stored == 5)

    asyncio.run(scenario())


def test_a_plan_that_loops_is_stopped_by_its_own_timeout_and_holds_up_nobody_else(
    client: Client, queue: Queue, settings: Make, team: Client
) -> None:
    client.set_task_type("tiles")
    loops = create_function(team, "gis.loops", "loop perform pg_sleep(0.01); end loop;")
    plan = {"stages": [{"name": "a", "task_type": "tiles", "tasks": loops}]}
    client.define_job_type(plan | {"timeout": "2 seconds"}, "looping")
    client.define_job_type([stage("a", 2)], "good")

    async def scenario() -> None:
        async with running(settings()):
            looping = [client.submit_job("looping") for _ in range(20)]
            await becomes(
                lambda: client.value(
                    "select count(*) = 2 from pg_stat_activity where query like '%%advance_job%%'"
                    " and application_name = 'stagebus advancing' and state = 'active'"
                )
            )
            good = [client.submit_job("good") for _ in range(50)]
            await becomes(lambda: all(made(client, job_id, 1) for job_id in good))
            failed = "select count(*) from stagebus.jobs where failed_advances > 0"
            assert client.value(failed) < len(looping), "they did not wait for all the others"
            await becomes(lambda: client.value(failed) >= 2)
            errors = client.column(
                "select error from stagebus.jobs where failed_advances > 0 limit 2"
            )
            assert all(error.startswith("57014: ") for error in errors), errors
            assert {client.job(job_id).status for job_id in looping} == {"created"}

    asyncio.run(scenario())


def test_a_function_that_goes_on_after_it_was_told_to_stop_ends_with_the_bridge(
    client: Client, settings: Make, team: Client
) -> None:
    client.set_task_type("tiles")
    stubborn = create_function(
        team,
        "gis.stubborn",
        "loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop;",
    )
    plan = {"stages": [{"name": "a", "task_type": "tiles", "tasks": stubborn}]}
    client.define_job_type(plan | {"timeout": "1 second"})
    at_work = (
        "select count(*) from pg_stat_activity where query like '%%advance_job%%'"
        " and application_name = 'stagebus advancing' and state = 'active'"
    )

    async def scenario() -> None:
        async with running(settings()):
            client.submit_job()
            await becomes(lambda: client.value(at_work) == 1)
        await becomes(lambda: client.value(at_work) == 0)

    asyncio.run(scenario())


def test_nothing_that_a_function_did_to_the_session_stays(
    client: Client, bridge_url: str, team: Client
) -> None:
    client.set_task_type("tiles")
    locking = create_function(
        team, "gis.locking", "perform pg_advisory_lock(7); return query select '{}'::jsonb;"
    )
    leaving = create_function(
        team,
        "gis.leaving",
        "perform pg_advisory_lock(8);"
        " create temporary table left_behind as select 1 as n;"
        " declare c refcursor := 'kept'; begin"
        "  open c for select * from pg_temp.left_behind; end;"
        " return query select '{}'::jsonb;",
    )
    for name, function in (("locking", locking), ("leaving", leaving)):
        plan = [{"name": "a", "task_type": "tiles", "tasks": function}, stage("b", 1, after=[])]
        client.define_job_type(plan, name)

    async def scenario() -> None:
        witness = Witness(client.bridge_id)
        database = HouseKeeping(bridge_url, "advancing", witness, allow_fsync_off=True)
        try:
            for name, status in 3 * [("locking", "advanced"), ("leaving", "failed")]:
                job_id = client.submit_job(name)
                (due,) = [due for due in await database.due_jobs(10, []) if due.job_id == job_id]
                done = await database.advance_job(due)
                assert done.status == status, client.job(due.job_id)
            connection = database._connection
            assert connection is not None
            cursor = await connection.execute(
                "select current_setting('statement_timeout'), (select count(*) from pg_locks"
                " where locktype = 'advisory' and pid = pg_backend_pid()),"
                " to_regclass('pg_temp.left_behind'),"
                " (select count(*) from pg_cursors where name = 'kept')"
            )
            assert await cursor.fetchone() == ("0", 0, None, 0)
        finally:
            await database.close()

    asyncio.run(scenario())


def test_jobs_are_divided_among_bridges_and_each_stage_is_made_once(
    client: Client, bridge_url: str
) -> None:
    client.set_task_type("tiles")
    client.define_job_type([stage("a", 2), stage("b", 0)])
    jobs = [client.submit_job() for _ in range(200)]

    async def scenario() -> None:
        members = []
        for _ in range(3):
            witness = Witness(client.bridge_id)
            databases = [
                HouseKeeping(bridge_url, "advancing", witness, allow_fsync_off=True)
                for _ in range(4)
            ]
            members.append(asyncio.create_task(Advancing(databases, asyncio.Event()).run()))
        await becomes(lambda: client.due_jobs() == [])
        for member in members:
            member.cancel()
        await asyncio.gather(*members, return_exceptions=True)

    asyncio.run(scenario())
    assert client.value("select count(*) from stagebus.stages where tasks = 2") == len(jobs)
    assert client.value("select count(*) from stagebus.jobs where failed_advances > 0") == 0


class Looking(HouseKeeping):
    """Counts its looks for due jobs."""

    looks = 0

    async def due_jobs(self, limit: int, except_types: Sequence[str]) -> list[DueJob]:
        Looking.looks += 1
        return await super().due_jobs(limit, except_types)


def test_jobs_of_one_type_are_not_looked_for_after_each_of_them(
    client: Client, bridge_url: str, team: Client
) -> None:
    client.set_task_type("tiles")
    tiles = returning(team, "select '{}'::jsonb")
    client.define_job_type([{"name": "a", "task_type": "tiles", "tasks": tiles}])
    for _ in range(100):
        client.submit_job()
    Looking.looks = 0

    async def scenario() -> None:
        witness = Witness(client.bridge_id)
        databases = [
            Looking(bridge_url, "advancing", witness, allow_fsync_off=True) for _ in range(4)
        ]
        advancing = asyncio.create_task(Advancing(databases, asyncio.Event()).run())
        await becomes(lambda: client.due_jobs() == [])
        advancing.cancel()
        await asyncio.gather(advancing, return_exceptions=True)

    asyncio.run(scenario())
    assert client.value("select count(*) from stagebus.stages") == 100
    assert Looking.looks < 10, "two lanes stay free, and there is nothing for them"


def test_the_end_of_a_job_makes_room_for_another_of_its_type_at_once(
    client: Client, bridge_url: str, team: Client
) -> None:
    client.set_task_type("tiles")
    waits = create_function(
        team,
        "gis.waits",
        "perform pg_advisory_xact_lock((p_parameters ->> 'lock')::bigint);"
        " return query select '{}'::jsonb;",
    )
    client.define_job_type([{"name": "a", "task_type": "tiles", "tasks": waits}])
    holder = client.session()
    holder.execute("select pg_advisory_lock(1), pg_advisory_lock(2)")
    first, second = (client.submit_job(parameters={"lock": number}) for number in (1, 2))
    at_work = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and application_name = 'stagebus advancing' and wait_event = 'advisory'"
    )

    async def scenario() -> None:
        witness = Witness(client.bridge_id)
        databases = [
            Looking(bridge_url, "advancing", witness, allow_fsync_off=True) for _ in range(4)
        ]
        wake = asyncio.Event()
        work = asyncio.create_task(Advancing(databases, wake).run())
        try:
            await becomes(lambda: client.value(at_work) == 2)
            looks, third = Looking.looks, client.submit_job(parameters={"lock": 3})
            wake.set()
            await becomes(lambda: Looking.looks > looks)
            # From here on nobody wakes it: neither a notification nor maintenance.
            holder.execute("select pg_advisory_unlock(1)")
            await becomes(lambda: made(client, third, 1))
            assert made(client, first, 1)
            assert not made(client, second, 1)
        finally:
            holder.execute("select pg_advisory_unlock(2)")
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())


def test_a_plan_without_functions_has_its_own_time_too(
    client: Client, bridge_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set_task_type("tiles")
    client.define_job_type([stage("a", 5)])
    job_id = client.submit_job()
    holder = client.session()

    async def scenario() -> None:
        witness = Witness(client.bridge_id)
        database = HouseKeeping(bridge_url, "advancing", witness, allow_fsync_off=True)
        try:
            (due,) = await database.due_jobs(10, [])
            monkeypatch.setattr("bridge.connection.CALL_DEADLINE", 0.2)
            with holder.transaction():
                holder.rows("select from stagebus_data.jobs for no key update")
                advancing = asyncio.create_task(database.advance_job(due))
                # As long as a stage of ten million tasks takes.
                done, _ = await asyncio.wait([advancing], timeout=1)
                assert not done, advancing
            assert (await advancing).status == "advanced"
        finally:
            await database.close()

    asyncio.run(scenario())
    assert made(client, job_id, 1)
