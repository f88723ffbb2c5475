"""Brings a database to the state of this checkout: migrations by yoyo, code replayed from sql/."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from yoyo.exceptions import LockTimeout

from bridge.errors import MigrationError

#: Two migrations of one database at a time would meet on yoyo's tables; this lock ends with its
#: session, so that a killed run leaves nothing behind.
ADVISORY_LOCK = int.from_bytes(hashlib.sha256(b"stagebus migrate").digest()[:7], "big")

#: How long to wait for a lock on a table, a view or a function: others queue behind who waits.
LOCK_TIMEOUT = "10s"

#: The folder of sql/ that grants rights on what the folders before it made.
GRANTS = "90_roles"

_FUNCTIONS = """
select p.oid::bigint, p.xmin::text,
    format('%I.%I(%s)', 'stagebus', p.proname, pg_get_function_identity_arguments(p.oid))
from pg_proc as p
where p.pronamespace = to_regnamespace('stagebus')
"""

_VIEWS = """
select c.relname from pg_class as c
where c.relnamespace = to_regnamespace('stagebus') and c.relkind = 'v'
"""

#: How long another process may hold yoyo's own lock, in seconds.
YOYO_LOCK_TIMEOUT = 60


def _directory(name: str) -> Path:
    """The folder `sql` or `migrations`: in the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    for candidate in (here / name, here.parent / name):
        if candidate.is_dir():
            return candidate
    raise MigrationError(f"the folder {name} is missing from this installation")


def code_files() -> list[Path]:
    """The files of sql/ in the order in which they are replayed."""
    return sorted(_directory("sql").glob("[0-9]*/*.sql"))


def code_script(wanted: Callable[[Path], bool] = lambda path: True) -> str:
    """All of sql/, or the wanted files of it, as one script."""
    root = _directory("sql")
    return "\n".join(
        f"-- sql/{path.relative_to(root).as_posix()}\n{path.read_text('utf-8')}"
        for path in code_files()
        if wanted(path)
    )


def code_digest() -> str:
    """SHA-256 of sql/ in hexadecimal: what `--check` and `doctor` compare with the database."""
    return hashlib.sha256(code_script().encode()).hexdigest()


@dataclass(frozen=True)
class Status:
    """How a database stands against this checkout."""

    pending: tuple[str, ...]
    """Migrations that are not applied, in order."""
    unknown: tuple[str, ...]
    """Migrations that were applied and that this checkout does not have."""
    digest_agrees: bool
    """Whether the code in the database was replayed from this checkout's sql/."""

    @property
    def agrees(self) -> bool:
        return not self.pending and not self.unknown and self.digest_agrees


def replay_code(connection: Any) -> None:
    """Replays sql/ and stamps its digest, in the caller's transaction.

    Functions and views that are not in sql/ any more go, old signatures included. Raises
    MigrationError when something that is not ours is built on one of them.
    """
    cursor = connection.cursor()
    before = set(cursor.execute(_FUNCTIONS).fetchall())
    cursor.execute(code_script(lambda path: path.parent.name < GRANTS))
    # A function that was replaced has a new row, with another xmin.
    stale = [f"function {row[2]}" for row in before & set(cursor.execute(_FUNCTIONS).fetchall())]
    views = set(re.findall(r"create or replace view stagebus\.(\w+)", code_script()))
    for (name,) in cursor.execute(_VIEWS).fetchall():
        if name not in views:
            stale.append(f"view stagebus.{name}")
    for each in sorted(stale):
        try:
            cursor.execute(f"drop {each}")
        except psycopg.errors.DependentObjectsStillExist as error:
            raise MigrationError(
                f"{each} is no longer part of stagebus, but something is built on it:"
                f" {error.diag.message_detail}; drop that first"
            ) from error
    cursor.execute(code_script(lambda path: path.parent.name >= GRANTS))
    cursor.execute(
        "insert into stagebus_data.installed_code (digest) values (%s)"
        " on conflict (only_row) do update set"
        " digest = excluded.digest, replayed_at = clock_timestamp()",
        (code_digest(),),
    )
    cursor.execute(
        "select stagebus.ensure_partition(stagebus.clock()),"
        " stagebus.ensure_partition(stagebus.clock() + interval '7 days')"
    )
    cursor.execute("reset role")
    cursor.close()


def migrate(database_url: str, *, set_search_path: bool = True) -> list[str]:
    """Applies what is pending, replays sql/, and returns the ids of the applied migrations."""
    with _locked(database_url) as (connection, backend, migrations):
        pending = backend.to_apply(migrations)
        backend.apply_migrations_only(pending)
        with connection.transaction():
            replay_code(connection)
            if set_search_path:
                _append_to_search_path(connection)
        return [migration.id for migration in pending]


def rollback(database_url: str, migration_id: str) -> list[str]:
    """Rolls back a migration and all that depend on it; returns their ids, newest first.

    The code goes first, since it stands on the tables; `migrate` brings it back.
    """
    with _locked(database_url) as (_, backend, migrations):
        applied = backend.to_rollback(migrations)
        ids = [migration.id for migration in applied]
        if migration_id not in ids:
            raise MigrationError(
                f"migration {migration_id!r} is not applied; applied are: "
                + (", ".join(reversed(ids)) or "none")
            )
        chosen = applied[: ids.index(migration_id) + 1]
        backend.rollback_migrations(chosen)
        return [migration.id for migration in chosen]


def status(database_url: str) -> Status:
    """Compares the database with this checkout; changes nothing."""
    known = migration_ids()
    with psycopg.connect(database_url, autocommit=True) as connection:
        applied = (
            [
                str(row[0])
                for row in connection.execute("select migration_id from _yoyo_migration").fetchall()
            ]
            if _exists(connection, "_yoyo_migration")
            else []
        )
        digest = (
            connection.execute("select digest from stagebus_data.installed_code").fetchone()
            if _exists(connection, "stagebus_data.installed_code")
            else None
        )
    return Status(
        pending=tuple(name for name in known if name not in applied),
        unknown=tuple(name for name in applied if name not in known),
        digest_agrees=digest is not None and digest[0] == code_digest(),
    )


def script(database_url: str) -> str:
    """The SQL that `migrate` would run now."""
    pending = status(database_url).pending
    folder = _directory("migrations")
    parts = [
        f"begin;\n-- migrations/{name}.sql\n{(folder / f'{name}.sql').read_text('utf-8')}commit;\n"
        for name in pending
    ]
    return "\n".join([*parts, f"begin;\n{code_script()}\nreset role;\ncommit;\n"])


def _exists(connection: psycopg.Connection[Any], relation: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (relation,)).fetchone()
    return row is not None and bool(row[0])


def migration_ids() -> list[str]:
    """The migrations of this checkout, in order."""
    return [migration.id for migration in _read_migrations()]


def _read_migrations() -> Any:
    return yoyo.read_migrations(str(_directory("migrations")))


@contextmanager
def _locked(database_url: str) -> Iterator[tuple[psycopg.Connection[Any], Any, Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
        backend = yoyo.get_backend(_yoyo_url(database_url))
        try:
            with backend.lock(YOYO_LOCK_TIMEOUT):
                yield connection, backend, _read_migrations()
        except psycopg.errors.LockNotAvailable as error:
            raise MigrationError(
                f"another session uses what is to be changed and did not let go within"
                f" {LOCK_TIMEOUT}: run it again, when no long transaction is open"
            ) from error
        except LockTimeout as error:
            raise MigrationError(
                f"{error}; if that process is gone: yoyo break-lock --database URL"
            ) from error
        finally:
            backend.connection.close()


def _yoyo_url(database_url: str) -> str:
    """A libpq URL or conninfo string as yoyo wants it."""
    parts = {key: str(value) for key, value in conninfo_to_dict(database_url).items()}
    parts["options"] = f"{parts.get('options', '')} -c lock_timeout={LOCK_TIMEOUT}".strip()
    user, password = parts.pop("user", None), parts.pop("password", None)
    database = parts.pop("dbname", "") or ""
    login = "" if user is None else quote(user, safe="")
    if password is not None:
        login += ":" + quote(password, safe="")
    query = urlencode(parts, quote_via=quote)
    return f"postgresql+psycopg://{login}{'@' if login else ''}/{database}?{query}"


def _append_to_search_path(connection: psycopg.Connection[Any]) -> None:
    """Makes `select create_job(…)` work as typed, in sessions that begin from now on.

    stagebus comes last, so that nobody's own table is hidden.
    """
    row = connection.execute(
        "select split_part(setting, '=', 2)"
        " from pg_db_role_setting, unnest(setconfig) as setting"
        " where setdatabase = (select oid from pg_database where datname = current_database())"
        " and setrole = 0 and setting like 'search_path=%'"
    ).fetchone()
    path = '"$user", public' if row is None else str(row[0])
    if "stagebus" in [name.strip(' "') for name in path.split(",")]:
        return
    database = connection.info.dbname
    connection.execute(
        sql.SQL("alter database {} set search_path = {}, stagebus").format(
            sql.Identifier(database),
            sql.SQL(path),
        )
    )
