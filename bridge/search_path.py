"""The database's search_path: `migrate` appends stagebus, `uninstall` restores what was before.

What was found and what was set is remembered in `installed_code`.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from psycopg import errors, sql

from bridge.errors import MigrationError

SCHEMA = "stagebus"

_NAMES = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')

_OF_THE_DATABASE = """
select substr(setting, length('search_path=') + 1)
from pg_db_role_setting, unnest(setconfig) as setting
where setdatabase = (select oid from pg_database where datname = current_database())
    and setrole = 0 and setting like 'search\\_path=%'
"""

# What holds where the database sets nothing; a role's own or the client's setting says nothing.
_OF_THE_SERVER = """
select reset_val from pg_settings
where name = 'search_path'
    and source in ('default', 'configuration file', 'command line', 'global')
"""


def names(path: str) -> list[str]:
    """The names in a search_path, as they are stored: `a, "$user"` is `a` and `$user`."""
    return [
        match[2] if match[1] is None else match[1].replace('""', '"')
        for match in _NAMES.finditer(path)
    ]


def append(connection: psycopg.Connection[Any]) -> None:
    """Makes `select create_job(…)` work as typed, in sessions that begin from now on.

    stagebus comes last, so that nobody's own table is hidden. Works in the caller's transaction.
    Raises MigrationError when the database is not ours to set.
    """
    found = _value(connection, _OF_THE_DATABASE)
    path = names(found or _value(connection, _OF_THE_SERVER) or '"$user", public')
    if SCHEMA in path:
        return
    try:
        with connection.transaction():
            connection.execute(_statement(connection, [*path, SCHEMA]))
    except errors.InsufficientPrivilege as error:
        statement = _statement(connection, [*path, SCHEMA]).as_string(connection)
        raise MigrationError(
            f"only the owner of the database may set its search_path; who may: {statement};"
            " or migrate with --no-search-path, and call stagebus.create_job(…)"
        ) from error
    connection.execute("set local role stagebus_owner")
    connection.execute(
        "update stagebus_data.installed_code set search_path_found = %s, search_path_set = %s",
        (found, _value(connection, _OF_THE_DATABASE)),
    )
    connection.execute("reset role")


def restored(connection: psycopg.Connection[Any]) -> sql.Composed | None:
    """The statement that takes stagebus out of it again; None when it is not in it.

    When it still is what was set, what was found comes back; else only the name stagebus goes.
    """
    now = _value(connection, _OF_THE_DATABASE)
    if now is None or SCHEMA not in names(now):
        return None
    found, was_set = _recorded(connection)
    kept = [name for name in names(now) if name != SCHEMA]
    if now == was_set:
        kept = [] if found is None else names(found)
    elif was_set is None and kept == ["$user", "public"]:
        # Nobody remembers; it is PostgreSQL's own default, as good as unset.
        kept = []
    return _statement(connection, kept)


def _recorded(connection: psycopg.Connection[Any]) -> tuple[str | None, str | None]:
    """What `append` found and what it set; a pair of None when it did nothing."""
    if _value(connection, "select to_regclass('stagebus_data.installed_code')::text") is None:
        return None, None
    row = connection.execute(
        "select search_path_found, search_path_set from stagebus_data.installed_code"
    ).fetchone()
    return (None, None) if row is None else (row[0], row[1])


def _statement(connection: psycopg.Connection[Any], path: list[str]) -> sql.Composed:
    change = sql.SQL("set search_path = {}").format(sql.SQL(", ").join(map(sql.Literal, path)))
    return sql.SQL("alter database {} {}").format(
        sql.Identifier(connection.info.dbname), change if path else sql.SQL("reset search_path")
    )


def _value(connection: psycopg.Connection[Any], query: str) -> str | None:
    row = connection.execute(query).fetchone()
    return None if row is None or row[0] is None else str(row[0])
