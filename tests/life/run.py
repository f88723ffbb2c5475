"""Runs of the machine: the same ones each time, or those of a seed."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.client import Client
from tests.life.machine import Life, define_types

#: Steps of a run: after them everything is drained.
STEPS = 80


def run_machine(client: Client, runs: int, with_seed: int | None = None) -> None:
    """A failure prints the calls that lead to it, as few as can be."""
    define_types(client)
    Life.client = client
    factory = Life if with_seed is None else seed(with_seed)(type("Life", (Life,), {}))
    run_state_machine_as_test(
        factory,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            derandomize=with_seed is None,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            print_blob=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
