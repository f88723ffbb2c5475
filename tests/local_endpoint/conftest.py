"""One endpoint for all tests, in the tests' own event loop, and a queue of its own for each test.

Opening and closing a client of the SDK takes half a second each, spent asleep; so all are opened
at once before the first test and closed at once after the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from bridge.local.endpoint import Endpoint, EntityConfig
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint

T = TypeVar("T")

#: Seconds after which a test is not slow but stuck.
PATIENCE = 30.0

AN_HOUR = 3600.0

#: The kinds of queues, and how many tests may ask for one of each.
KINDS = {
    "plain": (EntityConfig(), 96),
    "short": (EntityConfig(lock_duration=0.4, max_delivery_count=2), 14),
    "renewed": (EntityConfig(lock_duration=1.5), 1),
    "window": (EntityConfig(duplicate_window=0.5), 2),
    "open": (EntityConfig(duplicate_window=None), 2),
    "mortal": (EntityConfig(lock_duration=1.5, default_ttl=1.0, dead_letter_on_expiry=True), 4),
}


@dataclass(frozen=True)
class Lane:
    """A queue nobody else uses, with a sender and a peek-lock receiver."""

    bench: Bench
    name: str
    sender: ServiceBusSender
    receiver: ServiceBusReceiver

    async def send(self, *ids: str, body: bytes = b"body") -> None:
        """Send messages with these ids: one alone, several as one batch."""
        messages = [ServiceBusMessage(body, message_id=each) for each in ids]
        await self.sender.send_messages(messages[0] if len(messages) == 1 else messages)

    async def receive(self, count: int = 1, wait: float = 3.0) -> list[ServiceBusReceivedMessage]:
        """Receive until `count` messages have come or `wait` seconds bring none."""
        got: list[ServiceBusReceivedMessage] = []
        while len(got) < count:
            more = await self.receiver.receive_messages(count - len(got), max_wait_time=wait)
            if not more:
                break
            got += more
        return got

    async def one(self) -> ServiceBusReceivedMessage:
        """Receive the message that must be there."""
        (message,) = await self.receive()
        return message

    def counts(self) -> dict[str, int]:
        """What the endpoint has counted for this queue."""
        return self.bench.endpoint.queue(self.name).counts()

    def buried(self) -> ServiceBusReceiver:
        """A new receiver of the dead-letter queue."""
        return self.bench.client.get_queue_receiver(self.name, sub_queue="deadletter")

    async def until(self, condition: Callable[[dict[str, int]], bool]) -> None:
        """Wait until the counts are as they should become."""
        await until(lambda: condition(self.counts()))


class Bench:
    """The endpoint, a client of it, and the event loop of both."""

    def __init__(
        self, runner: asyncio.Runner, kinds: Mapping[str, tuple[EntityConfig, int]] = KINDS
    ) -> None:
        self._runner = runner
        self._kinds = kinds
        self._free: dict[str, list[Lane]] = {kind: [] for kind in kinds}
        self.endpoint: Endpoint
        self.client: ServiceBusClient

    def run(self, work: Coroutine[object, object, T], patience: float = PATIENCE) -> T:
        """Run `work` in the loop, but not for ever."""

        async def bounded() -> T:
            async with asyncio.timeout(patience):
                return await work

        return self._runner.run(bounded())

    def lane(self, kind: str = "plain") -> Lane:
        """A queue that no test has had before."""
        return self._free[kind].pop()

    async def open(self) -> None:
        """Start the endpoint and open a sender and a receiver for each queue."""
        queues = {
            f"{kind}-{number}": config
            for kind, (config, count) in self._kinds.items()
            for number in range(count)
        }
        # Between two tests that use it nobody runs the loop, and no heartbeat is sent.
        self.endpoint = Endpoint(queues | {"spare": EntityConfig()}, idle_timeout=AN_HOUR)
        await self.endpoint.start()
        self.client = connect(self.endpoint.connection_string)
        for name in queues:
            sender = self.client.get_queue_sender(name)
            receiver = self.client.get_queue_receiver(name)
            self._free[name.split("-")[0]].append(Lane(self, name, sender, receiver))
        await self._all(lambda client: client.__aenter__())

    async def close(self) -> None:
        """Close every client, then the endpoint."""
        await self._all(lambda client: client.close())
        await self.client.close()
        await self.endpoint.stop()

    async def _all(
        self, do: Callable[[ServiceBusSender | ServiceBusReceiver], Awaitable[object]]
    ) -> None:
        lanes = self.lanes or [lane for free in self._free.values() for lane in free]
        self.lanes = lanes
        clients = [client for lane in lanes for client in (lane.sender, lane.receiver)]
        await asyncio.gather(*(do(client) for client in clients))

    lanes: list[Lane] = []  # noqa: RUF012 - replaced, never changed


async def until(condition: Callable[[], bool]) -> None:
    """Look until `condition` is true; the bench's patience bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens inside the endpoint
        await asyncio.sleep(0.01)


def connect(connection_string: str) -> ServiceBusClient:
    """A client that does not retry, so that a test sees the first answer."""
    return ServiceBusClient.from_connection_string(connection_string, retry_total=0)


@asynccontextmanager
async def endpoint_of(
    queues: dict[str, EntityConfig], **settings: float
) -> AsyncIterator[tuple[Endpoint, ServiceBusClient]]:
    """An endpoint for one test, and a client of it."""
    async with (
        Endpoint(queues, **settings) as endpoint,
        connect(endpoint.connection_string) as client,
    ):
        yield endpoint, client


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """The endpoint that the tests share."""
    with asyncio.Runner() as runner:
        bench = Bench(runner)
        # On a busy machine opening some hundred clients takes long.
        bench.run(bench.open(), 6 * PATIENCE)
        yield bench
        bench.run(bench.close())


@pytest.fixture
def lane(bench: Bench) -> Lane:
    """A queue with the default settings."""
    return bench.lane()


@pytest.fixture
def short(bench: Bench) -> Lane:
    """A queue whose locks end after 0.4 seconds and that tries a message twice."""
    return bench.lane("short")


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEndpoint]:
    """An endpoint in a process of its own, with a journal."""
    journal = tmp_path_factory.mktemp("journal") / "stored.tsv"
    with run_endpoint(["tasks", "jobs"], arguments=["--journal", str(journal)]) as running:
        yield running
