"""A bridge under load is told to stop (SIGTERM), again and again, at moments that a seed draws.

They are spread over all that a bridge goes through: its first line, its imports, connecting,
sending, waiting for an answer that is late or never comes, and idling. After each it is started
again, and in the end every task must be on the broker, stored once.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.local.demo.processes import Processes
from bridge.local.endpoint.process import run_endpoint
from bridge.local.stack import LocalStack
from bridge.migrate import migrate
from tests.bridge.conftest import handles
from tests.client import Client
from tests.conftest import SETTINGS, new_postgres
from tests.eventually import eventually

#: Tasks of which a bridge never runs short before it has been at work for a while.
BACKLOG = 4000
BATCH_SIZE = 200
SENT_AT_ONCE = 10

#: Seconds within which the moment is drawn: from the first line of Python, from the handler's
#: installation, from the event `bridge.started`.
FROM_SPAWN = 0.1
FROM_HANDLER = 1.0
FROM_STARTED = 1.5

#: Seconds that 99 of 100 may take to exit: Docker, for one, kills after ten.
MOST = 10.0

#: What the broker does meanwhile; half of the time nothing out of the ordinary.
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"on": "send", "do": "late", "seconds": 0.3, "times": None},
    {"on": "send", "do": "late", "seconds": 3, "times": None},
    {"on": "send", "do": "late", "seconds": 12, "times": None},
    {"on": "send", "do": "never", "times": None, "after": 20},
    {"on": "send", "do": "never", "store": False, "times": None},
    {"on": "send", "do": "drop_after", "times": None, "probability": 0.1},
    {"on": "send", "do": "throttle", "for_seconds": 1},
    {"on": "attach", "do": "late", "seconds": 2, "times": None},
    {"on": "attach", "do": "never", "times": None},
    {"on": "token", "do": "never", "times": None},
    {"on": "connect", "do": "never", "times": None},
)


@dataclass(frozen=True)
class Report:
    """What became of the bridges, and of the tasks."""

    seconds: list[float]
    """How long each took to exit, sorted."""
    moments: Mapping[str, int]
    """What they were at when they were told."""
    wrong: list[str]
    """Exit codes, leases and logs that should not be."""
    tasks: int
    lost: int
    """Tasks that the broker has not stored."""
    twice: int
    """Messages that it has stored more than once."""

    def at(self, share: float) -> float:
        """Seconds within which this share of them had exited."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    @property
    def good(self) -> bool:
        return not (self.wrong or self.lost or self.twice) and self.at(0.99) < MOST

    def __str__(self) -> str:
        times = ", ".join(f"{name} {self.at(share):.2f} s" for name, share in _SHARES.items())
        moments = ", ".join(f"{count} {moment}" for moment, count in sorted(self.moments.items()))
        lines = [
            f"{len(self.seconds)} stops; time to exit: {times}",
            f"told while: {moments}",
            f"{self.tasks} tasks, lost {self.lost}, stored twice {self.twice}",
            *self.wrong,
        ]
        return "\n".join(lines)


_SHARES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def run_stops(
    folder: Path, stops: int, seed: int, say: Callable[[str], None] = lambda line: None
) -> Report:
    """So many bridges one after the other; their logs are left in the folder."""
    journal = folder / "endpoint.journal"
    with (
        # As a bridge demands it, and so that the bridge is an ordinary login.
        new_postgres({**SETTINGS, "fsync": "on", "autovacuum": "on"}) as postgres,
        run_endpoint(["tasks"], arguments=["--journal", str(journal)]) as endpoint,
    ):
        migrate(postgres.url())
        stack = LocalStack(postgres, endpoint)
        with (
            Client(postgres.url()) as client,
            Processes(stack, folder, lease=60, send_deadline=20) as processes,
        ):
            client.execute("create role demo_bridge login in role stagebus_bridge")
            client.set_destination("tasks", max_send_messages=SENT_AT_ONCE)
            client.set_task_type("tiles", batch_size=BATCH_SIZE)
            stopping = _Stopping(client, stack, processes, random.Random(seed), say)
            for number in range(1, stops + 1):
                stopping.once(number)
            processes.start_bridge("bridge-last")
            eventually(lambda: not client.value(_UNPUBLISHED), within=120)
            processes.stop()
            wanted = set(client.column(_MESSAGES))
    lines = (line.split("\t") for line in journal.read_text("utf-8").splitlines())
    # Number 0: a repeat that was dropped.
    stored = Counter(message_id for _, number, message_id in lines if number != "0")
    return Report(
        seconds=sorted(stopping.seconds),
        moments=stopping.moments,
        wrong=stopping.wrong,
        tasks=len(wanted),
        lost=len(wanted - stored.keys()),
        twice=sum(times > 1 for times in stored.values()),
    )


_UNPUBLISHED = "select count(*) from stagebus_data.batches where state <> 'queued'"

_WAITING = """
select coalesce(sum(task_count), 0) from stagebus_data.batches where state = 'pending_queue'
"""

_LEASES = """
select count(*) from stagebus_data.batches where claimed_by is not null or lease_until is not null
"""

#: A stage is published once here, so that there is one message a task.
_MESSAGES = """
select t.task_id || '.1.1.' || s.nonce
from stagebus.tasks as t join stagebus_data.stages as s using (job_id, stage)
"""


class _Stopping:
    """Stops one bridge after the other and notes how each went."""

    def __init__(
        self,
        client: Client,
        stack: LocalStack,
        processes: Processes,
        chance: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self._client = client
        self._stack = stack
        self._processes = processes
        self._chance = chance
        self._say = say
        self.seconds: list[float] = []
        self.moments: Counter[str] = Counter()
        self.wrong: list[str] = []

    def once(self, number: int) -> None:
        if (short := BACKLOG - self._client.value(_WAITING)) > 0:
            self._client.create_stage_tasks(self._client.create_job(), 1, "tiles", int(short))
        fault = self._chance.choice(FAULTS) if self._chance.random() < 0.5 else None
        if fault is not None:
            self._stack.endpoint.faults.set(name=f"stop-{number}", **fault)
        log = self._processes.folder / f"bridge-{number}.log"
        process = self._processes.start_bridge(log.stem)
        self._wait(process, log)
        handled = handles(process, signal.SIGTERM)
        told = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            self._processes.kill(process)
            code = process.returncode
        self.seconds.append(time.monotonic() - told)
        events = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        moment = _moment(events, handled, fault)
        self.moments[moment] += 1
        self._say(f"{number:4} {self.seconds[-1]:6.2f} s {moment}")
        leases = self._client.value(_LEASES)
        names = {event["event"] for event in events}
        expected = {0} if handled else {0, -signal.SIGTERM}
        if code not in expected or leases or names & {"lane.crashed", "maintenance.crashed"}:
            self.wrong.append(f"{log.name}: exit code {code}, {leases} leases left, {moment}")
        self._stack.endpoint.faults.clear()

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Until the moment has come."""
        kind = self._chance.random()
        if kind < 0.1:
            time.sleep(self._chance.uniform(0, FROM_SPAWN))
        elif kind < 0.3:
            eventually(lambda: handles(process, signal.SIGTERM))
            time.sleep(self._chance.uniform(0, FROM_HANDLER))
        else:
            eventually(lambda: '"bridge.started"' in log.read_text("utf-8"), within=60)
            time.sleep(self._chance.uniform(0, FROM_STARTED))


def _moment(events: list[dict[str, Any]], handled: bool, fault: Mapping[str, Any] | None) -> str:
    """What a bridge was at when it was told."""
    if not handled:
        return "the interpreter started"
    draining = [event for event in events if event["event"] == "bridge.draining"]
    if not draining:
        return "importing"
    if not any(event["event"] == "bridge.started" for event in events):
        return "connecting to the database"
    if not draining[0]["batches"]:
        return "idle"
    return "sending" if fault is None else f"sending, {fault['on']} {fault['do']}"
