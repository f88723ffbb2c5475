"""A stage for each test: a queue of its own, with clients that are open, and faults for it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field

import pytest

from bridge.local.endpoint import EntityConfig
from bridge.local.endpoint.faults import FaultBook, FaultStatus
from tests.local_endpoint.conftest import PATIENCE, Bench, Lane

#: Seconds after which the SDK is taken to wait for ever. An answer takes milliseconds, the end of
#: a connection half a second, in which the SDK sleeps.
HANGS_AFTER = 1.0
#: What `outcome` says of a call that does not return.
HANGS = "hangs"

#: For modules whose tests cut connections: the SDK forgets one that was cut without closing it;
#: the garbage collector does that.
LOSES_CONNECTIONS = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collect_garbage"),
]

_KINDS = {
    "plain": (EntityConfig(), 110),
    "short": (EntityConfig(lock_duration=2.0), 7),
}


async def outcome(call: Awaitable[object], expected: str = HANGS) -> str:
    """What becomes of a call of the SDK: "ok", the name of what it raises, or HANGS.

    If something else than HANGS is expected, it may take as long as a slow machine needs.
    """
    patience = HANGS_AFTER if expected == HANGS else PATIENCE
    try:
        async with asyncio.timeout(patience):
            await call
    except TimeoutError:
        return HANGS
    except Exception as error:  # noqa: BLE001 - whatever the SDK makes of a fault
        return type(error).__name__
    return "ok"


@dataclass(frozen=True)
class Stage:
    """A queue nobody else uses, and its faults."""

    bench: Bench
    lane: Lane
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def set(self, **fields: object) -> str:
        """Set a fault of this queue; returns its name."""
        name = f"{self.lane.name}-{next(self.numbers)}"
        self.bench.endpoint.faults.set(**{"name": name, "entity": self.lane.name} | fields)
        return name

    def status(self, name: str) -> FaultStatus:
        """What the list of faults says of one."""
        (found,) = (
            each for each in self.bench.endpoint.faults.list() if each["fault"]["name"] == name
        )
        return found

    def counted(self, name: str) -> tuple[int, int]:
        """How many operations a fault was offered, and how many it befell."""
        status = self.status(name)
        return status["seen"], status["done"]

    def stored(self) -> int:
        """How many messages the queue has ever stored."""
        return self.lane.counts()["stored"]

    async def send(self, message_id: str, expected: str = "ok") -> str:
        """What becomes of one send."""
        return await outcome(self.lane.send(message_id), expected)


@pytest.fixture
def collect_garbage() -> Iterator[None]:
    """Let the connections that the SDK has forgotten be closed here, where that is no warning."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """The endpoint that the tests of faults share."""
    with asyncio.Runner() as runner:
        bench = Bench(runner, _KINDS)
        bench.run(bench.open(), patience=60)
        yield bench
        bench.run(bench.close())


@pytest.fixture
def faults(bench: Bench, caplog: pytest.LogCaptureFixture) -> Iterator[FaultBook]:
    """The faults of the endpoint; they end with the test, in which nothing of ours may fail."""
    yield bench.endpoint.faults
    bench.endpoint.faults.clear()
    failed = [
        record
        for record in caplog.get_records("call")
        if record.levelno >= logging.ERROR and record.name.startswith(("bridge", "asyncio"))
    ]
    assert not failed


@pytest.fixture
def stage(bench: Bench, faults: FaultBook) -> Stage:
    """A queue with the default settings."""
    return Stage(bench, bench.lane())


@pytest.fixture
def short_stage(bench: Bench, faults: FaultBook) -> Stage:
    """A queue whose locks end after two seconds."""
    return Stage(bench, bench.lane("short"))
