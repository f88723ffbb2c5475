"""The command `stagebus`: its subcommands, and how an error is told."""

from __future__ import annotations

from typing import Any

import click
import psycopg

from bridge.archive_command import archive
from bridge.bridge_command import bridge, list_failpoints
from bridge.console_commands import doctor, status, wait, why
from bridge.control_commands import pause, priority, rate_limit, resume
from bridge.errors import StagebusError
from bridge.local_commands import demo, local
from bridge.migrate_commands import migrate, uninstall
from bridge.printing import one_line
from bridge.psql_command import psql
from bridge.publish_command import publish
from bridge.reconcile_command import reconcile
from bridge.steer_commands import (
    cancel,
    hold,
    orders,
    redrive,
    retry,
    retry_batch,
    undo,
    unhold,
)
from bridge.watch_command import watch


class Commands(click.Group):
    """Reports an error of ours, or of the database, in one line and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StagebusError as error:
            raise click.ClickException(one_line(str(error))) from error
        except psycopg.Error as error:
            hint = f" Hint: {error.diag.message_hint}" if error.diag.message_hint else ""
            text = one_line(f"the database says: {error}{hint}")
            raise click.ClickException(text) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By what they are for, instead of by name."""
        room = formatter.width - 6 - max(map(len, self.commands))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(str(each.name), each.get_short_help_str(room)) for each in section]
                )


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


SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Look": (status, watch, wait, why, doctor, orders, reconcile, archive, psql),
    "Steer": (
        cancel, retry, redrive, hold, unhold, retry_batch, undo,
        pause, resume, rate_limit, priority,
    ),
    "Run": (migrate, bridge, publish, uninstall),
    "Try out": (local, demo, list_failpoints),
}  # fmt: skip

for section in SECTIONS.values():
    for command in section:
        main.add_command(command)
