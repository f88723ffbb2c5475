"""The command `stagebus`: its subcommands, and how an error is told."""

from __future__ import annotations

from typing import Any

import click
import psycopg

from bridge.archive_command import archive
from bridge.bridge_command import bridge, list_failpoints
from bridge.console_commands import doctor, status, wait, why
from bridge.errors import StagebusError
from bridge.local_commands import demo, local
from bridge.migrate_commands import migrate, uninstall
from bridge.publish_command import publish
from bridge.reconcile_command import reconcile


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


COMMANDS = (
    migrate, bridge, publish, status, wait, why, doctor, reconcile, archive, uninstall,
    list_failpoints, local, demo,
)  # fmt: skip

for command in COMMANDS:
    main.add_command(command)
