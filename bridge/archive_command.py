"""The command `stagebus archive`: all that the database has of a job, a line for each row."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import BinaryIO
from uuid import UUID

import click
import psycopg

from bridge.options import database_url_option


@click.command()
@click.argument("job_id", type=click.UUID, metavar="JOB")
@click.option("--mark", is_flag=True, help="Then mark the job as archived.")
@database_url_option
def archive(job_id: UUID, mark: bool, database_url: str) -> None:
    """Write all that the database has of a job to standard output.

    A line for each row of each table: {"row": {…}, "table": "…"}, the job first, all in one
    snapshot. With --mark, retention may remove the job once all is written, if it waits for
    archives. Needs the role stagebus_operator.
    """
    try:
        write(database_url, job_id, sys.stdout.buffer, mark=mark)
    except OSError as error:
        raise click.ClickException(f"the archive is not whole: {error}") from error


def write(database_url: str, job_id: UUID, file: BinaryIO, *, mark: bool = False) -> int:
    """Writes the lines, and returns how many; marks exactly what was written.

    Row by row: a job may be larger than memory. The server sets it aside on its disk first.
    """
    lines = 0
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.cursor(binary=True) as cursor:
            for (line,) in cursor.stream(
                "select convert_to("
                "jsonb_build_object('table', a.table_name, 'row', a.content)::text || E'\\n',"
                " 'UTF8') from stagebus.archive_job(%s) as a",
                (job_id,),
            ):
                file.write(line)
                lines += 1
        file.flush()
        with contextlib.suppress(OSError):  # A pipe, or a terminal.
            os.fsync(file.fileno())
        if mark:
            connection.execute("select stagebus.mark_archived(%s)", (job_id,))
    return lines
