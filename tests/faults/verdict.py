"""The verdict on a run, in the manner of Jepsen's total-queue: what went in against what came out.

Everything is decided by the ledgers; the database is asked only how the transactions ended whose
producer never learned it, what its own ledger says of repeats, and whether its numbers agree.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from statistics import quantiles
from typing import Any

from tests.faults.evidence import Evidence, StageKey, Taken, Unknown, task_ids
from tests.faults.kinds import measure

#: How many examples of each error a verdict names.
EXAMPLES = 5


@dataclass(frozen=True)
class Happened:
    """A fault that was scheduled, when it was set, and what was seen of it."""

    number: int
    kind: str
    at: float
    effect: str | None
    """None when nothing was seen of it."""
    error: str = ""


@dataclass
class Verdict:
    """The figures of a run; `good` when every promise was kept and every fault was felt."""

    attempted: int = 0
    """Tasks that producers and the controller created, whether or not they committed them."""
    committed: int = 0
    """Tasks whose transaction was committed, as its producer or, at need, the database says."""
    unanswered: int = 0
    """Of those, tasks whose producer never learned it."""
    faults: int = 0
    faults_by_kind: Mapping[str, int] = field(default_factory=dict)
    faults_without_effect: int = 0
    lost: int = 0
    """Committed tasks that no worker did, or of which the database does not say so."""
    unpublished: int = 0
    """Committed tasks that the broker never stored."""
    phantom: int = 0
    """Tasks that the broker stored, a worker did or the database has, and nobody committed."""
    duplicates: int = 0
    """Messages stored of an attempt at a task of which one was stored before."""
    repeats_dropped: int = 0
    """Messages that the broker's duplicate detection dropped."""
    duplicates_unattributed: int = 0
    """Of both, those that no `unknown` row of the ledger explains."""
    results_unexplained: int = 0
    """Results in the database that no execution had made."""
    repeated_work: int = 0
    """Executions beyond the first of a task: workers died, slept, or failed by chance."""
    stages: int = 0
    stage_advance_errors: int = 0
    """Stages that did not end, ended twice, before their tasks, or with counters that are wrong."""
    orphan_leases: int = 0
    """Batches still under a lease after every bridge had stopped."""
    deadlocks: int = 0
    processes_died: int = 0
    """Processes that ended without being told, or not with 0 when they were."""
    retried_by_operator: int = 0
    """Batches that waited for an operator when the run was over, and were retried."""
    recovery_seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By kind, p50 and p99: from the fault until a task was published again, or, for what befalls
    workers, begun again; whatever else went wrong meanwhile."""
    drain_seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Over all kinds, p50 and p99: from a fault until everything that had been committed before it
    was published, or begun; with so many faults that is mostly the others."""
    sends: Mapping[str, int] = field(default_factory=dict)
    """By outcome."""
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of what should not be."""

    @property
    def good(self) -> bool:
        return not (
            self.lost
            or self.unpublished
            or self.phantom
            or self.duplicates
            or self.duplicates_unattributed
            or self.results_unexplained
            or self.stage_advance_errors
            or self.orphan_leases
            or self.deadlocks
            or self.processes_died
            or self.faults_without_effect
        )

    def as_json(self) -> dict[str, Any]:
        return {"good": self.good, **asdict(self)}


def judge(evidence: Evidence, happened: Sequence[Happened] = ()) -> Verdict:
    """Counts everything anew."""
    database = evidence.database
    committed, unanswered = _committed(evidence)
    expected = {task for key, tasks in committed.items() for task in task_ids(key, tasks)}
    stored = [each for each in evidence.taken if each.stored]
    first_stored: dict[str, float] = {}
    for each in stored:
        if each.entity == "tasks":
            first_stored.setdefault(each.message_id.split(".")[0], each.at)

    errors: dict[str, list[str]] = defaultdict(list)
    for task_id in sorted(expected):
        status, result = database.tasks.get(task_id, ("missing", None))
        if status != "completed" or task_id not in evidence.executions:
            errors["lost"].append(f"{task_id} {status}")
        elif result not in evidence.executions[task_id]:
            errors["results_unexplained"].append(f"{task_id} {result}")
        if task_id not in first_stored:
            errors["unpublished"].append(task_id)
    for there in (first_stored, evidence.executions, database.tasks):
        errors["phantom"] += sorted(set(there) - expected)
    errors["duplicates"] = _stored_twice(stored)
    dropped = [each for each in evidence.taken if not each.stored]
    errors["duplicates_unattributed"] = _unattributed(dropped, database.unknown)
    errors["stage_advance_errors"] = _stage_errors(evidence, committed)

    return Verdict(
        attempted=sum(
            tasks for each in evidence.transactions.values() for tasks in each.stages.values()
        ),
        committed=len(expected),
        unanswered=unanswered,
        faults=sum(each.effect is not None for each in happened),
        faults_by_kind=dict(
            sorted(Counter(each.kind for each in happened if each.effect is not None).items())
        ),
        faults_without_effect=sum(each.effect is None for each in happened),
        lost=len(errors["lost"]),
        unpublished=len(errors["unpublished"]),
        phantom=len(errors["phantom"]),
        duplicates=len(errors["duplicates"]),
        repeats_dropped=len(dropped),
        duplicates_unattributed=len(errors["duplicates_unattributed"]),
        results_unexplained=len(errors["results_unexplained"]),
        repeated_work=sum(len(each) - 1 for each in evidence.executions.values()),
        stages=len(committed),
        stage_advance_errors=len(errors["stage_advance_errors"]),
        orphan_leases=database.leases,
        deadlocks=evidence.deadlocks,
        recovery_seconds=_recovery(evidence, first_stored, happened),
        drain_seconds=_drain(evidence, first_stored, happened),
        sends=database.sends,
        examples={kind: some[:EXAMPLES] for kind, some in errors.items() if some},
    )


def _committed(evidence: Evidence) -> tuple[dict[StageKey, int], int]:
    """The committed stages with their tasks, and how many tasks only the database knew of."""
    committed: dict[StageKey, int] = {}
    open_ends: dict[StageKey, int] = {}
    for transaction in evidence.transactions.values():
        if transaction.outcome == "commit":
            committed |= transaction.stages
        elif transaction.outcome == "unknown":
            open_ends |= transaction.stages
    found = {
        key: tasks
        for key, tasks in open_ends.items()
        if key not in committed and key in evidence.database.stages
    }
    return committed | found, sum(found.values())


def _stored_twice(stored: Iterable[Taken]) -> list[str]:
    """A task's attempt or a job's message is stored once, whatever its dispatch."""
    seen: set[tuple[str, ...]] = set()
    twice = []
    for each in stored:
        identity, second, *_ = each.message_id.split(".")
        # A task's: task, attempt, dispatch, nonce. A job's: batch, dispatch, nonce.
        key = (each.entity, identity, second) if each.entity == "tasks" else (identity,)
        if key in seen:
            twice.append(each.message_id)
        seen.add(key)
    return twice


def _unattributed(dropped: Iterable[Taken], unknown: Iterable[Unknown]) -> list[str]:
    """Repeats outside every range of which the ledger says that it may have arrived before."""
    by_stage: dict[tuple[str, int, int], list[Unknown]] = defaultdict(list)
    by_batch: set[tuple[str, int]] = set()
    for row in unknown:
        by_stage[row.job_id, row.stage, row.dispatch].append(row)
        by_batch.add((row.batch_id, row.dispatch))
    left = []
    for each in dropped:
        identity, *rest = each.message_id.split(".")
        if each.entity == "tasks":
            job_id, stage, index = identity.rsplit("-", 2)
            rows = by_stage[job_id, int(stage.removeprefix("s")), int(rest[1])]
            known = any(row.first_index <= int(index) <= row.last_index for row in rows)
        else:
            known = (identity, int(rest[0])) in by_batch
        if not known:
            left.append(each.message_id)
    return left


def _stage_errors(evidence: Evidence, committed: Mapping[StageKey, int]) -> list[str]:
    """Each committed stage completes, is announced once, and not before the last of its tasks."""
    database = evidence.database
    announced: dict[StageKey, set[str]] = defaultdict(set)
    ended_at: dict[StageKey, float] = {}
    errors = []
    for each in evidence.announcements:
        key = (each.job_id, each.stage)
        announced[key].add(each.message_id)
        ended_at[key] = min(each.at, ended_at.get(key, each.at))
        if each.open_tasks or each.status != "completed":
            errors.append(f"{key}: announced as {each.status} with {each.open_tasks} open tasks")
    for key, tasks in committed.items():
        if (status := database.stages.get(key, "missing")) != "completed":
            errors.append(f"{key}: {status}")
        if len(announced[key]) != 1:
            errors.append(f"{key}: {len(announced[key])} messages say that it ended")
        early = ended_at.get(key)
        for task_id in task_ids(key, tasks):
            begun = evidence.executions.get(task_id)
            if early is not None and begun and min(begun.values()) > early:
                errors.append(f"{key}: ended before {task_id} was done")
    for job_id in {job_id for job_id, _ in committed}:
        if (status := database.jobs.get(job_id, "missing")) != "completed":
            errors.append(f"{job_id}: the job is {status}")
        if len(announced[job_id, 0]) != 1:
            errors.append(f"{job_id}: {len(announced[job_id, 0])} messages say that the job ended")
    return errors + [f"{database.miscounted} counters are wrong"] * bool(database.miscounted)


def _recovery(
    evidence: Evidence, first_stored: Mapping[str, float], happened: Iterable[Happened]
) -> dict[str, dict[str, float]]:
    """By kind: the seconds until a task was published, or begun, after the fault."""
    begun = (at for each in evidence.executions.values() for at in each.values())
    progress = {"published": sorted(first_stored.values()), "worked": sorted(begun)}
    seconds: dict[str, list[float]] = defaultdict(list)
    for fault in happened:
        times = progress[measure(fault.kind)]
        if (after := bisect_right(times, fault.at)) < len(times):
            seconds[fault.kind].append(times[after] - fault.at)
    return {kind: _percentiles(some) for kind, some in sorted(seconds.items())}


def _drain(
    evidence: Evidence, first_stored: Mapping[str, float], happened: Iterable[Happened]
) -> dict[str, dict[str, float]]:
    """The seconds until all that was committed before a fault was published, or begun."""
    first_begun = {task_id: min(each.values()) for task_id, each in evidence.executions.items()}
    found = {}
    for name, at in (("published", first_stored), ("worked", first_begun)):
        times, until = _until(evidence, at)
        before = ((bisect_left(times, fault.at), fault.at) for fault in happened)
        found[name] = _percentiles(
            [max(0.0, until[n - 1] - moment) if n else 0.0 for n, moment in before]
        )
    return found


def _until(evidence: Evidence, at: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """When transactions were committed, in order; when the tasks of all up to each were `at`."""
    ends = sorted(
        (
            each.at,
            max(
                (at.get(task, 0.0) for key, n in each.stages.items() for task in task_ids(key, n)),
                default=0.0,
            ),
        )
        for each in evidence.transactions.values()
        if each.at is not None
    )
    return [committed for committed, _ in ends], list(accumulate((end for _, end in ends), max))


def _percentiles(some: Sequence[float]) -> dict[str, float]:
    if not some:
        return {}
    cuts = quantiles(some if len(some) > 1 else [*some] * 2, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}
