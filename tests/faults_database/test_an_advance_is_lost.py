"""What a crash takes of an advance, which does not wait for the disk, is done again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from bridge.house_keeping import HouseKeeping
from bridge.witness import Witness
from tests.client import Client
from tests.eventually import eventually
from tests.faults_database.conftest import as_bridge, own_postgres

PLAN = [{"name": "a", "task_type": "h3_hexagon", "count": 3}]


@pytest.fixture
def url() -> Iterator[str]:
    with own_postgres(restart_after_crash="on") as postgres:
        yield postgres.url()


def advanced_before_a_crash(url: str, *, claimed: bool) -> UUID:
    """The job whose first stage was made, and claimed or not, just before the server crashed.

    Nothing but a commit that waits for it wrote to the disk meanwhile.
    """
    with Client(url) as client:
        client.define_job_type(PLAN)
        job_id = client.submit_job()
        writer = client.value("select pid from pg_stat_activity where backend_type = 'walwriter'")
        os.kill(writer, signal.SIGSTOP)

        async def advance() -> None:
            database = HouseKeeping(as_bridge(url), "advancing", Witness(client.bridge_id),
                                allow_fsync_off=True)  # fmt: skip
            (due,) = await database.due_jobs(10, [])
            assert (await database.advance_job(due)).status == "advanced"
            await database.close()

        asyncio.run(advance())
        if claimed:
            assert client.claim_batches(1)
        os.kill(writer, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            client.value("select pg_sleep(10)")

    def answers() -> bool:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            return False
        return True

    eventually(answers)
    return job_id


def test_what_a_crash_takes_of_an_advance_is_done_again(url: str) -> None:
    job_id = advanced_before_a_crash(url, claimed=False)
    with Client(url) as client:
        assert client.plan_progress(job_id)["a"] == "waits"
        assert client.due_jobs() == [job_id]
        assert client.advance_job(job_id).status == "advanced"


def test_a_stage_that_was_claimed_outlasts_the_crash(url: str) -> None:
    job_id = advanced_before_a_crash(url, claimed=True)
    with Client(url) as client:
        assert client.plan_progress(job_id)["a"] == "open"
        assert client.due_jobs() == []
