"""How many small stages per second are created and published?

One producer, one connection, creates jobs with a stage of ten tasks, each in a transaction of its
own, one after the other; one bridge publishes them meanwhile. From before the first call to the
last acceptance.

    python -m benchmarks.small_stages [--stages 1000] [--rounds 3]
"""

from __future__ import annotations

import time

import click

from benchmarks.measure import Measured, over, program
from benchmarks.place import Place, place

TASKS = 10


def one_round(here: Place, stages: int) -> dict[str, float]:
    here.connection.execute("checkpoint")
    began = time.time()
    jobs = [here.create(TASKS) for _ in range(stages)]
    created = time.time()
    here.wait_until_published()
    return {
        "created": stages / (created - began),
        "published": stages / (max(map(here.last_acceptance, jobs)) - began),
    }


@program
@click.option("--stages", default=1000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(stages: int, rounds: int) -> Measured:
    """Stages per second, from call to acceptance."""
    with place() as here, here.bridges():
        here.warm_up()
        one_round(here, stages // 10)
        rates = [one_round(here, stages) for _ in range(rounds)]
    return {
        "small_stages_per_s": over([each["published"] for each in rates], "stages/s"),
        "small_stages_created_per_s": over([each["created"] for each in rates], "stages/s"),
    }


if __name__ == "__main__":
    main()
