"""Weeks that passed, and retention as a test drives it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.client import Client

#: A Monday, long enough ago that no partition of today is in the way.
MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
KEEP = 30 * DAY

#: From here on a job that ended in the week of MONDAY, and the week itself, have expired.
EXPIRED = MONDAY + WEEK + KEEP
PARTITION = "tasks_from_20250303"


def ended_job(
    client: Client, at: datetime = MONDAY + DAY, tasks: int = 3, dedupe_key: str | None = None
) -> UUID:
    """A job that was made, published, worked on and finished then."""
    client.at(at)
    job_id = client.create_job(dedupe_key=dedupe_key)
    client.run_stage(client.published_stage(tasks, job_id=job_id))
    client.finish_job(job_id)
    return job_id


def set_retention(client: Client, keep: timedelta | str | None = KEEP, **options: Any) -> None:
    named = "".join(f", {option} => %s" for option in options)
    client.execute(f"select stagebus.set_retention(%s::interval{named})", keep, *options.values())


def step(client: Client, limit: int = 10_000, **options: Any) -> Any:
    """One call of drop_expired."""
    named = "".join(f", {option} => %s" for option in options)
    return client.row(f"select * from stagebus.drop_expired(%s{named})", limit, *options.values())


def drop_all(client: Client, limit: int = 10_000) -> list[str]:
    """Steps until there is nothing more to do; what each did."""
    done: list[str] = []
    while not done or done[-1] not in ("nothing expired", "waits", "busy"):
        done.append(step(client, limit).status)
        assert len(done) < 1000, "it never ends"
    return done


def status(client: Client, partition: str = PARTITION) -> Any:
    """The row of retention_status; None once the partition is gone."""
    rows = client.rows("select * from stagebus.retention_status() where partition = %s", partition)
    return rows[0] if rows else None


def shown(client: Client, job_id: UUID) -> set[str]:
    """The views that show something of the job."""
    views = client.column(
        "select 'stagebus.' || c.relname from pg_class as c join pg_attribute as a"
        " on a.attrelid = c.oid and a.attname = 'job_id'"
        " where c.relnamespace = 'stagebus'::regnamespace and c.relkind = 'v'"
    )
    return {
        view
        for view in views
        if client.value(f"select exists (select from {view} where job_id = %s)", job_id)
    }


def left_behind(client: Client, *jobs: UUID) -> set[str]:
    """The tables that still have rows of the jobs."""
    tables = client.column(
        "select c.oid::regclass::text from pg_class as c join pg_attribute as a"
        " on a.attrelid = c.oid and a.attname = 'job_id'"
        " where c.relnamespace = 'stagebus_data'::regnamespace and c.relkind in ('r', 'p')"
        " and not c.relispartition"
    )
    assert len(tables) > 10
    return {
        table
        for table in tables
        if client.value(f"select exists (select from {table} where job_id = any (%s))", list(jobs))
    }
