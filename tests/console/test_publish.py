"""`stagebus publish` says yes or no, for a scheduler; and so does the function beneath it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from bridge.cli import main
from bridge.client import Publication, publish_and_wait, wait_for_publication
from bridge.client.refusals import StageNotFound, StageNotPublished, StageSealed
from bridge.errors import DatabaseUnavailable, PublicationUnknown
from tests.bridge.conftest import through_gate
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import eventually

_PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def database_gate(database_url: str) -> Iterator[Gate]:
    """A proxy before PostgreSQL."""
    parts = conninfo_to_dict(database_url)
    with Gate(str(parts["host"]), int(str(parts["port"]))) as opened:
        yield opened


def publish(database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["publish", "--database-url", database_url, *arguments])


@pytest.fixture
def filling(client: Client) -> UUID:
    """A job with a stage of three tasks that nobody has sealed."""
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 3, seal=False)
    return job_id


@contextmanager
def in_background(call: Any, *arguments: Any, **named: Any) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call, *arguments, **named)


def provisional(client: Client, job_id: UUID) -> bool:
    return bool(client.stage(job_id).status == "provisional")


def test_yes_exits_with_0(client: Client, database_url: str, filling: UUID) -> None:
    with in_background(publish, database_url, str(filling), "1", "--wait") as waiting:
        eventually(lambda: provisional(client, filling))
        client.publish()
        result = waiting.result(timeout=30)
    assert result.exit_code == 0
    first, *_, last = result.output.splitlines()
    assert first.startswith("waiting: 0 of 1 batches are on the broker; until 2")
    assert last == "confirmed: 3 tasks in 1 batches"


def test_no_exits_with_4_and_the_reason(client: Client, database_url: str, filling: UUID) -> None:
    with in_background(publish, database_url, str(filling), "1", "--wait") as waiting:
        eventually(lambda: provisional(client, filling))
        withdrawn = client.withdraw_stage(filling, reason="nobody wants it")
        result = waiting.result(timeout=30)
    assert result.exit_code == 4
    assert result.output.splitlines()[-1] == (
        f"withdrawn (order {withdrawn.order_id}): nobody wants it"
    )


def test_when_the_time_is_up_the_caller_itself_ends_it(
    client: Client, database_url: str, filling: UUID
) -> None:
    result = publish(database_url, str(filling), "1", "--wait", "--timeout", "0.3")
    assert result.exit_code == 4
    assert "its time was up" in result.output
    client.work_orders()
    assert client.count("tasks") == client.count("stages") == 0


def test_without_wait_it_returns_and_again_it_answers(
    client: Client, database_url: str, filling: UUID
) -> None:
    result = publish(database_url, str(filling), "1")
    assert (result.exit_code, result.output.split()[0]) == (0, "waiting:")
    client.publish()
    result = publish(database_url, str(filling), "1", "--wait")
    assert (result.exit_code, result.output.split()[0]) == (0, "confirmed:")


def test_as_json(client: Client, database_url: str, filling: UUID) -> None:
    client.publish_stage(filling)
    client.withdraw_stage(filling, reason="a test")
    result = publish(database_url, str(filling), "1", "--wait", "--json")
    assert result.exit_code == 4
    told = json.loads(result.output)
    assert (told["job_id"], told["status"], told["reason"]) == (str(filling), "withdrawn", "a test")
    assert told["confirm_by"].startswith("20")
    assert len(told["nonce"]) == 10


@pytest.mark.parametrize("wait", [(), ("--wait",)])
def test_what_cannot_be_published_is_an_error(
    client: Client, database_url: str, filling: UUID, wait: tuple[str, ...]
) -> None:
    client.seal_stage(filling)
    result = publish(database_url, str(filling), "1", *wait)
    assert (result.exit_code, "is sealed" in result.output) == (1, True)
    result = publish(database_url, str(uuid4()), "1", *wait)
    assert (result.exit_code, "does not exist" in result.output) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("tomorrow", "1"),
        (str(uuid4()), "0"),
        (str(uuid4()), "32768"),
        *((str(uuid4()), "1", "--timeout", wrong) for wrong in ("-1", "0", "nan", "inf", "86401")),
        (),
    ],
)
def test_a_wrong_call_exits_with_2(database_url: str, arguments: tuple[str, ...]) -> None:
    assert publish(database_url, *arguments).exit_code == 2


def test_the_function_raises_what_the_database_refuses(
    client: Client, database_url: str, filling: UUID
) -> None:
    with pytest.raises(StageNotPublished):
        wait_for_publication(database_url, filling, 1)
    with pytest.raises(StageNotFound):
        publish_and_wait(database_url, uuid4(), 1)
    client.seal_stage(filling)
    with pytest.raises(StageSealed):
        publish_and_wait(database_url, filling, 1)


def test_a_notification_ends_the_waiting_at_once(
    client: Client, database_url: str, filling: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.client.publishing.LOOK", 60.0)
    with in_background(publish_and_wait, database_url, filling, 1) as waiting:
        eventually(lambda: provisional(client, filling))
        client.publish()
        assert waiting.result(timeout=20).status == "confirmed"


def test_a_lost_connection_is_made_again(
    client: Client, database_url: str, filling: UUID, database_gate: Gate
) -> None:
    url = through_gate(database_url, database_gate)
    seen: list[Publication] = []
    with in_background(publish_and_wait, url, filling, 1, look=seen.append) as waiting:
        eventually(lambda: seen)
        database_gate.cut()
        client.publish()
        assert waiting.result(timeout=30).status == "confirmed"


def test_a_publication_whose_answer_was_lost_is_asked_about(
    client: Client, database_url: str, filling: UUID, database_gate: Gate
) -> None:
    url = through_gate(database_url, database_gate)
    client.execute("begin")
    client.rows("select from stagebus_data.stages where job_id = %s for update", filling)
    other = client.session()
    with in_background(publish_and_wait, url, filling, 1) as waiting:
        # It waits for the stage's lock: its answer will not come through.
        eventually(
            lambda: other.value(
                "select count(*) from pg_stat_activity where application_name ="
                " 'stagebus publish' and wait_event_type = 'Lock'"
            )
        )
        database_gate.hold_answers()
        client.execute("commit")
        eventually(lambda: provisional(client, filling))
        database_gate.cut()
        database_gate.open()
        client.publish()
        assert waiting.result(timeout=30).status == "confirmed"


def test_a_lost_answer_is_not_an_error_without_wait_either(
    client: Client, database_url: str, filling: UUID, database_gate: Gate
) -> None:
    client.execute("begin")
    client.rows("select from stagebus_data.stages where job_id = %s for update", filling)
    other = client.session()
    with in_background(
        publish, through_gate(database_url, database_gate), str(filling), "1"
    ) as asking:
        eventually(
            lambda: other.value(
                "select count(*) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
        )
        database_gate.hold_answers()
        client.execute("commit")
        eventually(lambda: provisional(client, filling))
        database_gate.cut()
        result = asking.result(timeout=30)
    assert (result.exit_code, "ask again" in result.output) == (5, True)


def test_a_database_that_stays_away_is_neither_yes_nor_no(
    client: Client, database_url: str, filling: UUID, database_gate: Gate
) -> None:
    url = through_gate(database_url, database_gate)
    seen: list[Publication] = []
    with in_background(
        publish_and_wait, url, filling, 1, timedelta(minutes=5), patience=0.5, look=seen.append
    ) as waiting:
        eventually(lambda: seen)
        database_gate.refuse()
        with pytest.raises(PublicationUnknown) as caught:
            waiting.result(timeout=30)
    (told,) = seen
    again = f"stagebus.publication('{filling}', '1', '{told.nonce}')"
    assert again in str(caught.value)
    assert ". It is or will be confirmed" in str(caught.value)
    assert client.value(f"select status from {again}") == "waiting"
    client.publish()
    assert wait_for_publication(database_url, filling, 1, told.nonce).status == "confirmed"


def test_publishing_may_take_longer_than_any_other_call(
    client: Client, database_url: str, filling: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.client.publishing.CALL_DEADLINE", 0.1)
    has_waited_for_a_second = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and application_name = 'stagebus publish' and wait_event_type = 'Lock'"
        " and clock_timestamp() - query_start > interval '1 second'"
    )
    other = client.session()
    client.execute("begin")
    client.rows("select from stagebus_data.stages where job_id = %s for update", filling)
    with in_background(publish_and_wait, database_url, filling, 1) as waiting:
        eventually(lambda: other.value(has_waited_for_a_second))
        client.execute("commit")
        eventually(lambda: provisional(client, filling))
        client.publish()
        assert waiting.result(timeout=30).status == "confirmed"


def test_a_call_that_is_never_answered_may_have_done_nothing(
    client: Client, database_url: str, filling: UUID
) -> None:
    client.execute("begin")
    client.rows("select from stagebus_data.stages where job_id = %s for update", filling)
    with pytest.raises(PublicationUnknown, match=r"somebody has it locked .* has begun"):
        publish_and_wait(database_url, filling, 1, patience=0.5)
    client.execute("commit")
    assert client.stage(filling).status == "filling"


def test_whoever_asks_about_one_of_several_is_told_to_ask_about_that_one(
    client: Client, database_url: str, filling: UUID
) -> None:
    told = client.publish_stage(filling)
    with client.transaction():
        client.execute("lock table stagebus_data.stages in access exclusive mode")
        with pytest.raises(PublicationUnknown, match=f"'1', '{told.nonce}'"):
            wait_for_publication(database_url, filling, 1, told.nonce, patience=0.5)


def test_who_stops_waiting_is_not_told_that_it_is_an_error(
    client: Client, database_url: str, filling: UUID
) -> None:
    with subprocess.Popen(
        [*(sys.executable, "-m", "bridge", "publish"), *(str(filling), "1", "--wait")],
        cwd=_PROJECT,
        env={**os.environ, "STAGEBUS_DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever runs the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline().startswith(b"waiting: 0 of 1")
        caller.send_signal(signal.SIGINT)
        _, said = caller.communicate(timeout=30)
    assert (caller.returncode, b"goes on: ask again" in said) == (5, True)
    assert provisional(client, filling)


def test_unknown_has_an_exit_code_of_its_own(
    client: Client,
    database_url: str,
    filling: UUID,
    database_gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any, **__: Any) -> Publication:
        raise PublicationUnknown("ask again")

    monkeypatch.setattr("bridge.publish_command.publish_and_wait", away)
    result = publish(database_url, str(filling), "1", "--wait")
    assert (result.exit_code, result.output) == (5, "ask again\n")


def test_a_database_that_was_never_there_is_an_error(
    database_url: str, filling: UUID, database_gate: Gate
) -> None:
    database_gate.refuse()
    with pytest.raises(DatabaseUnavailable):
        publish_and_wait(through_gate(database_url, database_gate), filling, 1, patience=0.3)


@pytest.mark.parametrize("published", [True, False])
def test_a_caller_that_is_killed_leaves_one_of_the_two(
    client: Client, database_url: str, filling: UUID, published: bool
) -> None:
    caller = subprocess.Popen(
        [
            *(sys.executable, "-m", "bridge", "publish", str(filling), "1"),
            *("--wait", "--timeout", "3600"),
        ],
        cwd=_PROJECT,
        env={**os.environ, "STAGEBUS_DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
    )
    with caller:
        assert caller.stdout is not None
        assert caller.stdout.readline().startswith(b"waiting: 0 of 1")
        caller.send_signal(signal.SIGKILL)
    if published:
        client.publish()
    client.advance(timedelta(hours=1))
    client.maintain()
    client.work_orders()
    status = wait_for_publication(database_url, filling, 1).status
    assert status == ("confirmed" if published else "withdrawn")
    assert client.count("tasks") == (3 if published else 0)


def test_a_session_that_is_ended_in_the_middle_of_the_call_leaves_it_filling(
    client: Client, database_url: str, filling: UUID
) -> None:
    with psycopg.connect(database_url) as apart:
        apart.execute("select stagebus.publish_stage(%s, 1)", (filling,))
        client.execute("select pg_terminate_backend(%s)", apart.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            apart.commit()
    assert client.stage(filling).status == "filling"
