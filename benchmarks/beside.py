"""How long does a small job wait beside a large one?

One transaction makes both, the large one first; then, while the large one is published, another
small one is made every half second. From the commit of each small one to the record of its last
accepted send. One bridge, connected and idle before, and the local endpoint.

    python -m benchmarks.beside [--large 1000000] [--small 100] [--rounds 3]
"""

from __future__ import annotations

import time
from uuid import UUID

import click

from benchmarks.measure import Measured, over, program, short
from benchmarks.place import Place, clean, place

_WAITS = "select exists (select from stagebus_data.batches where job_id = %s and state <> 'queued')"


def run(here: Place, large: int, small: int) -> tuple[float, list[float], float]:
    """Seconds of the small job made with the large one, of those after it, and of the large one."""
    clean(here.connection)
    with here.bridges():
        here.warm_up()
        here.connection.execute("checkpoint")
        began = time.time()
        with here.connection.transaction():
            large_id, first = here.create(large), here.create(small)
        made: list[tuple[UUID, float]] = [(first, time.time())]
        while here.connection.execute(_WAITS, (large_id,)).fetchone() == (True,):
            time.sleep(0.5)
            made.append((here.create(small), time.time()))
        here.wait_until_published()
        end = here.last_acceptance(large_id)
        waits = [here.last_acceptance(job_id) - at for job_id, at in made if at < end]
        return waits[0], waits[1:], end - began


@program
@click.option("--large", default=1_000_000, show_default=True)
@click.option("--small", default=100, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(large: int, small: int, rounds: int) -> Measured:
    """Seconds that small jobs wait while a large one is published."""
    with place() as here:
        rows = [run(here, large, small) for _ in range(rounds)]
    later = [max(waits) for _, waits, _ in rows if waits]
    name = f"{short(small)}_beside_{short(large)}"
    measured: Measured = {f"{name}_s": over([first for first, _, _ in rows], "s")}
    if later:
        measured[f"{name}_later_max_s"] = over(later, "s")
    measured[f"{short(large)}_with_small_ones_s"] = over([end for _, _, end in rows], "s")
    return measured


if __name__ == "__main__":
    main()
