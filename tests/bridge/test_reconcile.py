"""`stagebus reconcile` over a real endpoint: what was lost behind the database's back is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusReceiver
from click.testing import CliRunner, Result

from bridge import reconcile
from bridge.cli import main
from bridge.links import forget_management_links
from bridge.settings import Settings
from tests.bridge.conftest import Queue, all_queued, close_meanwhile, create_stage, running
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]


def publish(client: Client, settings: Make) -> None:
    async def scenario() -> None:
        async with running(settings(dead_letters=False)):
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())


def lose(queue: Queue, messages: int) -> None:
    """Takes the first so many messages off the queue, and forgets them."""
    broker = ServiceBusClient.from_connection_string(queue.connection_string)
    receiver = broker.get_queue_receiver(
        queue.name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
    )
    while messages > 0:
        messages -= len(receiver.receive_messages(messages, max_wait_time=5))
    close_meanwhile(receiver, broker)


def run(queue: Queue, database_url: str, *arguments: str) -> Result:
    connection = ("--servicebus-connection-string", queue.connection_string)
    return CliRunner().invoke(
        main, ["reconcile", "tasks", "--database-url", database_url, *connection, *arguments]
    )


def differences(result: Result) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in json.loads(result.stdout):
        found[row["difference"]] = found.get(row["difference"], 0) + row["messages"]
    return found


def test_what_was_lost_is_named_and_the_printed_statement_brings_it_back(
    client: Client, queue: Queue, settings: Make, database_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reconcile, "PAGE", 40)
    job_id = create_stage(client, 300)
    publish(client, settings)
    lose(queue, 120)
    queue.send([ServiceBusMessage(b"x", message_id="theirs")])
    result = run(queue, database_url, "--json")
    assert differences(result) == {"as it should be": 180, "lost": 120, "not ours": 1}
    assert result.exit_code == 3

    fixes = [row["fix"] for row in json.loads(result.stdout) if row["difference"] == "lost"]
    assert len(fixes) == 2
    for fix in fixes:
        client.execute(fix)
    publish(client, settings)
    result = run(queue, database_url, "--json")
    # The rest of the second batch was there still: it is of the dispatch before.
    assert differences(result) == {"as it should be": 300, "stale": 80, "not ours": 1}
    assert result.exit_code == 0
    assert client.task_states(job_id) == {"queued": 300}


def test_locked_and_dead_messages_are_there(
    client: Client, queue: Queue, settings: Make, database_url: str
) -> None:
    create_stage(client, 20)
    publish(client, settings)
    queue.bury(3)
    broker = ServiceBusClient.from_connection_string(queue.connection_string)
    receiver = broker.get_queue_receiver(queue.name)
    locked = receiver.receive_messages(5, max_wait_time=5)
    result = run(queue, database_url, "--json")
    assert locked
    close_meanwhile(receiver, broker)
    assert differences(result) == {"as it should be": 17, "dead letter": 3}
    assert result.exit_code == 0
    assert queue.dead == 3, "it was only looked at"


def test_a_look_that_takes_many_requests_changes_its_management_link(
    client: Client, queue: Queue, settings: Make, database_url: str, monkeypatch: Any
) -> None:
    changed = []

    async def change(receiver: ServiceBusReceiver) -> None:
        await forget_management_links(receiver)
        changed.append(receiver.entity_path)

    monkeypatch.setattr(reconcile, "PAGE", 10)
    monkeypatch.setattr(reconcile, "REQUESTS_OF_A_LINK", 2)
    monkeypatch.setattr(reconcile, "forget_management_links", change)
    create_stage(client, 50)
    publish(client, settings)
    assert differences(run(queue, database_url, "--json")) == {"as it should be": 50}
    assert changed == [queue.name] * 3, "of six requests, five pages and an empty one"


def test_of_more_than_was_looked_at_nothing_is_said_to_be_lost(
    client: Client, queue: Queue, settings: Make, database_url: str
) -> None:
    create_stage(client, 20)
    publish(client, settings)
    result = run(queue, database_url, "--json", "--at-most", "19")
    assert differences(result) == {"as it should be": 19}
    assert "more than 19 messages" in result.stderr
    result = run(queue, database_url, "--at-most", "20")
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first.startswith("as it should be: 20 messages, job ")
    assert second == "    -- nothing"


@pytest.mark.parametrize(
    ("destination", "entity", "says"),
    [
        ("none", {}, "no destination 'none'"),
        ("topic", {"entity": "t", "entity_kind": "topic"}, "no queue"),
        ("missing", {"entity": "missing"}, "cannot be looked at"),
    ],
)
def test_what_cannot_be_looked_at_is_told_in_one_line(
    client: Client, queue: Queue, database_url: str, destination: str, entity: Any, says: str
) -> None:
    if entity:
        client.set_destination(destination, **entity)
    result = CliRunner().invoke(
        main,
        [
            *("reconcile", destination, "--database-url", database_url),
            *("--servicebus-connection-string", queue.connection_string),
        ],
    )
    assert (result.exit_code, says in result.output) == (1, True), result.output
    assert len(result.output.splitlines()) == 1
