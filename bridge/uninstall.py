"""Takes stagebus out of a database again: schemas, yoyo's records, search_path and unused roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, sql

from bridge import search_path
from bridge.errors import MigrationError
from bridge.migrate import ADVISORY_LOCK, LOCK_TIMEOUT, migration_ids
from bridge.rights import ROLES
from bridge.roles_in_use import why_it_stays

SCHEMAS = ("stagebus", "stagebus_data")

#: yoyo's own tables; other migrations of the same database may stand in them.
YOYO_TABLES = ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock")

# What lies outside our schemas and could not stand without what is in them.
_BUILT_ON_OURS = """
with our_schema as (
    select n.oid from pg_namespace as n where n.nspname in ('stagebus', 'stagebus_data')
), ours as (
    select 'pg_class'::regclass as class, c.oid from pg_class as c
    where c.relnamespace in (select s.oid from our_schema as s)
    union all
    select 'pg_proc'::regclass, p.oid from pg_proc as p
    where p.pronamespace in (select s.oid from our_schema as s)
    union all
    select 'pg_type'::regclass, t.oid from pg_type as t
    where t.typnamespace in (select s.oid from our_schema as s)
), dependent as (
    select d.classid, d.objid, d.objsubid
    from pg_depend as d
    join ours as o on o.class = d.refclassid and o.oid = d.refobjid
    where d.deptype = 'n'
)
select distinct pg_describe_object(d.classid, d.objid, d.objsubid)
from dependent as d
left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
left join pg_attrdef as a on d.classid = 'pg_attrdef'::regclass and a.oid = d.objid
left join pg_constraint as k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
left join pg_trigger as g on d.classid = 'pg_trigger'::regclass and g.oid = d.objid
left join ours as home
    on home.class = case when r.oid is null and a.oid is null and k.oid is null and g.oid is null
        then d.classid else 'pg_class'::regclass end
    and home.oid = coalesce(r.ev_class, a.adrelid, k.conrelid, g.tgrelid, d.objid)
where home.oid is null
order by 1
"""

_WORK = """
select
    (select count(*) from stagebus_data.jobs),
    (select count(*) from stagebus_data.jobs where ended_at is null),
    (select coalesce(sum(task_count - completed - failed - cancelled), 0)
        from stagebus_data.stages where ended_at is null),
    (select count(*) from stagebus_data.batches
        where state = 'publishing' and lease_until > clock_timestamp())
"""


@dataclass(frozen=True)
class Contents:
    """What there is to lose."""

    database: str
    jobs: int
    open_jobs: int
    """Jobs that have not ended."""
    open_tasks: int
    """Tasks that have not ended."""
    leased_batches: int
    """Batches that a bridge is publishing at the moment."""

    def __str__(self) -> str:
        return (
            f"database {self.database!r}: {self.jobs} jobs, {self.open_jobs} of them not ended,"
            f" with {self.open_tasks} tasks to go; {self.leased_batches} batches being published"
        )


@dataclass(frozen=True)
class Step:
    """One thing that goes, or one that stays."""

    what: str
    statements: tuple[sql.Composed, ...] = ()
    stays: str | None = None
    """Why it stays, and what to type so that it goes."""

    @property
    def goes(self) -> bool:
        return self.stays is None

    def __str__(self) -> str:
        return f"dropped {self.what}" if self.goes else f"{self.what} stays: {self.stays}"


@contextmanager
def session(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session in which a refused right or lock is a MigrationError with the way out."""
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            yield connection
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        raise MigrationError(
            f"another session uses stagebus and did not let go within {LOCK_TIMEOUT}:"
            " stop bridges and workers, then run it again"
        ) from error
    except errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"{error.diag.message_primary}: run it as the role that ran stagebus migrate, or as a"
            " superuser"
        ) from error


def survey(connection: psycopg.Connection[Any]) -> Contents | None:
    """What the database has of stagebus; None when it has no tables of it. Changes nothing."""
    there = connection.execute(
        "select count(*) from pg_tables where schemaname = 'stagebus_data'"
        " and tablename in ('jobs', 'stages', 'batches')"
    ).fetchone()
    if there != (3,):
        return None
    row = connection.execute(_WORK).fetchone()
    assert row is not None
    return Contents(connection.info.dbname, *(int(value) for value in row))


def plan(connection: psycopg.Connection[Any]) -> list[Step]:
    """What `uninstall` would do, in order. Changes nothing and takes no lock that matters."""
    return [
        *_schemas(connection),
        *_yoyos_records(connection),
        *_search_path(connection),
        *_roles(connection),
    ]


def uninstall(database_url: str, *, force: bool = False) -> list[Step]:
    """Takes out all of it in one transaction; returns what went, and what stays and why.

    force: also while jobs have not ended or a bridge is at work. Run again, it takes out what was
    left, such as a role that another database used then. Raises MigrationError; then nothing has
    changed.
    """
    with session(database_url) as connection:
        connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
        connection.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        with connection.transaction():
            return [_take(connection, step) for step in _agreed(connection, force=force)]


def _agreed(connection: psycopg.Connection[Any], *, force: bool) -> list[Step]:
    """The plan, when nothing speaks against it; from here on nobody makes a job."""
    contents = survey(connection)
    if contents is not None:
        connection.execute("lock table stagebus_data.batches, stagebus_data.jobs")
        contents = survey(connection)
    if contents is not None and not force and (contents.open_jobs or contents.leased_batches):
        raise MigrationError(f"{contents}; all of it would be gone: --force")
    built = [str(row[0]) for row in connection.execute(_BUILT_ON_OURS).fetchall()]
    if built:
        raise MigrationError(f"not ours, but built on ours: {', '.join(built)}; drop it first")
    return plan(connection)


def _take(connection: psycopg.Connection[Any], step: Step) -> Step:
    try:
        with connection.transaction():
            for statement in step.statements:
                connection.execute(statement)
    except errors.DependentObjectsStillExist as error:
        # Another database began to use the role since we looked.
        return Step(step.what, stays=str(error.diag.message_detail))
    return step


def _schemas(connection: psycopg.Connection[Any]) -> Iterator[Step]:
    for schema in SCHEMAS:
        if connection.execute("select to_regnamespace(%s)", (schema,)).fetchone() != (None,):
            statement = sql.SQL("drop schema {} cascade").format(sql.Identifier(schema))
            yield Step(f"schema {schema}", (statement,))


def _yoyos_records(connection: psycopg.Connection[Any]) -> Iterator[Step]:
    if connection.execute("select to_regclass('_yoyo_migration')").fetchone() == (None,):
        return
    ids = connection.execute("select migration_id::text from _yoyo_migration").fetchall()
    applied = {str(row[0]) for row in ids}
    ours = migration_ids()
    if applied <= set(ours):
        drop = sql.SQL("drop table if exists {}")
        yield Step(
            "yoyo's tables", tuple(drop.format(sql.Identifier(table)) for table in YOYO_TABLES)
        )
    elif applied & set(ours):
        delete = sql.SQL("delete from {} where migration_id = any ({})")
        yield Step(
            "our migrations from yoyo's tables, which others use",
            tuple(
                delete.format(sql.Identifier(table), sql.Literal(ours))
                for table in ("_yoyo_log", "_yoyo_migration")
            ),
        )


def _search_path(connection: psycopg.Connection[Any]) -> Iterator[Step]:
    statement = search_path.restored(connection)
    if statement is not None:
        yield Step("stagebus from the database's search_path", (statement,))


def _roles(connection: psycopg.Connection[Any]) -> Iterator[Step]:
    for role in ROLES:
        if connection.execute("select to_regrole(%s)", (role,)).fetchone() != (None,):
            statement = sql.SQL("drop role {}").format(sql.Identifier(role))
            stays = why_it_stays(connection, role)
            yield Step(f"role {role}", () if stays else (statement,), stays)
