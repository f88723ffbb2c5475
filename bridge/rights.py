"""What `migrate` must be allowed to do, asked before anything is changed.

It needs no superuser: CREATEROLE and the right to make schemas will do, or, without CREATEROLE,
roles that were made beforehand. What is missing is said as the statements that someone else must
run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from bridge.errors import MigrationError

OWNER = "stagebus_owner"

#: The role without rights that calls the functions of plans.
NOBODY = "stagebus_nobody"

#: Newest first: what a role may own goes before it.
ROLES = (
    NOBODY,
    "stagebus_monitor",
    "stagebus_operator",
    "stagebus_worker",
    "stagebus_bridge",
    "stagebus_producer",
    OWNER,
)

_ME = """
select current_user::text, rolsuper, rolcreaterole from pg_roles where rolname = current_user
"""

_THERE = "select rolname::text from pg_roles where rolname = any (%s)"

# Before PostgreSQL 16, whoever may make roles may also grant any of them.
_MAY_GRANT = "select pg_has_role(%s, 'MEMBER WITH ADMIN OPTION')"

_MAY_MAKE_SCHEMAS = "select has_database_privilege(current_database(), 'CREATE')"

# Where yoyo keeps its books: in the first schema of the search_path.
_FOR_YOYO = """
select current_schema()::text,
    to_regclass('_yoyo_migration') is not null
    or coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
"""


def require(connection: psycopg.Connection[Any]) -> None:
    """Raises MigrationError, with what to run and as whom, when `migrate` would be refused."""
    missing = [statement.as_string(connection) for statement in _missing(connection)]
    if missing:
        raise MigrationError(
            "this role may not do all that is needed; a superuser, or who may, runs first: "
            + " ".join(f"{statement};" for statement in missing)
        )
    schema, usable = _row(connection, _FOR_YOYO)
    if schema is None and not usable:
        raise MigrationError(
            "the search_path names no schema that there is, and yoyo keeps its tables in the first:"
            " append ?options=-csearch_path%3Dpublic to the URL, or another schema's name"
        )


def _missing(connection: psycopg.Connection[Any]) -> Iterator[sql.Composed]:
    me, superuser, may_make_roles = _row(connection, _ME)
    if superuser:
        return
    user = sql.Identifier(me)
    there = {str(row[0]) for row in connection.execute(_THERE, ([*ROLES],)).fetchall()}
    if not may_make_roles:
        for role in reversed(ROLES):
            if role not in there:
                yield sql.SQL("create role {}").format(sql.Identifier(role))
    if not (
        may_make_roles if OWNER not in there else _may_become_owner(connection, may_make_roles)
    ):
        yield sql.SQL("grant {} to {}").format(sql.Identifier(OWNER), user)
    if not _owner_is_nobody(connection, there, may_make_roles):
        yield sql.SQL("grant {} to {}").format(sql.Identifier(NOBODY), sql.Identifier(OWNER))
    if not _row(connection, _MAY_MAKE_SCHEMAS)[0]:
        database = sql.Identifier(connection.info.dbname)
        yield sql.SQL("grant create on database {} to {}").format(database, user)
    schema, usable = _row(connection, _FOR_YOYO)
    if schema is not None and not usable:
        yield sql.SQL("grant create on schema {} to {}").format(sql.Identifier(schema), user)


def _may_become_owner(connection: psycopg.Connection[Any], may_make_roles: bool) -> bool:
    modern = connection.info.server_version >= 160000
    how = "SET" if modern else "MEMBER"
    if _row(connection, "select pg_has_role(%s, %s)", (OWNER, how))[0]:
        return True
    if not modern and may_make_roles:
        return True
    return bool(_row(connection, _MAY_GRANT, (OWNER,))[0])


def _owner_is_nobody(
    connection: psycopg.Connection[Any], there: set[str], may_make_roles: bool
) -> bool:
    """The owner is, or can be made, a member of the role without rights."""
    if NOBODY not in there:
        return may_make_roles
    if (
        OWNER in there
        and _row(connection, "select pg_has_role(%s, %s, 'MEMBER')", (OWNER, NOBODY))[0]
    ):
        return True
    if may_make_roles and connection.info.server_version < 160000:
        return True
    return bool(_row(connection, _MAY_GRANT, (NOBODY,))[0])


def _row(
    connection: psycopg.Connection[Any], query: str, parameters: Any = None
) -> tuple[Any, ...]:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return tuple(row)
