"""docs/runbook.md, as a new operator uses it: the trouble is there, looks as it says, and ends.

Each test makes the trouble, types into psql what is printed and no more, and sees that all goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from psycopg.conninfo import make_conninfo

from bridge.migrate import migrate
from tests.bridge.conftest import BridgeProcess, Queue, all_queued
from tests.client import Client, PublishedStage
from tests.conftest import CALLER, SETTINGS, another_postgres, version
from tests.docs.conftest import Operator, in_shell, night_watch
from tests.docs.runbook import PAGE, sections
from tests.eventually import eventually
from tests.observe import troubles

Start = Callable[..., BridgeProcess]

TITLES = (
    "A paused destination", "A revoked key", "A poison task", "A dead bridge",
    "Leases that have run out", "A transaction that holds back vacuum",
    "A full queue of notifications", "A stage that nobody sealed", "A worker that died",
    "Messages that nobody starts", "Retries that are spent", "A missing partition",
    "A plan that fails", "Code that is older than the bridge",
)  # fmt: skip


@pytest.fixture
def quiet(client: Client) -> Client:
    """Time stands still, a bridge is alive, and nothing is wrong."""
    troubles.quiet(client)
    return client


def test_the_page_has_the_fourteen_and_says_of_each_what_one_sees_and_types() -> None:
    assert [(n, s.title) for n, s in sections().items()] == list(enumerate(TITLES, 1))
    for section in sections().values():
        assert "**It means**" in section.text
        assert "**You type**" in section.text
        assert all(section.seen)
        assert section.typed
        lines = [line for line in section.text.splitlines() if line and not line.startswith("```")]
        assert len(lines) <= 10, section.title
    assert all(len(line) <= 125 for line in PAGE.read_text("utf-8").splitlines())


def test_the_jobs_that_stand_still_are_found_as_the_page_says(
    quiet: Client, operator: Operator
) -> None:
    (query,) = re.findall(r"`(select .*?)`", PAGE.read_text("utf-8"))
    job_id = troubles.small_job(quiet)
    assert str(job_id) in operator.answer(query + ";")


def test_a_paused_destination(quiet: Client, operator: Operator) -> None:
    operator.is_about(troubles.paused_destination(quiet))
    operator.sees(1)
    assert "the queue moves" in operator.types(1)
    operator.sees_it_no_more(1)
    assert len(quiet.publish()) == 2


def test_a_revoked_key(
    client: Client, queue: Queue, start_bridge: Start, operator: Operator
) -> None:
    queue.endpoint.faults.set(
        name=queue.name, on="token", do="refuse", entity=queue.name, times=None
    )
    client.set_task_type("work", batch_size=2)
    job_id = troubles.small_job(client, 20)
    start_bridge()
    eventually(lambda: client.destination().status == "paused")
    operator.is_about(job_id)
    operator.sees(2)
    # The key is made valid.
    queue.endpoint.faults.remove(queue.name)
    operator.types(2)
    eventually(lambda: all_queued(client))
    operator.sees_it_no_more(2)
    assert queue.stored == 20


def test_a_poison_task(quiet: Client, operator: Operator) -> None:
    job_id = troubles.poison_task(quiet)
    operator.is_about(job_id)
    operator.sees(3)
    assert f"{job_id}-s1-2|division by zero|" in operator.types(3)
    quiet.work_orders()
    quiet.maintain()
    operator.sees_it_no_more(3)
    assert [message.attempt for message in quiet.publish()] == [2]


def test_a_poison_task_that_is_given_up(quiet: Client, operator: Operator) -> None:
    job_id = troubles.poison_task(quiet)
    operator.is_about(job_id)
    assert operator.types_instead(3) == "working|1"
    quiet.work_orders()
    operator.sees_it_no_more(3)
    assert quiet.task_states(job_id) == {"completed": 1, "cancelled": 1}


def test_a_dead_bridge(
    client: Client, queue: Queue, start_bridge: Start, operator: Operator
) -> None:
    client.set_task_type("work", batch_size=2)
    bridge = start_bridge()
    eventually(lambda: client.rows("select from stagebus.bridges"))
    bridge.process.kill()
    bridge.process.wait()
    job_id = troubles.small_job(client, 20)
    client.advance(troubles.SILENCE)
    operator.is_about(job_id)
    operator.sees(4)
    operator.types(4, start_bridge)
    eventually(lambda: all_queued(client))
    operator.sees_it_no_more(4)
    assert client.column("select alive from stagebus.bridges") == [True]
    assert queue.stored == 20


def test_leases_that_have_run_out(quiet: Client, operator: Operator) -> None:
    operator.is_about(troubles.expired_leases(quiet))
    operator.sees(5)
    operator.types(5)
    assert len(quiet.publish()) == 4
    operator.sees_it_no_more(5)
    assert quiet.column("select alive from stagebus.bridges") == [True]


def test_a_transaction_that_holds_back_vacuum(
    quiet: Client, caller: Client, operator: Operator
) -> None:
    # Not by `set session authorization`: who may end a session depends on who connected.
    with Client(make_conninfo(quiet.url, user=CALLER)) as holding:
        pid = troubles.holding_back(quiet, holding)
        operator.sees(6)
        assert f"session {pid} " in operator.types(6)
        operator.sees_it_no_more(6)


def test_a_full_queue_of_notifications() -> None:
    if version() < 17:
        pytest.skip("before PostgreSQL 17 the queue has 8 GB: max_notify_queue_pages is new there")
    with another_postgres(SETTINGS | {"max_notify_queue_pages": "64"}) as postgres:
        migrate(postgres.url())
        with Client(postgres.url()) as client, night_watch(client) as operator:
            client.execute("create role listener login in role stagebus_producer")
            troubles.quiet(client)
            with Client(make_conninfo(client.url, user="listener")) as laggard:
                troubles.full_notify_queue(client, laggard)
                operator.sees(7)
                operator.types(7)
                operator.sees_it_no_more(7)


def test_a_stage_that_nobody_sealed(quiet: Client, operator: Operator) -> None:
    operator.is_about(troubles.unsealed_stage(quiet))
    operator.sees(8)
    assert operator.types(8) == "2|1"
    operator.sees_it_no_more(8)
    assert len(quiet.publish()) == 2


def test_a_stage_that_nobody_seals(quiet: Client, operator: Operator) -> None:
    job_id = troubles.unsealed_stage(quiet)
    operator.is_about(job_id)
    assert operator.types_instead(8) == "working|2"
    quiet.work_orders()
    operator.sees_it_no_more(8)
    assert quiet.job(job_id).status == "cancelled"


def test_a_worker_that_died(quiet: Client, operator: Operator) -> None:
    job_id = troubles.dead_worker(quiet)
    operator.is_about(job_id)
    operator.sees(9)
    assert operator.types(9) == "2|2"
    operator.sees_it_no_more(9)
    assert [message.attempt for message in quiet.publish()] == [2, 2]


def test_messages_that_nobody_starts(quiet: Client, operator: Operator) -> None:
    operator.is_about(troubles.never_started(quiet))
    operator.sees(10)
    assert operator.types(10) == "done|2"
    assert len(quiet.publish()) == 3
    operator.sees_it_no_more(10)


def test_tasks_whose_retries_are_spent(quiet: Client, operator: Operator) -> None:
    job_id = troubles.failed_stage(quiet)
    operator.is_about(job_id)
    operator.sees(11, either=0)
    assert f"{job_id}-s1-1|1|out of luck" in operator.types(11)
    quiet.work_orders()
    quiet.maintain()
    operator.sees_it_no_more(11, either=0)
    quiet.run_stage(PublishedStage(job_id, 1, quiet.publish()))
    assert quiet.stage(job_id).status == "completed"


def test_batches_whose_retries_are_spent(quiet: Client, operator: Operator) -> None:
    operator.is_about(troubles.spent_publish_attempts(quiet))
    operator.sees(11, either=1)
    operator.types(11)
    operator.sees_it_no_more(11, either=1)
    assert len(quiet.publish()) == 4


def test_a_missing_partition(quiet: Client, operator: Operator) -> None:
    troubles.missing_partition(quiet)
    operator.sees(12)
    operator.types(12)
    operator.sees_it_no_more(12)


def test_a_plan_that_fails(quiet: Client, operator: Operator) -> None:
    job_id = troubles.failing_plan(quiet)
    operator.is_about(job_id)
    operator.sees(13)
    troubles.mend_plan(quiet)
    assert "advanced|" in operator.types(13)
    operator.sees_it_no_more(13)
    assert quiet.stage(job_id).tasks == 3


def test_code_that_is_older_than_the_bridge(quiet: Client, operator: Operator) -> None:
    troubles.stale_code(quiet)

    def seen() -> bool:
        answers = in_shell(quiet, "doctor")
        return all(pattern.search(answers) for pattern in sections()[14].seen[0])

    assert seen()
    operator.types(14)
    assert not seen()
