"""The command `stagebus`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import psycopg

from bridge import logs
from bridge.console_commands import status, wait
from bridge.errors import StagebusError
from bridge.migrate_commands import migrate, uninstall
from bridge.options import database_url_option
from bridge.relay import Relay
from bridge.settings import Settings

DEFAULTS = {field.name: field.default for field in fields(Settings)}


class Commands(click.Group):
    """Reports an error of ours, or of the database, in one line and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StagebusError as error:
            raise click.ClickException(str(error)) from error
        except psycopg.Error as error:
            text = " ".join(str(error).split())
            hint = f" Hint: {error.diag.message_hint}" if error.diag.message_hint else ""
            raise click.ClickException(f"the database says: {text}{hint}") from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="stagebus", prog_name="stagebus")
def main() -> None:
    """Fan a stage of work out with one SQL call, and publish it to Azure Service Bus.

    Every option can be given in the environment: --database-url as STAGEBUS_DATABASE_URL, and so
    on.
    """


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


@main.command()
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
    " 'Azure Service Bus Data Sender'.",
)
@_setting("connections", "N", "Connections to the broker: batches in flight at a time.", int)
@_setting("lease", "SECONDS", "How long a claimed batch is ours without a sign of life.")
@_setting("send_deadline", "SECONDS", "After this a send without an answer is dropped.")
@_setting("poll", "SECONDS", "The longest wait between two looks for work.")
@_setting("publish_attempts", "N", "Failed attempts until a batch waits for an operator.", int)
@_setting("max_send_messages", "N", "Messages in one send at most.", int)
@click.option(
    "--log-level",
    envvar="STAGEBUS_LOG_LEVEL",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    help="What to log, as JSON lines on stderr.",
)
def bridge(log_level: str, **settings: Any) -> None:
    """Publish ready batches until stopped. Any number of bridges may run side by side.

    It waits for a database or a broker that is away. SIGTERM or Ctrl-C drains: what is in flight
    is finished and recorded, the rest given back, and it exits with 0; a second one exits at once.
    """
    logs.configure(log_level)
    asyncio.run(_run_bridge(Settings(**settings)))


async def _run_bridge(settings: Settings) -> None:
    relay = Relay(settings)
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            relay.stop()
        else:
            # At once: nothing is waited for, neither a broker nor a database that hangs. The
            # leases bring back what was in flight.
            os._exit(1)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await relay.run()


def _end(*_: object) -> None:
    """Ends the process as Ctrl-C does, so that what was started is stopped."""
    raise KeyboardInterrupt


def _wait_for_a_signal() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


@main.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".local"),
    help="Where the database lives. It stays; remove the folder to begin anew.",
)
@click.option(
    "--postgres-port", type=click.IntRange(0, 65535), help="Also listen on 127.0.0.1; 0: any port."
)
@click.option("--postgres-version", type=click.Choice(["18", "16"]), default="18")
@click.option(
    "--servicebus-port", type=click.IntRange(0, 65535), default=0, help="AMQP; 0: any port."
)
@click.option(
    "--control-port", type=click.IntRange(0, 65535), default=0, help="HTTP counts; 0: any port."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Config.json of Microsoft's emulator: entities beside the queues tasks and jobs.",
)
@click.option(
    "--ignore-rules",
    is_flag=True,
    help="Take subscriptions with filters from that file, as if they had none.",
)
@click.option(
    "--faults",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="JSON file of scripted faults the Service Bus endpoint begins with.",
)
def local(
    folder: Path,
    postgres_port: int | None,
    postgres_version: str,
    servicebus_port: int,
    control_port: int,
    config: Path | None,
    ignore_rules: bool,
    faults: Path | None,
) -> None:
    """Run PostgreSQL and a Service Bus endpoint on this machine, until Ctrl-C.

    Prints what to export; then `stagebus bridge` and psql work as they would with the real ones.
    The messages of the endpoint are in memory only.
    """
    # The extra 'local' may not be installed where only the service runs.
    from bridge.local.endpoint.emulator_config import BadConfig, read_config
    from bridge.local.endpoint.faults.reading import FaultError, read_file
    from bridge.local.endpoint.process import NotReady
    from bridge.local.postgres import server_binaries
    from bridge.local.stack import local_stack

    if ignore_rules and config is None:
        raise click.UsageError(
            "--ignore-rules is about the rules of a file: give --config FILE too, or leave it out"
        )
    signal.signal(signal.SIGTERM, _end)
    try:
        if faults is not None:
            read_file(faults)
        notes = [] if config is None else read_config(config, ignore_rules=ignore_rules).notes
    except (FaultError, BadConfig) as error:
        raise click.ClickException(str(error)) from error
    for note in notes:
        click.echo(note, err=True)
    servers = local_stack(
        folder,
        version=int(postgres_version),
        port=postgres_port,
        servicebus_port=servicebus_port,
        control_port=control_port,
        faults=faults,
        config=config,
        ignore_rules=ignore_rules,
    )
    with contextlib.ExitStack() as running:
        try:
            stack = running.enter_context(servers)
        except NotReady as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"export STAGEBUS_DATABASE_URL='{stack.database_url}'")
        click.echo(f"export STAGEBUS_SERVICEBUS_CONNECTION_STRING='{stack.connection_string}'")
        click.echo(f"# psql:   {server_binaries(int(postgres_version)) / 'psql'}")
        click.echo(f"# counts: {stack.endpoint.control_url}/counts")
        click.echo(f"# faults: {stack.endpoint.control_url}/faults")
        click.echo("# running until Ctrl-C")
        _wait_for_a_signal()


@main.command()
@click.option(
    "--min-population",
    type=click.Choice(["500", "1000", "5000", "15000"]),
    default="15000",
    help="Which extract of GeoNames: 15000 has 34,006 places, 500 has 234,908.",
)
@click.option(
    "--kill-bridge",
    is_flag=True,
    help="Kill the bridge (SIGKILL) in the middle and start another: nothing is lost.",
)
@click.option(
    "--build",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    help="The folder for demo.json, logs and ledgers.",
)
def demo(min_population: str, kill_bridge: bool, build: Path) -> None:
    """The main job end to end, on this machine and on real data.

    Exits with 1 when anything was lost, done twice, or the result is wrong.
    """
    # The extra 'local' may not be installed where only the service runs.
    from rich.console import Console

    from bridge.local.demo.places import load_places
    from bridge.local.demo.run import run_demo
    from bridge.local.demo.screen import Screen, show

    signal.signal(signal.SIGTERM, _end)
    console = Console()
    places = load_places(int(min_population))
    with Screen(console) as screen:
        report, totals = run_demo(places, build, screen.look, kill_bridge=kill_bridge)
    show(console, report, totals)
    console.print(f"figures: {build / 'demo.json'}")
    if not report.good:
        raise click.ClickException("the demo's figures are not as they must be")


main.add_command(migrate)
main.add_command(uninstall)
main.add_command(status)
main.add_command(wait)

if __name__ == "__main__":
    main()
