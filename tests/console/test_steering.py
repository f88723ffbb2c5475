"""The commands that give orders: what they say, what they ask, how they end."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bridge.cli import main
from tests.bridge.conftest import through_gate
from tests.bridge.gate import Gate
from tests.client import Client
from tests.console.terminal import on_terminal
from tests.eventually import eventually

MANY = 1000


def run(database_url: str, *arguments: object) -> Result:
    command, *others = map(str, arguments)
    return CliRunner().invoke(main, [command, "--database-url", database_url, *others])


def run_json(database_url: str, *arguments: object) -> list[dict[str, Any]]:
    result = run(database_url, *arguments, "--json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


@contextmanager
def a_bridge(client: Client) -> Iterator[None]:
    """Works off, in the background, what is ordered within the block."""

    done = threading.Event()

    def work() -> None:
        with Client(client.url) as session:
            while not done.wait(0.02):
                session.work_orders()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield
        finally:
            done.set()
            working.result()


@pytest.fixture
def job_id(client: Client) -> UUID:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "process_raster", 250)
    return job_id


@pytest.fixture
def failed(client: Client) -> UUID:
    """A job of which all of MANY tasks have failed, one of them for another reason."""
    published = client.published_stage(MANY)
    token = uuid4()
    client.start_all(published.messages, token)
    errors = ["timeout", *["no luck"] * (MANY - 1)]
    client.fail_tasks(published.task_ids, token, errors, retry=False)
    return published.job_id


def test_a_dry_run_says_what_would_be_and_does_nothing(
    client: Client, database_url: str, failed: UUID, job_id: UUID
) -> None:
    batch_id = client.batches(job_id)[0].batch_id
    before = client.contents()
    for arguments, tasks in (
        (("cancel", job_id), 250),
        (("cancel", job_id, "--stage", 1), 250),
        (("retry", failed, "--stage", 1), MANY),
        (("retry", failed, "--stage", 1, "--error", "time%"), 1),
        (("retry", failed, "--stage", 1, "--parameters", '{"index": 7}'), 1),
        (("retry", failed, "--stage", 1, "--status", "cancelled"), 0),
        (("retry", failed, "--stage", 1, "--at-most", 5), 5),
        (("redrive", failed, "--stage", 1), 0),
        (("hold", job_id, batch_id), 100),
        (("retry-batch", failed, client.batches(failed)[0].batch_id), 0),
    ):
        (told,) = run_json(database_url, *arguments, "--dry-run")
        assert (told["order_id"], told["status"], told["tasks"]) == (None, "dry run", tasks)
    assert client.contents() == before
    assert run(database_url, "cancel", job_id, "--dry-run").stdout == (
        f"cancel_job, job {job_id}: 250 tasks (tasks that have not ended, in 1 stages)\n"
    )


def test_it_waits_until_the_order_is_worked_off(
    client: Client, database_url: str, job_id: UUID
) -> None:
    with a_bridge(client):
        result = run(database_url, "cancel", job_id, "--yes", "--reason", "wrong input")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"order 1, cancel_job, job {job_id}: done, 250 of 250 tasks\n"
    assert "a bridge works it off; without one: select work_order(1)" in result.stderr
    assert client.job(job_id).status == "cancelled"
    assert client.order_row(1).reason == "wrong input"


def test_without_waiting_it_returns_at_once(
    client: Client, database_url: str, job_id: UUID
) -> None:
    (told,) = run_json(database_url, "cancel", job_id, "--stage", 1, "--yes", "--no-wait")
    assert (told["order_id"], told["status"], told["tasks_done"]) == (1, "working", 0)
    assert client.order_row(1).action == "cancel_stage"


def test_an_order_that_is_not_done_in_time_exits_with_5(database_url: str, job_id: UUID) -> None:
    result = run(database_url, "cancel", job_id, "--yes", "--timeout", "0.3")
    assert (result.exit_code, "working, 0 of 250 tasks" in result.stdout) == (5, True)


def test_an_order_that_another_stops_exits_with_3(
    client: Client, database_url: str, job_id: UUID
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, database_url, "cancel", job_id, "--yes")
        eventually(lambda: client.count("orders"))
        client.order("stop_order", 1)
        result = waiting.result(timeout=30)
    assert (result.exit_code, "stopped by postgres" in result.stdout) == (3, True)


def test_the_error_of_a_step_is_told(client: Client, database_url: str, job_id: UUID) -> None:
    run(database_url, "cancel", job_id, "--yes", "--no-wait")
    client.execute("select stagebus.fail_order_step(1, 'no space left')")
    (row,) = run_json(database_url, "orders")
    assert row["last_error"] == "no space left"


def test_who_cannot_be_asked_must_say_yes(client: Client, database_url: str, job_id: UUID) -> None:
    result = run(database_url, "cancel", job_id)
    assert result.exit_code == 2
    assert f"cancel_job, job {job_id}: 250 tasks (tasks that have not ended" in result.output
    assert "--yes" in result.output
    assert client.count("orders") == 0


@pytest.mark.parametrize(("typed", "code", "status"), [("y", 0, "cancelled"), ("n", 4, "running")])
def test_on_a_terminal_it_asks(
    client: Client, database_url: str, job_id: UUID, typed: str, code: int, status: str
) -> None:
    with a_bridge(client), on_terminal(database_url, "cancel", str(job_id)) as terminal:
        asked = terminal.until("Do it? [y/N]: ")
        assert "250 tasks (tasks that have not ended, in 1 stages" in asked
        terminal.type(f"{typed}\n")
        assert terminal.end() == code
    assert client.job(job_id).status == status
    assert ("nothing was done" in terminal.text) == (code == 4)


def test_ctrl_c_ends_the_waiting_and_the_order_goes_on(
    client: Client, database_url: str, job_id: UUID
) -> None:
    with on_terminal(database_url, "cancel", str(job_id), "--yes") as terminal:
        terminal.until("0 of 250 tasks")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 5
    assert "the order goes on" in terminal.text
    assert f"order 1, cancel_job, job {job_id}: working" in " ".join(terminal.text.split())
    assert client.order_row(1).status == "working"


def test_an_order_whose_answer_was_lost_may_have_been_given(
    client: Client, database_url: str, job_id: UUID
) -> None:
    batch_id = client.batches(job_id)[0].batch_id
    parts = conninfo_to_dict(database_url)
    with (
        Gate(str(parts["host"]), int(str(parts["port"]))) as gate,
        ThreadPoolExecutor(1) as pool,
    ):
        with client.transaction():
            client.rows("select from stagebus_data.batches for update")
            asking = pool.submit(run, through_gate(database_url, gate), "hold", job_id, batch_id)
            other = client.session()
            eventually(
                lambda: other.value(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
            )
            gate.hold_answers()
        eventually(lambda: client.count("orders"))
        gate.cut()
        result = asking.result(timeout=30)
    assert result.exit_code == 1
    assert "whether the order was given is not known" in result.stderr


def test_an_order_that_the_server_gave_up_was_not_given(
    client: Client, database_url: str, job_id: UUID
) -> None:
    batch_id = client.batches(job_id)[0].batch_id
    with client.transaction():
        client.rows("select from stagebus_data.batches for update")
        url = make_conninfo(database_url, options="-c lock_timeout=100ms")
        result = run(url, "hold", job_id, batch_id)
    assert (result.exit_code, "the database says: canceling" in result.stderr) == (1, True)
    assert client.count("orders") == 0


def test_retrying_many_is_asked_about_and_few_are_not(
    client: Client, database_url: str, failed: UUID
) -> None:
    assert run(database_url, "retry", failed, "--stage", 1).exit_code == 2
    few = ("retry", failed, "--stage", 1, "--at-most", MANY - 1, "--no-wait")
    assert run_json(database_url, *few)[0]["tasks"] == MANY - 1
    with a_bridge(client):
        assert run(database_url, "retry", failed, "--stage", 1, "--yes").exit_code == 0
    assert "failed" not in client.task_states(failed)


def test_a_batch_is_held_goes_on_and_is_published_again(
    client: Client, database_url: str, job_id: UUID
) -> None:
    batch_id = client.batches(job_id)[0].batch_id
    for command, status in (("hold", "held"), ("unhold", "pending_queue")):
        (told,) = run_json(database_url, command, job_id, batch_id)
        assert (told["status"], told["batch_id"]) == ("done", str(batch_id))
        assert client.batches(job_id)[0].state == status
    client.publish()
    (told,) = run_json(database_url, "retry-batch", job_id, batch_id)
    assert (told["tasks"], client.batches(job_id)[0].dispatch) == (100, 2)
    client.publish()
    assert run(database_url, "retry-batch", job_id, batch_id, "--unfinished").exit_code == 2


def test_an_order_is_undone(client: Client, database_url: str, job_id: UUID) -> None:
    with a_bridge(client):
        run(database_url, "cancel", job_id, "--yes")
        (told,) = run_json(database_url, "undo", 1, "--reason", "it was right")
    assert (told["action"], told["status"], told["tasks"]) == ("retry_tasks", "done", 250)
    assert client.job(job_id).status == "running"
    assert client.order_row(told["order_id"]).undoes == 1


def test_undoing_an_order_that_did_nothing_says_so(client: Client, database_url: str) -> None:
    job_id = client.create_job()
    run(database_url, "cancel", job_id, "--yes")
    result = run(database_url, "undo", 1)
    assert (result.exit_code, result.stdout) == (0, "there was nothing to do\n")


def test_orders_are_listed_the_last_first(client: Client, database_url: str, job_id: UUID) -> None:
    batch_id = client.batches(job_id)[0].batch_id
    run(database_url, "hold", job_id, batch_id)
    run(database_url, "cancel", job_id, "--yes", "--no-wait", "--reason", "wrong input")
    run(database_url, "hold", client.create_job(), batch_id)
    assert [row["action"] for row in run_json(database_url, "orders")] == [
        "cancel_job", "hold_batch",
    ]  # fmt: skip
    assert [row["order_id"] for row in run_json(database_url, "orders", "--working")] == [2]
    assert [row["order_id"] for row in run_json(database_url, "orders", "--limit", 1)] == [2]
    assert run_json(database_url, "orders", "--job", uuid4()) == []
    head, line, *_ = run(database_url, "orders").stdout.splitlines()
    assert head.split()[:3] == ["order_id", "action", "status"]
    assert line.split()[:3] == ["2", "cancel_job", "working"]
    assert line.endswith("wrong input")
    assert re.search(r" \d\d:\d\d:\d\d[+-]", line), "a time to the second"
