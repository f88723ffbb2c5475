"""Draws plans, and what befalls them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from tests.plans.random_dags.model import GIVE_UP, RETRY, TOLERATE, Dag, Stage

#: Stages of a plan at most.
STAGES = 12


def random_dag(rng: random.Random, most_tasks: int) -> Dag:
    """Up to 12 stages of up to `most_tasks`."""
    names = [f"s{number}" for number in range(rng.randint(1, STAGES))]
    has_final = rng.random() < 0.4
    cancelled_after = rng.randint(0, len(names)) if rng.random() < 0.25 else None
    # What is repeated after it depends on who was faster, so that nothing may fail, or be counted.
    taken_back = cancelled_after is not None and rng.random() < 0.4
    stages: list[Stage] = []
    for place, name in enumerate(names):
        stage = Stage(
            name,
            tuple(rng.sample(names[:place], rng.randint(0, min(place, 3)))),
            rng.choice([0, 1, 2, rng.randint(3, 30), rng.randint(0, most_tasks)]),
            skipped=rng.random() < 0.08,
        )
        if stage.tasks and rng.random() < 0.25:
            stage = replace(stage, groups=rng.randint(1, min(3, stage.tasks)))
        elif stage.waits_for and not taken_back and rng.random() < 0.2:
            stage = replace(stage, count_of=rng.choice(stage.waits_for))
        if stage.waits_for and not taken_back and not stage.skipped and rng.random() < 0.15:
            stage = replace(stage, skipped_if_failed=rng.choice(stage.waits_for))
        if has_final and place == len(names) - 1:
            stage = replace(stage, final=True, waits_for=(), count_of=None, skipped_if_failed=None)
        first = -(-stage.tasks // (stage.groups or 1))
        if first and rng.random() < 0.35:
            stage = _fails(rng, stage, rng.randint(1, first), taken_back)
            if stage.on_failure == "fail_job" and (cancelled_after is not None or stage.final):
                # When the job has ended is no time to mend what was cancelled.
                stage = replace(stage, mended=None)
            elif stage.on_failure == "fail_job" and has_final and stage.mended == TOLERATE:
                # Refused: the job has gone past it.
                stage = replace(stage, mended=RETRY)
        if first and not stage.count_of and not taken_back and rng.random() < 0.1:
            stage = replace(stage, cancelled_after=rng.randint(0, first - 1))
        stages.append(stage)
    return Dag(tuple(stages), cancelled_after, taken_back)


def _fails(rng: random.Random, stage: Stage, failing: int, tolerated: bool) -> Stage:
    if tolerated:
        return replace(stage, failing=failing, tolerated=failing)
    wait = rng.random() < 0.4
    mends = [RETRY, TOLERATE, GIVE_UP] if wait else [RETRY, TOLERATE, None, None]
    return replace(
        stage,
        failing=failing,
        tolerated=rng.choice([0, failing - 1, failing]),
        on_failure="wait" if wait else "fail_job",
        mended=rng.choice(mends),
    )


def smaller(dag: Dag) -> Iterator[Dag]:
    """The same with one stage less, or with one of fewer tasks, or that nobody cancels."""
    for gone in dag.stages if len(dag.stages) > 1 else ():
        yield replace(
            dag,
            stages=tuple(
                replace(
                    stage,
                    waits_for=tuple(name for name in stage.waits_for if name != gone.name),
                    count_of=None if stage.count_of == gone.name else stage.count_of,
                    skipped_if_failed=None
                    if stage.skipped_if_failed == gone.name
                    else stage.skipped_if_failed,
                )
                for stage in dag.stages
                if stage is not gone
            ),
        )
    if dag.cancelled_after is not None:
        yield replace(dag, cancelled_after=None, taken_back=False)
    for place, stage in enumerate(dag.stages):
        few = max(stage.failing, stage.groups, (stage.cancelled_after or 0) + 1, 1)
        if stage.tasks > few:
            fewer = replace(stage, tasks=few)
            yield replace(dag, stages=(*dag.stages[:place], fewer, *dag.stages[place + 1 :]))
