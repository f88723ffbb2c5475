"""What befalls those who send beside the database instead of after it: docs/which-pattern.md.

The loop and its compensation are written here as people write them: a row, a message, the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import azure.servicebus
import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from bridge.settings import Settings
from tests.bridge.conftest import LOSES_CONNECTIONS, Queue, all_queued, close_meanwhile, running
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]

pytestmark = LOSES_CONNECTIONS


@pytest.fixture
def rows(client: Client) -> Client:
    client.execute("create table public.work (n int primary key, state text not null)")
    return client


class Loop:
    """A row and a message for each task, one after the other."""

    def __init__(self, client: Client, queue: Queue) -> None:
        self.client = client
        self._sdk = ServiceBusClient.from_connection_string(queue.connection_string, retry_total=0)
        self._sender = self._sdk.get_queue_sender(queue.name)

    def insert(self, n: int) -> None:
        self.client.execute("insert into public.work values (%s, 'pending')", n)

    def send(self, n: int) -> None:
        self._sender.send_messages(ServiceBusMessage(str(n), message_id=str(uuid4())))

    def mark_sent(self, n: int) -> None:
        self.client.execute("update public.work set state = 'sent' where n = %s", n)

    def close(self) -> None:
        close_meanwhile(self._sender, self._sdk)


def states(client: Client) -> dict[int, str]:
    return dict(client.rows("select n, state from public.work order by n"))


def test_the_loop_that_dies_between_row_and_message_leaves_a_task_pending_for_ever(
    rows: Client, queue: Queue
) -> None:
    loop = Loop(rows, queue)
    loop.insert(1)
    loop.send(1)
    loop.mark_sent(1)
    loop.insert(2)
    loop.close()
    assert states(rows) == {1: "sent", 2: "pending"}
    assert queue.stored == 1, "nothing knows that the second is missing"


def test_the_loop_whose_answer_is_lost_sends_twice(rows: Client, queue: Queue) -> None:
    loop = Loop(rows, queue)
    loop.insert(1)
    queue.endpoint.faults.set(
        name=queue.name, on="send", do="drop_after", entity=queue.name, times=1
    )
    with pytest.raises(ServiceBusError):
        loop.send(1)
    # It cannot tell that this one has arrived, and tries again.
    again = Loop(rows, queue)
    again.send(1)
    again.mark_sent(1)
    again.close()
    loop.close()
    assert queue.stored == 2


def test_compensation_deletes_the_task_of_a_message_that_has_arrived(
    rows: Client, queue: Queue
) -> None:
    loop = Loop(rows, queue)
    loop.insert(1)
    queue.endpoint.faults.set(
        name=queue.name, on="send", do="drop_after", entity=queue.name, times=1
    )
    with pytest.raises(ServiceBusError):
        loop.send(1)
    rows.execute("delete from public.work where n = 1")
    loop.close()
    assert states(rows) == {}
    assert queue.stored == 1, "a message of a task that there is not"


def test_a_message_before_the_commit_outlives_the_rollback(rows: Client, queue: Queue) -> None:
    loop = Loop(rows, queue)
    with rows.transaction(roll_back=True):
        loop.insert(1)
        loop.send(1)
    loop.close()
    assert states(rows) == {}
    assert queue.stored == 1


def test_the_client_has_no_transactions(queue: Queue) -> None:
    """If it ever does, the page has to be written anew."""
    sender = azure.servicebus.ServiceBusSender
    assert not [name for name in dir(azure.servicebus) if "transaction" in name.lower()]
    assert not [name for name in dir(sender) if "transaction" in name.lower()]


def test_database_first_publishes_what_was_committed_and_only_that(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("tiles")

    async def scenario() -> None:
        async with running(settings()):
            with client.transaction(roll_back=True):
                client.create_stage_tasks(client.create_job(), 1, "tiles", 5)
            client.create_stage_tasks(client.create_job(), 1, "tiles", 3)
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 3
