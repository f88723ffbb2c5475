"""How soon is a small stage on the broker after its commit?

One stage of ten tasks at a time, at random intervals, with one idle bridge: from before its
transaction commits to the record of its accepted send, which is one call of the database later than
the acceptance. The percentiles are those of a round; median and spread those of the rounds.

    python -m benchmarks.latency [--stages 200] [--rounds 3]
"""

from __future__ import annotations

import random
import time
from uuid import UUID

import click

from benchmarks.measure import Measured, over, percentile, program
from benchmarks.place import Place, place

TASKS = 10

#: Seconds between two stages: at any point of the bridge's pauses between two looks.
PAUSES = (0.02, 0.2)


def one_round(here: Place, stages: int) -> list[float]:
    """Milliseconds for each stage."""
    committed: dict[UUID, float] = {}
    for _ in range(stages):
        time.sleep(random.uniform(*PAUSES))
        with here.connection.transaction():
            job_id = here.create(TASKS)
            committed[job_id] = time.time()
        here.wait_until_published()
    return [(here.last_acceptance(job_id) - at) * 1000 for job_id, at in committed.items()]


@program
@click.option("--stages", default=200, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(stages: int, rounds: int) -> Measured:
    """Milliseconds from commit to acceptance."""
    with place() as here, here.bridges():
        here.warm_up()
        one_round(here, stages // 10)
        measured = [one_round(here, stages) for _ in range(rounds)]
    return {
        f"latency_ms_p{percent}": over([percentile(each, percent) for each in measured], "ms")
        for percent in (50, 99)
    }


if __name__ == "__main__":
    main()
