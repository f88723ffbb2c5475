"""The endpoint as a process: `python -m bridge.local.endpoint --queue tasks --queue jobs`.

When it is ready it prints one line of JSON with `connection_string`, `control_url` and `pid`; it
stops on SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import click

from bridge.local.endpoint.config import (
    STANDARD_BATCH_BYTES,
    STANDARD_BATCH_COUNT,
    EntityConfig,
    TopicConfig,
)
from bridge.local.endpoint.control import Control
from bridge.local.endpoint.emulator_config import read_config
from bridge.local.endpoint.parent import watch_stdin
from bridge.local.endpoint.server import Endpoint

_PORT = click.IntRange(0, 65_535)


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on, AMQP and HTTP.")
@click.option("--port", type=_PORT, default=0, help="AMQP port; 0 chooses a free one.")
@click.option("--control-port", type=_PORT, default=0, help="HTTP port; 0 chooses a free one.")
@click.option("--queue", "queues", multiple=True, help="A queue; repeatable.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Config.json of Microsoft's emulator; its settings of a queue win.",
)
@click.option(
    "--lock-duration",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    help="Seconds a message stays locked.",
)
@click.option(
    "--max-delivery-count",
    type=click.IntRange(1),
    default=10,
    help="Failed deliveries before a message is dead-lettered.",
)
@click.option(
    "--duplicate-window",
    type=click.FloatRange(0),
    default=600.0,
    help="Seconds a message id is remembered; 0 turns duplicate detection off.",
)
@click.option(
    "--max-batch-bytes",
    type=click.IntRange(512),
    default=STANDARD_BATCH_BYTES,
    help="Bytes of one batch or message.",
)
@click.option(
    "--max-batch-count",
    type=click.IntRange(1),
    default=STANDARD_BATCH_COUNT,
    help="Messages in one batch.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to which a line is appended for every stored message.",
)
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file with a list of faults to begin with, see docs/local-endpoint.md.",
)
@click.option(
    "--until-stdin-closes",
    is_flag=True,
    help="Also stop at the end of standard input: when who started it is gone.",
)
def main(
    host: str,
    port: int,
    control_port: int,
    queues: tuple[str, ...],
    config_file: Path | None,
    lock_duration: float,
    max_delivery_count: int,
    duplicate_window: float,
    max_batch_bytes: int,
    max_batch_count: int,
    journal: Path | None,
    faults_file: Path | None,
    until_stdin_closes: bool,
) -> None:
    """Run a local Azure Service Bus endpoint until it is told to stop."""
    config = EntityConfig(
        lock_duration=lock_duration,
        max_delivery_count=max_delivery_count,
        duplicate_window=duplicate_window,
        max_batch_bytes=max_batch_bytes,
        max_batch_count=max_batch_count,
    )
    if not queues and config_file is None:
        raise click.UsageError("name an entity: --queue NAME, or --config FILE")
    try:
        written, topics = ({}, {}) if config_file is None else read_config(config_file)
        asyncio.run(
            _serve(
                host,
                port,
                control_port,
                {**dict.fromkeys(queues, config), **written},
                topics,
                journal,
                faults_file,
                until_stdin_closes,
            )
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


async def _serve(
    host: str,
    port: int,
    control_port: int,
    queues: Mapping[str, EntityConfig],
    topics: Mapping[str, TopicConfig],
    journal: Path | None,
    faults_file: Path | None,
    until_stdin_closes: bool,
) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    if until_stdin_closes:
        watch_stdin(loop, told_to_stop.set)
    endpoint = Endpoint(queues, topics=topics, host=host, port=port, journal=journal)
    if faults_file is not None:
        endpoint.faults.add_file(faults_file)
    control = Control(endpoint, host=host, port=control_port)
    try:
        await endpoint.start()
        await control.start()
        ready = {
            "connection_string": endpoint.connection_string,
            "control_url": control.url,
            "pid": os.getpid(),
        }
        click.echo(json.dumps(ready))
        await told_to_stop.wait()
    finally:
        await control.stop()
        await endpoint.stop()


if __name__ == "__main__":
    main()
