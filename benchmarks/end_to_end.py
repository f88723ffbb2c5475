"""How long does a stage take from the call that creates it to the last acceptance?

From before the call of create_stage_tasks to the record of the last accepted send, with one bridge,
connected and idle, and the local endpoint. And how much memory has the bridge had at most?

    python -m benchmarks.end_to_end [--tasks 100000 --tasks 1000000] [--rounds 3]
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from benchmarks.measure import Measured, over, paired, program, short
from benchmarks.place import Place, clean, max_rss, place


def run(here: Place, tasks: int, memory: list[float]) -> float:
    """Seconds for one stage; adds the memory of its bridge, in MB."""
    clean(here.connection)
    with here.bridges() as (bridge,):
        here.warm_up()
        here.connection.execute("checkpoint")
        began = time.time()
        job_id = here.create(tasks)
        here.wait_until_published()
        memory.append(max_rss(bridge))
        return here.last_acceptance(job_id) - began


@program
@click.option("--tasks", "sizes", multiple=True, default=[100_000, 1_000_000], show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(sizes: tuple[int, ...], rounds: int) -> Measured:
    """Seconds from call to last acceptance, and the bridge's memory."""
    memory: dict[int, list[float]] = {tasks: [] for tasks in sizes}
    with place() as here:

        def part(tasks: int) -> Callable[[], float]:
            return lambda: run(here, tasks, memory[tasks])

        run(here, min(sizes), [])
        times = paired(rounds, {short(tasks): part(tasks) for tasks in sizes}, warm=True)
    measured: Measured = {}
    for tasks in sizes:
        name = short(tasks)
        measured[f"e2e_{name}_s"] = over([each[name] for each in times], "s")
        measured[f"bridge_rss_mb_{name}"] = over(memory[tasks], "MB")
    return measured


if __name__ == "__main__":
    main()
