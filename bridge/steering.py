"""How the command line gives an order: shows what it will do, asks, gives it, waits for its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import click
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from bridge.client import Call, Order, call
from bridge.errors import DatabaseUnavailable, NotFound
from bridge.printing import one_line, print_json

#: What the functions that give orders return.
Orders = TypeVar("Orders", Order, list[Order])

#: For so many tasks or more an order is given only once it was confirmed.
MANY = 1000

#: Seconds between two looks at an order: at first, and at most.
FIRST_LOOK, LAST_LOOK = 0.1, 1.0


class ExitCode(IntEnum):
    """What a command exits with that gives an order; 1 is any error, 2 a wrong call."""

    DONE = 0
    """Or, with --dry-run or --no-wait, told."""
    STOPPED = 3
    NOT_CONFIRMED = 4
    NOT_YET = 5


@dataclass(frozen=True, slots=True)
class Manner:
    """How an order is given, by the options that all of them share."""

    reason: str | None
    dry_run: bool
    yes: bool
    wait: bool
    timeout: float | None
    as_json: bool


def give(
    database_url: str,
    manner: Manner,
    order: Callable[[bool], Call[Orders]],
    *,
    asks_from: int | None = MANY,
) -> ExitCode:
    """Gives what `order` makes of whether it is a dry run, and prints what became of it.

    Asks first when it is for `asks_from` tasks or more (None: never), unless told not to. Raises
    click.UsageError when nobody can be asked, DatabaseUnavailable when the answer was lost.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        if manner.dry_run:
            _print(_listed(call(connection, order(True))), manner)
            return ExitCode.DONE
        if asks_from is not None and not manner.yes:
            planned = _listed(call(connection, order(True)))
            if sum(each.tasks for each in planned) >= asks_from and not _confirmed(planned):
                click.echo("nothing was done", err=True)
                return ExitCode.NOT_CONFIRMED
        try:
            given = _listed(call(connection, order(False)))
        except psycopg.OperationalError as error:
            if error.sqlstate is not None:
                raise  # The server said so itself: nothing was done.
            text = one_line(str(error))
            raise DatabaseUnavailable(
                f"whether the order was given is not known ({text}): stagebus orders shows"
            ) from error
        if not manner.wait:
            _print(given, manner)
            return ExitCode.DONE
        return _wait(connection, given, manner)


def _wait(connection: Connection[TupleRow], orders: Sequence[Order], manner: Manner) -> ExitCode:
    """Until none is working, or the time is up; prints how they stand then."""
    deadline = None if manner.timeout is None else time.monotonic() + manner.timeout
    progress = _Progress(quiet=manner.as_json)
    pause = FIRST_LOOK
    try:
        while any(order.status == "working" for order in orders):
            progress.show(orders)
            if deadline is not None:
                pause = min(pause, deadline - time.monotonic())
                if pause <= 0:
                    break
            time.sleep(pause)
            pause = min(pause * 2, LAST_LOOK)
            orders = [_look(connection, order) for order in orders]
    except KeyboardInterrupt:
        click.echo("not waited for any longer; the order goes on", err=True)
    except psycopg.OperationalError as error:
        text = one_line(str(error))
        click.echo(f"not seen any longer ({text}); the order goes on", err=True)
    finally:
        progress.end()
    _print(orders, manner)
    if any(order.status == "working" for order in orders):
        return ExitCode.NOT_YET
    stopped = any(order.status == "stopped" for order in orders)
    return ExitCode.STOPPED if stopped else ExitCode.DONE


def _look(connection: Connection[TupleRow], order: Order) -> Order:
    """How the order stands now, as the view orders has it."""
    row = connection.execute(
        "select status, tasks, tasks_done, coalesce('its last step failed: ' || last_error,"
        " 'stopped by ' || stopped_by, case status when 'working' then %s else status end)"
        " from stagebus.orders where order_id = %s",
        (order.note, order.order_id),
    ).fetchone()
    if row is None:
        raise NotFound(f"order {order.order_id} is not there any more")
    status, tasks, done, note = row
    return order._replace(status=status, tasks=tasks, tasks_done=done, note=note)


def _confirmed(planned: Sequence[Order]) -> bool:
    """Tells what would be done, and asks; raises click.UsageError where nobody answers."""
    text = "\n".join(describe(order) for order in planned)
    if not sys.stdin.isatty():
        raise click.UsageError(f"{text}\nTo do it without being asked, say --yes.")
    click.echo(text, err=True)
    try:
        return click.confirm("Do it?", err=True)
    except click.Abort:
        click.echo(err=True)
        return False


def describe(order: Order) -> str:
    """One line of what an order is about, and how it stands."""
    about = f"job {order.job_id}"
    if order.batch_id is not None:
        about = f"batch {order.batch_id} of {about}"
    elif order.stage is not None:
        about = f"stage {order.stage} of {about}"
    what = f"{order.action}, {about}"
    if order.order_id is None:
        return f"{what}: {order.tasks:,} tasks ({order.note})"
    counts = f"{order.tasks_done:,} of {order.tasks:,} tasks"
    note = "" if order.note == order.status else f"; {order.note}"
    return one_line(f"order {order.order_id}, {what}: {order.status}, {counts}{note}")


class _Progress:
    """Orders that are worked off, told to whoever looks: in place on a terminal, else once."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._in_place = sys.stderr.isatty()
        self._said = ""

    def show(self, orders: Sequence[Order]) -> None:
        done = sum(order.tasks_done for order in orders)
        tasks = sum(order.tasks for order in orders)
        notes = "; ".join(dict.fromkeys(o.note for o in orders if o.status == "working"))
        counts = f"{done:,} of {tasks:,} tasks" if self._in_place else "working"
        text = one_line(f"{counts}: {notes}")
        if self._quiet or text == self._said:
            return
        self._said = text
        click.echo(f"\r{text}\x1b[K" if self._in_place else text, nl=not self._in_place, err=True)

    def end(self) -> None:
        """Takes the line back."""
        if self._said and self._in_place:
            click.echo("\r\x1b[K", nl=False, err=True)


def _listed(orders: Orders) -> list[Order]:
    return [orders] if isinstance(orders, Order) else orders


def _print(orders: Sequence[Order], manner: Manner) -> None:
    if manner.as_json:
        print_json([order._asdict() for order in orders])
    for order in () if manner.as_json else orders:
        click.echo(describe(order))
    if not orders and not manner.as_json:
        click.echo("there was nothing to do")
