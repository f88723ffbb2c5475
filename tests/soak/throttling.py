"""The broker throttles for a while: nothing is spent, and soon after its end all goes on as before.

Two bridges publish to two destinations. So that the rate is the same on any machine, each send is
answered late: what is measured is how long lanes stand idle, not how fast they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.local.demo.processes import Processes
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint
from bridge.local.stack import LocalStack
from bridge.migrate import migrate
from tests.bridge.conftest import journal_ids
from tests.client import Client
from tests.conftest import SETTINGS, new_postgres
from tests.eventually import eventually

BRIDGES = 2
DESTINATIONS = ("north", "south")
SENT_AT_ONCE = 10
BATCH_SIZE = 50
PACE: Mapping[str, Any] = {"on": "send", "do": "late", "seconds": 0.1, "times": None}

#: Seconds of publishing before the throttling, and of waiting for the rate to come back.
BEFORE = 2.0
AFTER = 12.0

#: Seconds over which a rate is taken, and between two looks.
WINDOW = 1.0
LOOK_EVERY = 0.05

#: What is promised: within so many seconds, at so much of the rate before.
WITHIN = 5.0
NEVER = float("inf")
SHARE = 0.8

#: Messages per second that eight lanes cannot exceed at this pace.
FASTEST = BRIDGES * 4 * SENT_AT_ONCE / 0.1


@dataclass(frozen=True)
class Report:
    """What was seen at the broker, and what the database says afterwards."""

    seconds: float
    rate_before: float
    """Messages per second."""
    stored_meanwhile: int
    first_after: float
    """Seconds from the end of the throttling to the first accepted send."""
    full_after: float
    """Seconds from there until a second with SHARE of the rate before began; infinite: never."""
    refused: int
    """Sends that the broker throttled."""
    spent: Mapping[str, int]
    """What must not have been: publish attempts, dispatches, attempts of tasks, unknown sends."""
    tasks: int
    lost: int
    twice: int

    @property
    def good(self) -> bool:
        spent = any(self.spent.values()) or self.lost or self.twice or self.stored_meanwhile
        return not spent and self.refused > 0 and self.full_after <= WITHIN

    def __str__(self) -> str:
        return (
            f"throttled for {self.seconds:g} s: {self.rate_before:.0f} messages/s before;"
            f" first accepted {self.first_after:.2f} s after its end,"
            f" {SHARE:.0%} of the rate {self.full_after:.2f} s after it;"
            f" {self.refused} sends refused, spent {dict(self.spent)};"
            f" {self.tasks} tasks, lost {self.lost}, stored twice {self.twice}"
        )


_SPENT = """
select
    sum(b.publish_attempts) as publish_attempts,
    sum(b.dispatch - 1) as dispatches,
    (select sum(t.attempt - 1) from stagebus.tasks as t) as attempts,
    (select count(*) from stagebus_data.sends as s where s.outcome = 'unknown') as unknown_sends
from stagebus_data.batches as b
"""

_UNPUBLISHED = "select count(*) from stagebus_data.batches where state <> 'queued'"


def run_throttling(
    folder: Path, seconds: float, say: Callable[[str], None] = lambda line: None
) -> Report:
    """Throttles for so long; the bridges' logs are left in the folder."""
    journal = folder / "endpoint.journal"
    with (
        new_postgres({**SETTINGS, "fsync": "on", "autovacuum": "on"}) as postgres,
        run_endpoint(DESTINATIONS, arguments=["--journal", str(journal)]) as endpoint,
    ):
        migrate(postgres.url())
        with (
            Client(postgres.url()) as client,
            Processes(LocalStack(postgres, endpoint), folder) as processes,
        ):
            _load(client)
            faults = endpoint.faults
            faults.set(name="pace", **PACE)
            with _watching(endpoint) as seen:
                for number in range(BRIDGES):
                    processes.start_bridge(f"throttled-{number}")
                eventually(lambda: seen.rate_at(time.monotonic() - WINDOW) > 0.7 * FASTEST)
                time.sleep(BEFORE)
                # The first fault that wants a send has it.
                faults.remove("pace")
                began = time.monotonic()
                faults.set(name="throttled", on="send", do="throttle", for_seconds=seconds)
                faults.set(name="pace", **PACE)
                say(f"throttled for {seconds:g} s")
                time.sleep(seconds)
                ended = began + seconds
                rate_before = (seen.stored_by(began) - seen.stored_by(began - BEFORE)) / BEFORE
                full = SHARE * rate_before
                while seen.back_at(full, ended) == NEVER and time.monotonic() < ended + AFTER:
                    time.sleep(LOOK_EVERY)
            (refused,) = (
                state["done"] for state in faults.clear() if state["fault"]["name"] == "throttled"
            )
            eventually(lambda: not client.value(_UNPUBLISHED), within=60)
            processes.stop()
            (spent,) = client.rows(_SPENT)
            tasks = client.value("select count(*) from stagebus.tasks")
    stored = journal_ids([journal])
    return Report(
        seconds=seconds,
        rate_before=rate_before,
        # A look tells what was stored up to LOOK_EVERY before it, or more on a busy machine.
        stored_meanwhile=seen.stored_by(ended - 0.2) - seen.stored_by(began + 0.5),
        first_after=seen.first_after(ended) - ended,
        full_after=seen.back_at(full, ended) - ended,
        refused=int(refused),
        spent={name: int(value) for name, value in spent._asdict().items()},
        tasks=tasks,
        lost=tasks - len(stored),
        twice=sum(times > 1 for times in stored.values()),
    )


def _load(client: Client) -> None:
    """More than is published by the end, for each destination."""
    client.execute("create role demo_bridge login in role stagebus_bridge")
    tasks = int(FASTEST * (BEFORE + AFTER + 10))
    for name in DESTINATIONS:
        client.set_destination(name, entity=name, max_send_messages=SENT_AT_ONCE)
        client.set_task_type(name, destination=name, batch_size=BATCH_SIZE)
        client.create_stage_tasks(client.create_job(), 1, name, tasks // len(DESTINATIONS))


@dataclass
class _Seen:
    """How many messages the endpoint had stored at which times."""

    looks: list[tuple[float, int]] = field(default_factory=lambda: [(time.monotonic(), 0)])

    def stored_by(self, moment: float) -> int:
        return next((stored for at, stored in reversed(self.looks) if at <= moment), 0)

    def rate_at(self, moment: float) -> float:
        """Messages per second in the window from that moment on."""
        return (self.stored_by(moment + WINDOW) - self.stored_by(moment)) / WINDOW

    def first_after(self, moment: float) -> float:
        """When something was first seen stored after that."""
        before = self.stored_by(moment)
        return self._first(at for at, stored in self.looks if stored > before)

    def back_at(self, rate: float, moment: float) -> float:
        """When, from the first message after that on, a window began with so many per second."""
        moment = self.first_after(moment)
        until = self.looks[-1][0] - WINDOW
        starts = [at for at, _ in self.looks if moment <= at <= until]
        return self._first(at for at in starts if self.rate_at(at) >= rate)

    @staticmethod
    def _first(moments: Any) -> float:
        return float(next(iter(moments), NEVER))


@contextmanager
def _watching(endpoint: RunningEndpoint) -> Any:
    """Looks at the endpoint's counts until the block ends."""
    seen, over = _Seen(), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            entities = endpoint.counts()["entities"]
            seen.looks.append((time.monotonic(), _stored(entities, DESTINATIONS)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _stored(entities: Mapping[str, Mapping[str, int]], names: Sequence[str]) -> int:
    return sum(entities[name]["stored"] for name in names)
