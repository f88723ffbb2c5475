"""The simple model: what becomes of a job of a plan, told what befalls its stages.

A stage begins when all that it waits for are over, and none of them failed. Over is a stage that
completed, with or without errors, was cancelled or skipped. A failed one keeps back only what waits
for it. When nothing runs and nothing can begin, the final stage does; then the job ends. A failure
that waits for an operator keeps the job until somebody mends it, or gives it up.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What an operator does about a stage that failed: its failed tasks once more, tolerate them, or
#: have the job fail after all.
RETRY, TOLERATE, GIVE_UP = "retry", "tolerate", "give up"


@dataclass(frozen=True)
class Stage:
    """A stage of a plan, and what befalls it once it has begun."""

    name: str
    waits_for: tuple[str, ...] = ()
    tasks: int = 0
    groups: int = 0
    """Into how many its tasks are grouped; 0: they are counted, not returned by a function."""
    count_of: str | None = None
    """It has as many tasks as this one, which it waits for, has completed."""
    skipped: bool = False
    skipped_if_failed: str | None = None
    """It is skipped if a task of this one, which it waits for, has failed."""
    final: bool = False
    tolerated: int = 0
    failing: int = 0
    """So many of its tasks fail for good, its first; of the first group, where it has groups."""
    cancelled_after: int | None = None
    """Somebody cancels it when just so many of its tasks have ended; with groups, the first."""
    on_failure: str = "fail_job"
    mended: str | None = None
    """What an operator does if it fails: at once where the job waits for it, else when the job has
    failed."""

    def __str__(self) -> str:
        said = [f"{self.name} after {' '.join(self.waits_for) or 'nothing'}: "]
        said += [
            f"as many as {self.count_of} completed" if self.count_of else f"{self.tasks} tasks"
        ]
        said += [f" in {self.groups} groups"] if self.groups else []
        said += [", final"] if self.final else []
        said += [", skipped"] if self.skipped else []
        said += [f", skipped if {self.skipped_if_failed} failed"] if self.skipped_if_failed else []
        said += [f", {self.failing} fail ({self.tolerated} may)"] if self.failing else []
        if self.cancelled_after is not None:
            said += [f", cancelled after {self.cancelled_after}"]
        said += [", the job waits"] if self.on_failure == "wait" else []
        said += [f", then {self.mended}"] if self.mended else []
        return "".join(said)


@dataclass(frozen=True)
class End:
    """How a stage has ended, or one of its groups."""

    state: str
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(frozen=True)
class Made:
    """A stage that has begun: what became of it, group by group, and of what waits for it."""

    ends: tuple[End, ...]
    holds_back: bool = False
    """It has failed, and nobody mended that before its job was over for good."""


@dataclass(frozen=True)
class Dag:
    """A plan, in an order in which its stages can begin, and what befalls a job of it."""

    stages: tuple[Stage, ...]
    cancelled_after: int | None = None
    """The job is cancelled when so many stages have ended; None: never."""
    taken_back: bool = False
    """The cancelling of the job is undone."""

    def __str__(self) -> str:
        said = [str(stage) for stage in self.stages]
        if self.cancelled_after is not None:
            said += [f"cancelled after {self.cancelled_after} stages"]
        said += ["which is taken back"] if self.taken_back else []
        return "\n".join(said)

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


def play(dag: Dag) -> tuple[dict[str, Made], str]:
    """What a job that nobody cancels has made in the end, and its state."""
    made: dict[str, Made] = {}
    too_late = any(stage.final for stage in dag.stages)
    for stage in dag.stages:
        before = [made.get(name) for name in stage.waits_for]
        if stage.final or all(each and not each.holds_back for each in before):
            made[stage.name] = befall(stage, made, too_late)
    ends = {end.state for each in made.values() for end in each.ends}
    if "failed" in ends or any(each.holds_back for each in made.values()):
        return made, "failed"
    return made, "completed" if ends <= {"completed"} else "completed_with_errors"


def befall(stage: Stage, made: dict[str, Made], too_late: bool) -> Made:
    """What becomes of a stage that has begun. `too_late`: a failure of the job is for good."""

    def total(name: str | None, what: str) -> int:
        return sum(getattr(end, what) for end in made[name].ends) if name else 0

    if stage.skipped or total(stage.skipped_if_failed, "failed"):
        return Made((End("completed"),))
    tasks = total(stage.count_of, "completed") if stage.count_of else stage.tasks
    first, *others = sizes(tasks, stage.groups)
    end = first_end(stage, first)
    holds_back = False
    if end.state == "failed":
        mended = stage.mended
        holds_back = mended in (None, GIVE_UP) or (stage.on_failure == "fail_job" and too_late)
        if mended == RETRY:
            end = End("completed", first)
        elif mended == TOLERATE:
            end = End("completed_with_errors", end.completed, end.failed)
    return Made((end, *(End("completed", size) for size in others)), holds_back)


def first_end(stage: Stage, tasks: int) -> End:
    """How the first group of a stage ends before an operator mends anything."""
    ending = tasks if stage.cancelled_after is None else min(stage.cancelled_after, tasks)
    failed = min(stage.failing, ending)
    end = End("completed", ending - failed, failed, tasks - ending)
    if end.cancelled:
        state = "cancelled"
    elif not failed:
        state = "completed"
    else:
        state = "failed" if failed > stage.tolerated else "completed_with_errors"
    return End(state, end.completed, end.failed, end.cancelled)


def sizes(tasks: int, groups: int) -> list[int]:
    """Of the groups into which a function divides its tasks in turn."""
    return [len(range(group, tasks, groups)) for group in range(groups)] if groups else [tasks]
