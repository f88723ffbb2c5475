"""All mutants, in the order of a task's life."""

from __future__ import annotations

from tests.mutants import (
    counters,
    create,
    dispatch,
    observe,
    operate,
    plans,
    publications,
    random_dags,
    retention,
    rights,
    settle,
    turns,
    workers,
)
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *create.MUTANTS,
    *dispatch.MUTANTS,
    *turns.MUTANTS,
    *settle.MUTANTS,
    *publications.MUTANTS,
    *workers.MUTANTS,
    *counters.MUTANTS,
    *operate.MUTANTS,
    *observe.MUTANTS,
    *plans.MUTANTS,
    *random_dags.MUTANTS,
    *retention.MUTANTS,
    *rights.MUTANTS,
)
