"""`stagebus bridge --processes N`: bridges under one parent, and every way in which they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.settings import Settings
from tests.bridge.conftest import (
    DATABASE_PASSWORD,
    KEY,
    BridgeProcess,
    Queue,
    all_queued,
    assert_ledger_is_whole,
    create_stage,
    expected_ids,
    sends_of,
    states,
    through,
)
from tests.bridge.gate import Gate
from tests.bridge.test_stopping import gated, in_the_middle, received_ids
from tests.client import Client
from tests.eventually import eventually

Start = Callable[..., BridgeProcess]

TWO = ("--processes", "2", "--connections", "1")


def said(bridge: BridgeProcess, event: str) -> list[dict[str, Any]]:
    return [each for each in bridge.events() if each["event"] == event]


def said_by_both(bridge: BridgeProcess, event: str) -> list[dict[str, Any]]:
    return eventually(lambda: found if len(found := said(bridge, event)) == 2 else [])


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # Nobody may have asked yet how it ended.
    return state != "Z"


def both_in_the_middle(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> tuple[BridgeProcess, Any, dict[str, int]]:
    """Two that wait for an answer each; the job's id, and the process id of each bridge id."""
    bridge = start_bridge(*TWO, **gated(queue, gate))
    pids = {each["bridge_id"]: each["pid"] for each in said_by_both(bridge, "bridge.started")}
    job_id = in_the_middle(client, queue, gate, bridge)
    eventually(lambda: states(client)["publishing"] == 2)
    return bridge, job_id, pids


def test_both_publish_with_a_bridge_id_each_and_none_is_left_after_a_signal(
    client: Client, queue: Queue, gate: Gate, settings: Callable[..., Settings], start_bridge: Start
) -> None:
    broker = through(queue.connection_string, gate.port)
    bridge = start_bridge(
        *TWO, "--database-url", settings().database_url, "--servicebus-connection-string", broker,
        STAGEBUS_DATABASE_URL="", STAGEBUS_SERVICEBUS_CONNECTION_STRING="",
    )  # fmt: skip
    started = said_by_both(bridge, "bridge.started")
    pids = {each["pid"] for each in started}
    assert pids == set(children(bridge.process.pid))
    for pid in pids:
        # Whoever called may have had the secrets there; it is not passed on.
        line = Path(f"/proc/{pid}/cmdline").read_text("utf-8")
        assert "bridge" in line
        assert DATABASE_PASSWORD not in line
        assert KEY not in line

    gate.hold_answers()
    job_id = create_stage(client, 400, batch_size=50)
    eventually(lambda: states(client)["publishing"] == 2)
    gate.open()
    eventually(lambda: all_queued(client))
    bridge_ids = {each["bridge_id"] for each in started}
    assert len(bridge_ids) == 2
    assert set(client.column("select distinct claimed_by::text from stagebus_data.sends")) == (
        bridge_ids
    )
    assert received_ids(queue, 400) == expected_ids(client, job_id)
    assert queue.counts["duplicates_dropped"] == 0

    bridge.terminate()
    assert bridge.exit_code() == 0
    assert not any(map(lives, pids))
    assert len(said(bridge, "bridge.stopped")) == 2
    assert said(bridge, "process.ended") == []


def test_a_single_one_is_the_process_itself(start_bridge: Start) -> None:
    bridge = start_bridge("--processes", "1")
    assert bridge.wait_for("bridge.started")["pid"] == bridge.process.pid
    assert children(bridge.process.pid) == []


def test_a_signal_that_comes_to_each_of_them_too_is_no_second_one(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    """As Ctrl-C does in a terminal, and systemd for all of a service."""
    bridge, job_id, pids = both_in_the_middle(client, queue, gate, start_bridge)
    bridge.process.send_signal(signal.SIGINT)
    said_by_both(bridge, "bridge.draining")
    for pid in pids.values():
        os.kill(pid, signal.SIGINT)
    gate.open()
    assert bridge.exit_code(15) == 0
    assert len(said(bridge, "bridge.stopped")) == 2
    assert "publishing" not in states(client)
    assert sends_of(client, "unknown") == 0
    assert not any(map(lives, pids.values()))

    start_bridge()
    eventually(lambda: all_queued(client))
    assert queue.counts["duplicates_dropped"] == 0
    assert received_ids(queue, 2000) == expected_ids(client, job_id)


def test_a_second_signal_ends_all_of_them_at_once(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    bridge, _, pids = both_in_the_middle(client, queue, gate, start_bridge)
    bridge.terminate()
    said_by_both(bridge, "bridge.draining")
    bridge.terminate()
    assert bridge.exit_code(4) == 1
    eventually(lambda: not any(map(lives, pids.values())))
    assert said(bridge, "bridge.stopped") == []


def test_when_one_is_killed_the_other_drains_and_nothing_is_lost(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    bridge, job_id, pids = both_in_the_middle(client, queue, gate, start_bridge)
    killed, other = pids
    os.kill(pids[killed], signal.SIGKILL)
    ended = bridge.wait_for("process.ended")
    assert (ended["pid"], ended["exit_code"]) == (pids[killed], -signal.SIGKILL)
    bridge.wait_for("bridge.draining")
    gate.open()
    assert bridge.exit_code(15) == 1
    assert [each["bridge_id"] for each in said(bridge, "bridge.stopped")] == [other]
    assert not any(map(lives, pids.values()))
    # What the killed one had is its own until its lease has run out, which is put forward.
    assert client.column(
        "update stagebus_data.batches set lease_until = clock_timestamp()"
        " where state = 'publishing' returning claimed_by::text"
    ) == [killed]

    start_bridge(*TWO)
    eventually(lambda: all_queued(client))
    assert sends_of(client, "unknown") == 1
    assert received_ids(queue, 2000) == expected_ids(client, job_id)
    assert_ledger_is_whole(client, job_id)


def test_when_the_parent_is_killed_both_drain(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    bridge, _, pids = both_in_the_middle(client, queue, gate, start_bridge)
    bridge.process.kill()
    said_by_both(bridge, "bridge.draining")
    gate.open()
    eventually(lambda: not any(map(lives, pids.values())))
    assert len(said(bridge, "bridge.stopped")) == 2
    assert "publishing" not in states(client)
    assert sends_of(client, "unknown") == 0


def test_when_one_of_them_is_told_to_stop_all_stop(start_bridge: Start) -> None:
    bridge = start_bridge(*TWO)
    one, other = (each["pid"] for each in said_by_both(bridge, "bridge.started"))
    os.kill(one, signal.SIGTERM)
    assert bridge.exit_code() == 0
    assert not lives(other)


def test_told_to_stop_while_they_are_still_being_imported_they_exit_with_0(
    start_bridge: Start,
) -> None:
    bridge = start_bridge(*TWO)
    pids = eventually(lambda: children(bridge.process.pid))
    bridge.terminate()
    assert bridge.exit_code() == 0
    assert not any(map(lives, pids))
    assert len(said(bridge, "bridge.stopped")) == len(said(bridge, "bridge.draining")) == 2


def test_the_parent_waits_for_a_database_that_is_away_before_it_starts_any(
    start_bridge: Start,
) -> None:
    bridge = start_bridge(*TWO, STAGEBUS_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    bridge.wait_for("database.unavailable")
    assert children(bridge.process.pid) == []
    bridge.terminate()
    assert bridge.exit_code() == 0


def test_what_is_wrong_with_a_setting_or_the_database_is_said_once_and_as_by_one(
    start_bridge: Start,
) -> None:
    for wrong in (
        {"STAGEBUS_LEASE": "-1"},
        {"STAGEBUS_SERVICEBUS_CONNECTION_STRING": "nonsense"},
        {"STAGEBUS_FAILPOINTS": "nonsense"},
        {"STAGEBUS_ALLOW_FSYNC_OFF": "0"},
    ):
        one, many = start_bridge(**wrong), start_bridge("--processes", "3", **wrong)
        assert (one.exit_code(), many.exit_code()) == (1, 1)
        text = many.log.read_text("utf-8")
        assert text == one.log.read_text("utf-8")
        assert text.startswith("Error: ")
        assert text.count("\n") == 1


def test_the_script_starts_them_wherever_it_is_called(
    queue: Queue, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    # With `-m` this folder would be looked into first.
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "__init__.py").touch()
    given = settings()
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("stagebus"), "bridge", *TWO, "--allow-fsync-off"],
            cwd=tmp_path,
            env={
                **os.environ,
                "STAGEBUS_DATABASE_URL": given.database_url,
                "STAGEBUS_SERVICEBUS_CONNECTION_STRING": str(given.servicebus_connection_string),
            },
            stderr=stderr,
        )
    bridge = BridgeProcess(process, log)
    try:
        said_by_both(bridge, "bridge.started")
        bridge.terminate()
        assert bridge.exit_code() == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", ["0", "-1", "65", "1000", "1.5", "x"])
def test_a_number_of_processes_that_is_none_is_a_wrong_call(number: str) -> None:
    for arguments, environment in (
        (["--processes", number], {}),
        ([], {"STAGEBUS_PROCESSES": number}),
    ):
        result = CliRunner().invoke(
            main, ["bridge", "--database-url", "host=x", *arguments], env=environment
        )
        assert result.exit_code == 2
        assert "Invalid value for '--processes'" in result.output
        assert number in result.output
