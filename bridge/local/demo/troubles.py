"""What befalls the demo's processes while stage 1 is worked on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from subprocess import Popen
from typing import Protocol
from uuid import UUID

from bridge.local.demo.controller import Progress
from bridge.local.demo.operator import Operator
from bridge.local.demo.processes import Processes

#: How many workers are killed: one at each of as many steps through the first half of the stage.
WORKERS_KILLED = 2

Tell = Callable[[str, Progress], None]


class Trouble(Protocol):
    """Something that goes wrong at a moment of its own."""

    def look(self, job_id: UUID, progress: Progress) -> None:
        """Asked several times a second whether now is the moment."""

    def check(self) -> None:
        """Raises RuntimeError if it never was."""


class BridgeKilled:
    """The bridge, once the first sends of the stage are recorded."""

    def __init__(self, processes: Processes, bridge: Popen[bytes], tell: Tell) -> None:
        self._processes = processes
        self._bridge: Popen[bytes] | None = bridge
        self._tell = tell

    def look(self, _: UUID, progress: Progress) -> None:
        if self._bridge is not None and 0 < progress.published < progress.tasks:
            self._tell("killing the bridge (SIGKILL), starting another", progress)
            self._processes.kill(self._bridge)
            self._processes.start_bridge()
            self._bridge = None

    def check(self) -> None:
        if self._bridge is not None:
            raise RuntimeError("all was published before the bridge could be killed")


class WorkersKilled:
    """Workers, each while it has tasks in hand; another one takes its place."""

    def __init__(
        self,
        processes: Processes,
        workers: dict[int, Popen[bytes]],
        operator: Operator,
        tell: Tell,
    ) -> None:
        self._processes = processes
        self._workers = workers
        self._operator = operator
        self._tell = tell
        self.killed = 0
        self.in_hand: set[str] = set()
        """The tasks that the killed ones had in hand: they may have done the work already."""

    def look(self, job_id: UUID, progress: Progress) -> None:
        step = self.killed + 1
        if step > WORKERS_KILLED or progress.completed * 2 * WORKERS_KILLED < progress.tasks * step:
            return
        number = min(self._workers)
        worker = self._workers[number]
        # Stopped, so that what it has in hand stays so while we look.
        worker.send_signal(signal.SIGSTOP)
        in_hand = self._operator.in_hand(job_id, f"worker-{number}")
        if not in_hand:
            worker.send_signal(signal.SIGCONT)
            return
        self._tell(f"killing worker {number} (SIGKILL) with {len(in_hand)} tasks in hand", progress)
        self._processes.kill(self._workers.pop(number))
        self.killed += 1
        self.in_hand.update(in_hand)
        another = number + len(self._workers) + 1
        self._workers[another] = self._processes.start_worker(another)

    def check(self) -> None:
        if self.killed < WORKERS_KILLED:
            raise RuntimeError("the stage was over before all workers could be killed")
