"""The simple model: what becomes of a job of a plan, told what befalls its stages.

A stage begins when all that it waits for are over, and none of them failed. Over is a stage that
completed, with or without errors, was cancelled or skipped. A failed one keeps back only what waits
for it. When nothing runs and nothing can begin, the final stage does; then the job ends.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

TASK_TYPE = "work"


@dataclass(frozen=True)
class Stage:
    """A stage of a plan, and what befalls it once it has begun."""

    name: str
    waits_for: tuple[str, ...]
    tasks: int
    groups: int = 0
    """Into how many its tasks are grouped; 0: they are counted, not returned by a function."""
    skipped: bool = False
    final: bool = False
    tolerated: int = 0
    failing: int = 0
    """So many of its tasks fail for good; of the first group, where it has groups."""
    cancelled: bool = False
    """Somebody cancels it before any of its tasks has ended; with groups, the first."""

    @property
    def end(self) -> str:
        """How it ends once it has begun; of groups the first, the others complete."""
        if self.skipped or self.tasks == 0:
            return "completed"
        if self.cancelled:
            return "cancelled"
        if self.failing > self.tolerated:
            return "failed"
        return "completed_with_errors" if self.failing else "completed"

    def planned(self, prefix: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """As define_job_type takes it; adds what its job's parameters must say.

        Its function is named by the prefix and its own name.
        """
        stage: dict[str, Any] = {"name": self.name, "task_type": TASK_TYPE}
        if self.final:
            stage["final"] = True
        else:
            stage["after"] = list(self.waits_for)
        if self.groups:
            stage |= {"tasks": f"{prefix}{self.name}", "group_by": "group"}
        elif self.tasks % 2:
            parameters[self.name] = self.tasks
            stage["count"] = f"$.parameters.{self.name}"
        else:
            stage["count"] = self.tasks
        if self.skipped:
            stage["skip_when"] = "$.parameters.skip == true"
        return stage | {"tolerated_failures": str(self.tolerated)}


@dataclass(frozen=True)
class Dag:
    """A plan, what befalls a job of it, and, by the model, how that ends."""

    stages: tuple[Stage, ...]
    cancelled_after: int | None = None
    """The job is cancelled when so many stages have ended; None: never."""
    parameters: dict[str, Any] = field(default_factory=lambda: {"skip": True})

    def plan(self, prefix: str) -> dict[str, Any]:
        return {"stages": [stage.planned(prefix, self.parameters) for stage in self.stages]}

    def begins(self, stage: Stage) -> bool:
        """By the model, in a job that nobody cancels."""
        by_name = {each.name: each for each in self.stages}
        return stage.final or all(
            self.begins(by_name[name]) and by_name[name].end != "failed" for name in stage.waits_for
        )

    def ends(self) -> str:
        """How a job ends that nobody cancels."""
        ends = {stage.end for stage in self.stages if self.begins(stage)}
        if "failed" in ends:
            return "failed"
        return "completed" if ends <= {"completed"} else "completed_with_errors"


def random_dag(rng: random.Random, most_tasks: int) -> Dag:
    """Up to 12 stages of up to `most_tasks`."""
    names = [f"s{number}" for number in range(rng.randint(1, 12))]
    rng.shuffle(names)
    stages = []
    for place, name in enumerate(names):
        final = place == len(names) - 1 and rng.random() < 0.4
        waits_for = rng.sample(names[:place], rng.randint(0, min(place, 3)))
        tasks = rng.choice([0, 1, 2, rng.randint(3, 30), rng.randint(0, most_tasks)])
        groups = rng.randint(1, min(3, tasks)) if tasks and rng.random() < 0.25 else 0
        first = tasks // groups if groups else tasks
        failing = rng.randint(0, first) if rng.random() < 0.3 else 0
        stages.append(
            Stage(
                name,
                () if final else tuple(waits_for),
                tasks,
                groups,
                skipped=rng.random() < 0.1,
                final=final,
                tolerated=rng.choice([0, failing, tasks]),
                failing=failing,
                cancelled=tasks > 0 and rng.random() < 0.1,
            )
        )
    # In any order in the plan: what a stage waits for may come after it.
    rng.shuffle(stages)
    cancelled_after = rng.randint(0, len(stages)) if rng.random() < 0.2 else None
    return Dag(tuple(stages), cancelled_after)
