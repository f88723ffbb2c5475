"""The endpoint as a whole: a listening socket, the queues behind it, and the end of their locks."""

from __future__ import annotations

import asyncio
import resource
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge.local.endpoint.clock import SystemClock
from bridge.local.endpoint.config import EntityConfig, TopicConfig
from bridge.local.endpoint.connection import ClientConnection
from bridge.local.endpoint.engine import IDLE_TIMEOUT
from bridge.local.endpoint.faults import Fault, FaultBook
from bridge.local.endpoint.faults.detaching import befallen
from bridge.local.endpoint.faults.refusing import refusal_of
from bridge.local.endpoint.journal import Journal
from bridge.local.endpoint.namespace import Namespace
from bridge.local.endpoint.queue import Queue
from bridge.local.endpoint.sweeper import Sweeper

KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"


class Endpoint:
    """A local Azure Service Bus endpoint in the running event loop.

    queues: their settings by name; a sequence of names gives them all the defaults. topics: their
    settings, and those of their subscriptions, by name.
    port: 0 lets the system choose one. idle_timeout: seconds without a byte after which a client
    is given up, as it is told. journal: a file to append to, see `journal`.

    Its attribute `faults` holds the scripted faults, none at first.
    """

    def __init__(
        self,
        queues: Mapping[str, EntityConfig] | Iterable[str] = (),
        *,
        topics: Mapping[str, TopicConfig] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        journal: Path | None = None,
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        if not isinstance(queues, Mapping):
            queues = {name: EntityConfig() for name in queues}
        self._host = host
        self._port = port
        self._idle_timeout = idle_timeout
        self._container = f"local-endpoint-{uuid.uuid4()}"
        self._journal = None if journal is None else Journal(journal)
        clock = SystemClock()
        self._namespace = Namespace(queues, topics or {}, clock, self._journal)
        self.faults = FaultBook(clock, self._namespace.name_of, self._befall)
        self._connections: set[ClientConnection] = set()
        self._connections_made = 0
        self._server: asyncio.Server | None = None
        self._sweepers: list[Sweeper] = []
        self._gone = asyncio.Event()

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def connection_string(self) -> str:
        """What to give to `ServiceBusClient.from_connection_string`, once started."""
        return (
            f"Endpoint=sb://{self._host}:{self._port};SharedAccessKeyName={KEY_NAME};"
            f"SharedAccessKey={KEY};UseDevelopmentEmulator=true"
        )

    def queue(self, name: str) -> Queue:
        """The queue or subscription at the address `name`. Raises Refused if there is none."""
        queue = self._namespace.find(name).queue
        if queue is None:
            raise ValueError(f"{name!r} is not a queue")
        return queue

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self._sweepers = [Sweeper(entity, loop) for entity in self._namespace.all()]

    async def stop(self) -> None:
        """Stop listening, cut every connection and close the journal."""
        if self._server is not None:
            self._server.close()
        for sweeper in self._sweepers:
            sweeper.stop()
        self.cut_connections()
        while self._connections:
            self._gone.clear()
            await self._gone.wait()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    async def __aenter__(self) -> Endpoint:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def counts(
        self,
    ) -> dict[str, dict[str, dict[str, int]] | dict[str, int] | dict[str, int | float]]:
        """`entities`: the counts of each entity by name; `process`: those of the whole process.

        `faults_done`: how many operations each scripted fault has befallen, by its name.
        """
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "entities": {each.name: each.counts() for each in self._namespace.all()},
            "faults_done": self.faults.done(),
            "process": {
                "connections": len(self._connections),
                "connections_made": self._connections_made,
                "cpu_seconds": time.process_time(),
                "max_rss_bytes": usage.ru_maxrss * 1024,
            },
        }

    def cut_connections(self) -> int:
        """Cut every connection now, without a word; returns how many they were."""
        connections = list(self._connections)
        for connection in connections:
            connection.cut()
        return len(connections)

    def _befall(self, fault: Fault) -> int:
        """Detach what is attached, as `fault` has it; returns how many links that were."""
        wanted, refused = befallen(fault), refusal_of(fault)
        return sum(each.detach_links(wanted, refused) for each in list(self._connections))

    def _connection(self) -> ClientConnection:
        connection = ClientConnection(
            self._namespace, self.faults, self._container, self._idle_timeout, self._lost
        )
        self._connections.add(connection)
        self._connections_made += 1
        return connection

    def _lost(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        self._gone.set()
