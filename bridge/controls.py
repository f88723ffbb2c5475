"""What the command line sets: no orders, but what the views destination_status and jobs show."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from bridge.client.refusals import translated
from bridge.printing import Rows


def pause_destination(database_url: str, destination: str, reason: str | None) -> Rows:
    """Keeps all of a destination back; its row of destination_status."""
    return _set(
        database_url,
        "select stagebus.pause_destination(%s, %s)",
        (destination, reason),
        _DESTINATION,
        destination,
    )


def resume_destination(database_url: str, destination: str) -> Rows:
    """Ends a pause or a throttling; its row of destination_status."""
    return _set(
        database_url,
        "select stagebus.resume_destination(%s)",
        (destination,),
        _DESTINATION,
        destination,
    )


def set_rate_limit(database_url: str, destination: str, per_second: float | None) -> Rows:
    """Limits what all bridges together take to it; None: no limit. Its row of the view."""
    return _set(
        database_url,
        "select stagebus.set_rate_limit(%s, %s::double precision)",
        (destination, per_second),
        _DESTINATION,
        destination,
    )


def set_priority(database_url: str, job_id: UUID, priority: int) -> Rows:
    """A job's share of what is published while others wait; the job's row."""
    return _set(
        database_url,
        "select stagebus.set_priority(%s, %s::integer)",
        (job_id, priority),
        "select job_id, job_type, status, priority from stagebus.jobs where job_id = %s",
        job_id,
    )


_DESTINATION: LiteralString = "select * from stagebus.destination_status where destination = %s"


def _set(
    database_url: str,
    query: LiteralString,
    arguments: tuple[object, ...],
    then: LiteralString,
    name: object,
) -> Rows:
    """Raises CallRefused."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        with translated():
            connection.execute(query, arguments)
        return connection.execute(then, (name,)).fetchall()
