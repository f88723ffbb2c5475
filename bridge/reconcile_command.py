"""The command `stagebus reconcile`: what the database says is on a queue, beside the queue."""

from __future__ import annotations

import asyncio
import json

import click

from bridge import console
from bridge.options import database_url_option
from bridge.reconcile import peek
from bridge.settings import Settings

#: What it exits with when messages are lost; 1 is any error, 2 a wrong call.
LOST = 3


@click.command()
@click.argument("destination")
@click.option(
    "--at-most",
    type=click.IntRange(1),
    default=200_000,
    metavar="N",
    help="Messages to look at. With more on the queue nothing is said to be lost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
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
    help="Service Bus with Entra ID: NAME.servicebus.windows.net.",
)
def reconcile(
    destination: str,
    at_most: int,
    as_json: bool,
    database_url: str,
    servicebus_connection_string: str | None,
    servicebus_namespace: str | None,
) -> None:
    """Compare the messages of a queue with what the database says is there.

    Peeks at the queue of DESTINATION and its dead-letter queue, which locks and changes nothing,
    and prints each difference, with the statement that mends it. Needs the role
    stagebus_operator, and the right to receive ('Listen', 'Azure Service Bus Data Receiver').

    \b
    Exit codes: 0 nothing is lost
                1 an error, such as a queue that does not exist
                2 a wrong call
                3 messages are lost
    """
    settings = Settings(
        database_url=database_url,
        servicebus_connection_string=servicebus_connection_string,
        servicebus_namespace=servicebus_namespace,
    )
    queue, began_at = console.queue_of(database_url, destination)
    peeked = asyncio.run(peek(settings, queue, at_most))
    rows = console.reconcile(database_url, destination, peeked, began_at)
    if as_json:
        click.echo(json.dumps(rows, default=str))
    else:
        for row in rows:
            where = "" if row["job_id"] is None else f", job {row['job_id']} stage {row['stage']}"
            click.echo(
                f"{row['difference']}: {row['messages']} messages{where}, such as"
                f" {row['example']!r}\n    {row['fix']}"
            )
    if not peeked.whole:
        click.echo(
            f"there are more than {at_most} messages: what is lost cannot be told; --at-most",
            err=True,
        )
    raise SystemExit(LOST if any(row["difference"] == "lost" for row in rows) else 0)
