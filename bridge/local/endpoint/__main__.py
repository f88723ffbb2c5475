"""The endpoint as a process: `python -m bridge.local.endpoint --queue tasks --queue jobs`.

When it is ready it prints one line of JSON with `connection_string`, `control_url` and `pid`; it
stops on SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bridge.local.endpoint.config import TIERS, EntityConfig, TopicConfig
from bridge.local.endpoint.control import Control
from bridge.local.endpoint.emulator_config import FileEntities, read_config
from bridge.local.endpoint.server import Endpoint
from bridge.parent import watch_stdin

_PORT = click.IntRange(0, 65_535)


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on, AMQP and HTTP.")
@click.option("--port", type=_PORT, default=0, help="AMQP port; 0 chooses a free one.")
@click.option("--control-port", type=_PORT, default=0, help="HTTP port; 0 chooses a free one.")
@click.option("--queue", "queues", multiple=True, help="A queue; repeatable.")
@click.option("--topic", "topics", multiple=True, help="A topic; repeatable.")
@click.option(
    "--subscription",
    "subscriptions",
    multiple=True,
    metavar="TOPIC/NAME",
    help="A subscription, and its topic; repeatable.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Config.json of Microsoft's emulator; its settings of a queue win, and the options"
    " below are not for what is in it.",
)
@click.option(
    "--ignore-rules",
    is_flag=True,
    help="Take subscriptions with filters from the file, as if they had none.",
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
    "--tier",
    type=click.Choice(list(TIERS)),
    default="standard",
    help="Whose limits a batch has: 262,144 bytes and 4,500 messages, or 1,048,576 and 15,885.",
)
@click.option(
    "--max-batch-bytes", type=click.IntRange(512), help="Bytes of one batch or message instead."
)
@click.option("--max-batch-count", type=click.IntRange(1), help="Messages in one batch instead.")
@click.option(
    "--max-size-bytes",
    type=click.IntRange(1),
    help="Bytes that a queue or a topic holds; no limit if it is not given.",
)
@click.option(
    "--default-ttl",
    type=click.FloatRange(0, min_open=True),
    help="Seconds a message lives at most; for ever if it is not given.",
)
@click.option(
    "--dead-letter-on-expiry",
    is_flag=True,
    help="Keep what has lived so long in the dead-letter queue.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to which a line is appended for every message taken.",
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
    topics: tuple[str, ...],
    subscriptions: tuple[str, ...],
    config_file: Path | None,
    ignore_rules: bool,
    journal: Path | None,
    faults_file: Path | None,
    until_stdin_closes: bool,
    **settings: Any,
) -> None:
    """Run a local Azure Service Bus endpoint until it is told to stop."""
    config = _config(**settings)
    if not (queues or topics or subscriptions or config_file):
        raise click.UsageError(
            "name an entity: --queue NAME, --subscription TOPIC/NAME, or --config FILE"
        )
    if ignore_rules and config_file is None:
        raise click.UsageError(
            "--ignore-rules is about the rules of a file: give --config FILE too, or leave it out"
        )
    try:
        written = FileEntities({}, {}, [])
        if config_file is not None:
            written = read_config(config_file, ignore_rules=ignore_rules)
        for note in written.notes:
            click.echo(note, err=True)
        given = _topics(topics, subscriptions, config)
        for name in given.keys() & written.topics.keys():
            raise click.UsageError(
                f"the topic {name!r} is in {config_file}: give its subscriptions there"
            )
        endpoint = Endpoint(
            {**dict.fromkeys(queues, config), **written.queues},
            topics={**given, **written.topics},
            host=host,
            port=port,
            journal=journal,
        )
        if faults_file is not None:
            endpoint.faults.add_file(faults_file)
        control = Control(endpoint, host=host, port=control_port)
        asyncio.run(_serve(endpoint, control, until_stdin_closes))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _config(
    tier: str, max_batch_bytes: int | None, max_batch_count: int | None, **settings: Any
) -> EntityConfig:
    of_tier = TIERS[tier]
    return replace(
        of_tier,
        max_batch_bytes=max_batch_bytes or of_tier.max_batch_bytes,
        max_batch_count=max_batch_count or of_tier.max_batch_count,
        **settings,
    )


def _topics(
    topics: Iterable[str], subscriptions: Iterable[str], config: EntityConfig
) -> Mapping[str, TopicConfig]:
    found: dict[str, dict[str, EntityConfig]] = {name: {} for name in topics}
    for path in subscriptions:
        topic, _, name = path.rpartition("/")
        if not topic or not name:
            raise click.UsageError(f"--subscription {path!r}: say TOPIC/NAME")
        found.setdefault(topic, {})[name] = config
    return {name: TopicConfig(config, under) for name, under in found.items()}


async def _serve(endpoint: Endpoint, control: Control, until_stdin_closes: bool) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    if until_stdin_closes:
        watch_stdin(loop, told_to_stop.set)
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
