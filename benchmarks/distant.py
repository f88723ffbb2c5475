"""How many messages per second does a bridge publish when broker and database are far away?

near     both on this machine, as in benchmarks.relay
distant  20 ms of round trip to the broker, 2 ms to the database: what a region has to the next, and
         a zone to the other

Between them are proxies that delay each direction by half of that and limit nothing else
(benchmarks.delay). They are threads of this process, which else only waits, but they take their
part of the machine. The same stage, in turn, of forty batches, five for each connection of a
bridge: of ten, the last two would be on their way alone for as long as the eight before them.

    python -m benchmarks.distant [--tasks 400000] [--rounds 3]
"""

from __future__ import annotations

import re

import click

from benchmarks.delay import delayed
from benchmarks.measure import Measured, over, paired, program, ratios
from benchmarks.place import Place, place


def distant(here: Place, tasks: int, to_broker: float, to_database: float) -> float:
    """Messages per second through the proxies."""
    near = here.endpoint.connection_string
    match = re.search(r":(\d+)", near)
    port = here.server.port
    assert match is not None
    assert port is not None
    with delayed(int(match[1]), to_broker) as broker, delayed(port, to_database) as server:
        return tasks / here.publishing_time(
            tasks,
            database_url=here.server.tcp_url().replace(f":{port}/", f":{server}/"),
            connection_string=near.replace(match[0], f":{broker}"),
        )


@program
@click.option("--tasks", default=400_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--to-broker", default=20.0, show_default=True, help="Round trip in ms.")
@click.option("--to-database", default=2.0, show_default=True, help="Round trip in ms.")
def main(tasks: int, rounds: int, to_broker: float, to_database: float) -> Measured:
    """Messages per second from a distant database to a distant broker."""
    with place(port=0) as here:
        rates = paired(
            rounds,
            {
                "near": lambda: tasks / here.publishing_time(tasks),
                "distant": lambda: distant(here, tasks, to_broker / 1000, to_database / 1000),
            },
        )
    name = f"rtt{to_broker:g}"
    return {
        f"relay_msgs_per_s_{name}": over([each["distant"] for each in rates], "messages/s"),
        f"relay_ratio_{name}_to_near": ratios(rates, "distant", "near"),
    }


if __name__ == "__main__":
    main()
