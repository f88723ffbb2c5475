"""The commands that need no server of yours: `stagebus local` and `stagebus demo`.

They alone import bridge.local, and only when they run: where just the service is installed, the
extra 'local' may be missing.
"""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import click


def _end(*_: object) -> None:
    """Ends the process as Ctrl-C does, so that what was started is stopped."""
    raise KeyboardInterrupt


def _wait_for_a_signal() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


@click.command()
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


@click.command()
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
    "--retries",
    is_flag=True,
    help="One attempt in ten fails, workers are killed (SIGKILL), an operator retries.",
)
@click.option(
    "--build",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    help="The folder for demo.json, logs and ledgers.",
)
def demo(min_population: str, kill_bridge: bool, retries: bool, build: Path) -> None:
    """The main job end to end, on this machine and on real data.

    Exits with 1 when anything was lost, done twice, or the result is wrong.
    """
    from rich.console import Console

    from bridge.local.demo.places import load_places
    from bridge.local.demo.run import run_demo
    from bridge.local.demo.screen import Screen, show

    signal.signal(signal.SIGTERM, _end)
    console = Console()
    places = load_places(int(min_population))
    with Screen(console) as screen:
        report, totals = run_demo(
            places, build, screen.look, kill_bridge=kill_bridge, retries=retries
        )
    show(console, report, totals)
    console.print(f"figures: {build / 'demo.json'}")
    if not report.good:
        raise click.ClickException("the demo's figures are not as they must be")
