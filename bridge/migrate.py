"""Brings a database to the state of this checkout: migrations by yoyo, code replayed from sql/."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict
from yoyo.exceptions import LockTimeout

from bridge import rights, search_path
from bridge.errors import MigrationError
from bridge.replay import code_digest, code_script, directory, replay_code

#: Two migrations of one database at a time would meet on yoyo's tables; this lock ends with its
#: session, so that a killed run leaves nothing behind.
ADVISORY_LOCK = int.from_bytes(hashlib.sha256(b"stagebus migrate").digest()[:7], "big")

#: The oldest PostgreSQL on which the tests run.
OLDEST_SERVER = 15

#: How long to wait for a lock on a table, a view or a function: others queue behind who waits.
LOCK_TIMEOUT = "10s"

#: How long another process may hold yoyo's own lock, in seconds.
YOYO_LOCK_TIMEOUT = 60


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


def migrate(database_url: str, *, set_search_path: bool = True) -> list[str]:
    """Applies what is pending, replays sql/, and returns the ids of the applied migrations.

    Raises MigrationError, with the way out, when the database is not one of ours to be, or of a
    newer version, a right is missing or a lock is not to be had.
    """
    with _locked(database_url, before=_require) as (connection, backend, migrations):
        pending = backend.to_apply(migrations)
        backend.apply_migrations_only(pending)
        with connection.transaction():
            replay_code(connection)
            if set_search_path:
                search_path.append(connection)
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
        applied = _applied(connection)
        digest = (
            connection.execute("select digest from stagebus_data.installed_code").fetchone()
            if _exists(connection, "stagebus_data.installed_code")
            else None
        )
    return Status(
        pending=tuple(name for name in known if name not in applied),
        unknown=_unknown(applied),
        digest_agrees=digest is not None and digest[0] == code_digest(),
    )


def script(database_url: str) -> str:
    """The SQL that `migrate` would run now; raises MigrationError where a newer version did."""
    found = status(database_url)
    refuse_newer(found.unknown)
    folder = directory("migrations")
    parts = [
        f"begin;\n-- migrations/{name}.sql\n{(folder / f'{name}.sql').read_text('utf-8')}commit;\n"
        for name in found.pending
    ]
    return "\n".join([*parts, f"begin;\n{code_script()}\nreset role;\ncommit;\n"])


def _applied(connection: psycopg.Connection[Any]) -> list[str]:
    """The migrations of a database, in the order in which they were applied."""
    if not _exists(connection, "_yoyo_migration"):
        return []
    rows = connection.execute("select migration_id from _yoyo_migration order by applied_at_utc")
    return [str(row[0]) for row in rows.fetchall()]


def _unknown(applied: Iterable[str]) -> tuple[str, ...]:
    known = migration_ids()
    return tuple(name for name in applied if name not in known)


def refuse_newer(unknown: Sequence[str]) -> None:
    """Raises MigrationError when a database has migrations that this checkout does not have.

    Replaying its code would drop functions that bridges of the newer version call.
    """
    if unknown:
        raise MigrationError(
            "a newer version has migrated this database, and this one does not know"
            f" {', '.join(unknown)}: install the newer one here; or, to go back, with the newer"
            f" one: stagebus migrate --rollback {unknown[0]}"
        )


def _exists(connection: psycopg.Connection[Any], relation: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (relation,)).fetchone()
    return row is not None and bool(row[0])


def migration_ids() -> list[str]:
    """The migrations of this checkout, in order."""
    return [migration.id for migration in _read_migrations()]


def _read_migrations() -> Any:
    return yoyo.read_migrations(str(directory("migrations")))


def _require(connection: psycopg.Connection[Any]) -> None:
    """What nobody can grant, and then what somebody can."""
    if connection.info.server_version < OLDEST_SERVER * 10_000:
        raise MigrationError(
            f"PostgreSQL {connection.info.server_version // 10_000} is too old: stagebus needs"
            f" {OLDEST_SERVER} or later"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise MigrationError(
            f"the database {connection.info.dbname} has the encoding {encoding}: stagebus needs"
            " UTF8, since a task's parameters may have any character; it cannot be changed, so:"
            " create database NAME encoding 'UTF8' template template0"
        )
    rights.require(connection)


@contextmanager
def _locked(
    database_url: str, before: Callable[[psycopg.Connection[Any]], None] = lambda connection: None
) -> Iterator[tuple[psycopg.Connection[Any], Any, Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        before(connection)
        connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
        backend = yoyo.get_backend(_yoyo_url(database_url))
        try:
            refuse_newer(_unknown(_applied(connection)))
            with backend.lock(YOYO_LOCK_TIMEOUT):
                yield connection, backend, _read_migrations()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise MigrationError(
                f"another session uses what is to be changed and did not let go within"
                f" {LOCK_TIMEOUT}: run it again, when no long transaction is open"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"{error.diag.message_primary}: run it as the role that migrated this database"
                " before, or as a superuser"
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
