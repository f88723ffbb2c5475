"""How a bridge ends, as a process: told to, told twice, or killed."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

from bridge.relay import Relay
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
    handles,
    sends_of,
    states,
    through,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import eventually

Start = Callable[..., BridgeProcess]

CONNECTION_STRING = "STAGEBUS_SERVICEBUS_CONNECTION_STRING"


def gated(queue: Queue, gate: Gate) -> dict[str, str]:
    return {CONNECTION_STRING: through(queue.connection_string, gate.port)}


def received_ids(queue: Queue, messages: int) -> set[str]:
    return {str(message.message_id) for message in queue.receive(messages)}


def in_the_middle(client: Client, queue: Queue, gate: Gate, bridge: BridgeProcess) -> Any:
    """A stage of which some sends are recorded and some have no answer; the gate is closed."""
    client.set_destination("tasks", max_send_messages=10)
    job_id = create_stage(client, 2000, batch_size=500)
    eventually(lambda: sends_of(client) >= 3)
    gate.hold_answers()
    # Every lane comes to a send of which it does not hear.
    eventually(lambda: queue.counts["received"] > 10 * sends_of(client))
    assert states(client)["publishing"] >= 1
    assert bridge.process.poll() is None
    return job_id


def test_a_bridge_told_to_stop_while_idle_exits_with_0(
    client: Client, queue: Queue, start_bridge: Start
) -> None:
    bridge = start_bridge()
    create_stage(client, 10)
    bridge.wait_for("batch.queued")
    bridge.terminate()
    assert bridge.exit_code(10) == 0
    assert bridge.events()[-1]["event"] == "bridge.stopped"
    assert all_queued(client)


def test_a_bridge_told_to_stop_while_it_is_still_being_imported_exits_with_0(
    start_bridge: Start,
) -> None:
    bridge = start_bridge()
    eventually(lambda: handles(bridge.process, signal.SIGTERM))
    bridge.terminate()
    assert bridge.exit_code(10) == 0
    # It had not come to its first event, or the test has to be quicker.
    assert bridge.events() == []


def test_a_bridge_told_to_stop_does_not_wait_for_an_answer_as_long_as_otherwise(
    client: Client, queue: Queue, start_bridge: Start
) -> None:
    job_id = create_stage(client, 10)
    queue.endpoint.faults.set(name=queue.name, on="send", do="never", entity=queue.name)
    bridge = start_bridge("--send-deadline", "40")
    eventually(lambda: queue.stored == 10)
    began = time.monotonic()
    bridge.terminate()
    assert bridge.exit_code(15) == 0
    assert 4 < time.monotonic() - began < 10
    (batch,) = client.batches(job_id)
    assert (batch.state, batch.publish_attempts) == ("pending_queue", 0)
    assert sends_of(client, "unknown") == 1

    start_bridge()
    eventually(lambda: all_queued(client))
    assert (queue.stored, queue.counts["duplicates_dropped"]) == (10, 10)
    assert_ledger_is_whole(client, job_id)


def test_a_bridge_told_to_stop_in_the_middle_gives_everything_back_and_exits_with_0(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    bridge = start_bridge("--connections", "2", **gated(queue, gate))
    job_id = in_the_middle(client, queue, gate, bridge)

    bridge.terminate()
    bridge.wait_for("bridge.draining")
    gate.open()
    assert bridge.exit_code(15) == 0

    assert "publishing" not in states(client)
    assert "pending_queue" in states(client)
    assert bridge.names()["lane.crashed"] == 0
    # What was in flight was recorded: nothing is unknown, and the next bridge sends only the rest.
    assert sends_of(client, "unknown") == 0
    assert queue.stored == client.value(
        "select sum(messages) from stagebus.sends where outcome = 'accepted'"
    )
    another = start_bridge()
    eventually(lambda: all_queued(client))
    assert another.process.poll() is None
    assert queue.counts["duplicates_dropped"] == 0
    assert received_ids(queue, 2000) == expected_ids(client, job_id)
    assert_ledger_is_whole(client, job_id)


def test_a_second_signal_ends_a_bridge_at_once_and_a_killed_one_loses_nothing(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    short = ("--lease", "3", "--send-deadline", "2.5")
    bridge = start_bridge("--connections", "2", "--lease", "60", **gated(queue, gate))
    job_id = in_the_middle(client, queue, gate, bridge)

    bridge.terminate()
    bridge.wait_for("bridge.draining")
    began = time.monotonic()
    bridge.terminate()
    assert bridge.exit_code(5) == 1
    assert time.monotonic() - began < 2
    gate.open()
    # Its lease is long; so that the test is not, the clock of the database is put forward.
    client.execute(
        "update stagebus_data.batches set lease_until = clock_timestamp()"
        " where state = 'publishing'"
    )

    second = start_bridge("--connections", "2", *short, **gated(queue, gate))
    before = sends_of(client)
    eventually(lambda: sends_of(client) >= before + 3)
    gate.hold_answers()
    eventually(lambda: queue.counts["received"] > 10 * sends_of(client))
    second.process.kill()
    second.exit_code()
    gate.open()
    assert not all_queued(client)

    start_bridge(*short)
    eventually(lambda: all_queued(client))
    # Each repeat is explained by a range that the ledger calls unknown.
    assert sends_of(client, "unknown") >= 2
    assert 0 < queue.counts["duplicates_dropped"] <= 10 * 4
    assert queue.stored == 2000
    assert received_ids(queue, 2000) == expected_ids(client, job_id)
    assert_ledger_is_whole(client, job_id)


def test_the_log_is_json_with_event_names_and_holds_no_payload_and_no_secret(
    client: Client, queue: Queue, gate: Gate, start_bridge: Start
) -> None:
    client.set_task_type("tiles")
    client.create_stage_tasks_from_array(
        client.create_job("maps", {"of": "a-private-job"}),
        1,
        "tiles",
        [{"name": "a-private-task"}, {"name": "x" * 40_000}],
        {"common": "a-private-stage"},
    )
    gate.hold_answers()
    bridge = start_bridge(
        "--log-level", "debug", "--send-deadline", "3", "--publish-attempts", "1",
        **gated(queue, gate),
    )  # fmt: skip
    # No link, then a message too big, then no database, then no entity.
    bridge.wait_for("broker.unavailable")
    gate.open()
    bridge.wait_for("task.unsendable")
    client.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name"
        " like 'stagebus %%'"
    )
    bridge.wait_for("listener.lost")
    client.set_destination("tasks", entity="no-such-queue")
    create_stage(client, 1)
    bridge.wait_for("destination.refused")
    bridge.terminate()
    assert bridge.exit_code() == 0
    # It can neither sign in to the database nor find it.
    refused = start_bridge(
        STAGEBUS_DATABASE_URL=f"postgresql://nobody:{DATABASE_PASSWORD}@127.0.0.1:1/none"
    )
    refused.wait_for("database.unavailable")
    refused.terminate()
    assert refused.exit_code() == 0

    for log in (bridge, refused):
        for event in log.events():
            assert {"at", "level", "event"} <= set(event)
        text = log.log.read_text("utf-8")
        for secret in (DATABASE_PASSWORD, KEY, "a-private", "xxxx"):
            assert secret not in text


def test_one_that_is_told_in_the_moment_it_begins_leaves_nothing_unawaited(
    settings: Callable[..., Settings],
) -> None:
    """Its background duties are cancelled before their first step; pytest hears of what is left."""
    relay = Relay(settings())

    class StopsAtTheStart(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "bridge.started":
                relay.stop()

    handler, log = StopsAtTheStart(), logging.getLogger("stagebus.relay")
    level = log.level
    log.addHandler(handler)
    log.setLevel("INFO")
    try:
        asyncio.run(relay.run())
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    gc.collect()
