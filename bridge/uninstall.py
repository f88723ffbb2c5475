"""Takes stagebus out of a database again: schemas, yoyo's records, search_path and unused roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import errors, sql

from bridge.errors import MigrationError
from bridge.migrate import ADVISORY_LOCK, LOCK_TIMEOUT, migration_ids

#: Newest first: what a role may own goes before it.
ROLES = (
    "stagebus_monitor",
    "stagebus_operator",
    "stagebus_worker",
    "stagebus_bridge",
    "stagebus_producer",
    "stagebus_owner",
)

#: yoyo's own tables; other migrations of the same database may stand in them.
YOYO_TABLES = ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock")

#: What is not ours and would go with ours: views, and foreign keys to our tables.
_DEPENDENTS = """
with ours as (
    select c.oid from pg_class as c
    where c.relnamespace in (select n.oid from pg_namespace as n
        where n.nspname in ('stagebus', 'stagebus_data'))
)
select distinct 'view ' || v.oid::regclass::text
from pg_depend as d
join pg_rewrite as r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
join pg_class as v on v.oid = r.ev_class
where d.refobjid in (select oid from ours) and v.oid not in (select oid from ours)
union
select 'constraint ' || f.conname || ' of ' || f.conrelid::regclass::text
from pg_constraint as f
where f.contype = 'f' and f.confrelid in (select oid from ours)
    and f.conrelid not in (select oid from ours)
order by 1
"""

_WORK = """
select
    (select count(*) from stagebus_data.jobs),
    (select count(*) from stagebus_data.jobs where ended_at is null),
    (select count(*) from stagebus_data.batches
        where state = 'publishing' and lease_until > now())
"""


@dataclass(frozen=True)
class Contents:
    """What there is to lose."""

    database: str
    jobs: int
    open_jobs: int
    """Jobs that have not ended."""
    leased_batches: int
    """Batches that a bridge is publishing at the moment."""

    def __str__(self) -> str:
        return (
            f"database {self.database!r}: {self.jobs} jobs, {self.open_jobs} of them not ended,"
            f" {self.leased_batches} batches being published"
        )


def survey(database_url: str) -> Contents | None:
    """What the database has of stagebus; None when it has no tables of it. Changes nothing."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        return _survey(connection)


def uninstall(database_url: str, *, force: bool = False) -> Iterator[str]:
    """Takes out all of it in one transaction, and says what went and what stays, and why.

    force: also while jobs have not ended or a bridge is at work. Run again, it takes out what was
    left, such as a role that another database used then. Raises MigrationError; then nothing has
    changed.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        try:
            with connection.transaction():
                connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                said = [*_take_out(connection, force=force)]
        except errors.LockNotAvailable as error:
            raise MigrationError(
                f"another session uses stagebus and did not let go within {LOCK_TIMEOUT}:"
                " stop bridges and workers, then run it again"
            ) from error
        except errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"{str(error).strip()}: run it as the role that ran stagebus migrate, or as a"
                " superuser"
            ) from error
    yield from said


def _take_out(connection: psycopg.Connection[tuple[object, ...]], *, force: bool) -> Iterator[str]:
    contents = _survey(connection)
    if contents is not None and not force and (contents.open_jobs or contents.leased_batches):
        raise MigrationError(f"{contents}; all of it would be gone: --force")
    dependents = [str(row[0]) for row in connection.execute(_DEPENDENTS).fetchall()]
    if dependents:
        raise MigrationError(f"not ours, but built on ours: {', '.join(dependents)}; drop it first")
    for schema in ("stagebus", "stagebus_data"):
        if connection.execute("select to_regnamespace(%s)", (schema,)).fetchone() != (None,):
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
            yield f"dropped schema {schema}"
    yield from _forget_migrations(connection)
    yield from _leave_search_path(connection)
    for role in ROLES:
        yield from _drop_role(connection, role)


def _forget_migrations(connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[str]:
    if connection.execute("select to_regclass('_yoyo_migration')").fetchone() == (None,):
        return
    ours = migration_ids()
    foreign = connection.execute(
        "select from _yoyo_migration where migration_id <> all (%s)", (ours,)
    ).fetchall()
    if foreign:
        for table in ("_yoyo_log", "_yoyo_migration"):
            connection.execute(
                sql.SQL("delete from {} where migration_id = any (%s)").format(
                    sql.Identifier(table)
                ),
                (ours,),
            )
        yield "yoyo's tables stay: they have migrations that are not stagebus'"
        return
    for table in YOYO_TABLES:
        connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(table)))
    yield "dropped yoyo's tables"


def _leave_search_path(connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[str]:
    row = connection.execute(
        "select split_part(setting, '=', 2)"
        " from pg_db_role_setting, unnest(setconfig) as setting"
        " where setdatabase = (select oid from pg_database where datname = current_database())"
        " and setrole = 0 and setting like 'search_path=%'"
    ).fetchone()
    names = [] if row is None else [name.strip() for name in str(row[0]).split(",")]
    kept = [name for name in names if name.strip('"') != "stagebus"]
    if kept == names:
        return
    database = sql.Identifier(connection.info.dbname)
    if kept == ['"$user"', "public"]:
        # PostgreSQL's own default, which `migrate` found unset, or as good as unset.
        connection.execute(sql.SQL("alter database {} reset search_path").format(database))
    else:
        connection.execute(
            sql.SQL("alter database {} set search_path = {}").format(
                database, sql.SQL(", ".join(kept))
            )
        )
    yield "took stagebus out of the database's search_path"


def _drop_role(connection: psycopg.Connection[tuple[object, ...]], role: str) -> Iterator[str]:
    if connection.execute("select to_regrole(%s)", (role,)).fetchone() == (None,):
        return
    statement = sql.SQL("drop role {}").format(sql.Identifier(role))
    try:
        with connection.transaction():
            connection.execute(statement)
    except errors.DependentObjectsStillExist:
        yield f"role {role} stays: it is used elsewhere in this cluster"
    except errors.InsufficientPrivilege:
        yield f"role {role} stays: you may not drop it; who may: drop role {role};"
    else:
        yield f"dropped role {role}"


def _survey(connection: psycopg.Connection[tuple[object, ...]]) -> Contents | None:
    there = connection.execute(
        "select to_regclass('stagebus_data.jobs') is not null"
        " and to_regclass('stagebus_data.batches') is not null"
    ).fetchone()
    if there != (True,):
        return None
    row = connection.execute(_WORK).fetchone()
    assert row is not None
    jobs, open_jobs, leased = (int(str(value)) for value in row)
    return Contents(connection.info.dbname, jobs, open_jobs, leased)
