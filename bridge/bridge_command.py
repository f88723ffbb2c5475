"""The command that publishes: `stagebus bridge`, a flag for each setting, and its signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from bridge import failpoints, logs
from bridge.options import database_url_option
from bridge.parent import watch_stdin
from bridge.processes import UNTIL_STDIN_CLOSES, Processes
from bridge.relay import Relay
from bridge.settings import Settings

#: Bridges of one command at most; each has connections of its own to both servers.
MOST_PROCESSES = 64

DEFAULTS = {field.name: field.default for field in fields(Settings)}


def _setting(
    name: str, metavar: str, text: str, kind: type[float] | type[int] = float
) -> Callable[[Any], Any]:
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        envvar=f"STAGEBUS_{name.upper()}",
        type=kind,
        default=DEFAULTS[name],
        metavar=metavar,
        help=text,
    )


@click.command()
@database_url_option
@click.option(
    "--servicebus-connection-string",
    envvar="STAGEBUS_SERVICEBUS_CONNECTION_STRING",
    metavar="TEXT",
    help="Service Bus, with a shared access key. It is a secret: prefer the environment.",
)
@click.option(
    "--servicebus-namespace",
    envvar="STAGEBUS_SERVICEBUS_NAMESPACE",
    metavar="HOST",
    help="Service Bus with Entra ID: NAME.servicebus.windows.net. The identity needs the role"
    " 'Azure Service Bus Data Sender', and for dead letters 'Azure Service Bus Data Receiver'.",
)
@click.option(
    "--processes",
    envvar="STAGEBUS_PROCESSES",
    type=click.IntRange(1, MOST_PROCESSES),
    default=1,
    metavar="N",
    help="Bridges to run, each a process with connections of its own: where one core is the limit.",
)
@_setting("connections", "N", "Connections to the broker: batches in flight at a time.", int)
@_setting(
    "lease",
    "SECONDS",
    "How long a claimed batch is ours without a sign of life;"
    " less than half of each destination's duplicate_window.",
)
@_setting("send_deadline", "SECONDS", "After this a send without an answer is dropped.")
@_setting("poll", "SECONDS", "The longest wait between two looks for work.")
@_setting("publish_attempts", "N", "Failed attempts until a batch waits for an operator.", int)
@_setting("max_send_messages", "N", "Messages in one send at most.", int)
@click.option(
    "--dead-letters/--no-dead-letters",
    envvar="STAGEBUS_DEAD_LETTERS",
    default=True,
    show_default=True,
    help="Bring dead letters into the database. That takes the right to receive ('Listen', the role"
    " 'Azure Service Bus Data Receiver'); without it nothing is read, and one line says so.",
)
@click.option(
    "--allow-fsync-off",
    envvar="STAGEBUS_ALLOW_FSYNC_OFF",
    is_flag=True,
    help="Work with a PostgreSQL server that has fsync = off. It is refused otherwise: when its"
    " machine crashes, tasks are lost.",
)
@click.option(
    "--log-level",
    envvar="STAGEBUS_LOG_LEVEL",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="What to log, as JSON lines on stderr.",
)
@click.option(UNTIL_STDIN_CLOSES, is_flag=True, hidden=True)
def bridge(log_level: str, processes: int, until_stdin_closes: bool, **settings: Any) -> None:
    """Publish ready batches until stopped. Any number of bridges may run side by side.

    It waits for a database or a broker that is away. SIGTERM or Ctrl-C drains: what is in flight
    is finished and recorded, the rest given back, and it exits with 0, within 10 seconds even if
    the broker does not answer; a second one exits at once. Of several processes none is started
    again: when one ends, the others drain, and it exits with 1 if one has failed.
    """
    logs.configure(log_level)
    failpoints.switch_on(os.environ.get(failpoints.VARIABLE))
    given = Settings(**settings)
    if processes == 1:
        asyncio.run(_run_bridge(given, until_stdin_closes))
    elif not asyncio.run(_run_processes(given, processes, log_level)):
        sys.exit(1)


@click.command("failpoints")
def list_failpoints() -> None:
    """List where a bridge can be made to fail, for tests, and how.

    A bridge is told by STAGEBUS_FAILPOINTS='POINT=ACTION[@N]; ...': at the Nth passing of the
    point, the first if N is not given, or at @every.
    """
    width = max(map(len, failpoints.POINTS))
    for title, lines in (("points", failpoints.POINTS), ("actions", failpoints.ACTIONS)):
        click.echo(f"{title}:")
        for name, text in lines.items():
            click.echo(f"  {name:{width}}  {text}")


async def _run_bridge(settings: Settings, until_stdin_closes: bool) -> None:
    relay = Relay(settings)
    # At once: nothing is waited for, neither a broker nor a database that hangs. The leases bring
    # back what was in flight.
    _obey_signals(relay.stop, at_once=lambda: os._exit(1))
    if until_stdin_closes:
        watch_stdin(asyncio.get_running_loop(), relay.stop)
    await relay.run()


async def _run_processes(settings: Settings, count: int, log_level: str) -> bool:
    processes = Processes(settings, count, log_level)
    _obey_signals(processes.stop, at_once=processes.kill)
    return await processes.run()


def _obey_signals(stop: Callable[[], None], at_once: Callable[[], None]) -> None:
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            stop()
        else:
            at_once()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
