"""plpgsql_check over every PL/pgSQL function of sql/: `python -m tests.plpgsql_check`, in lint.

It wants a server with that extension, which STAGEBUS_CHECK_DATABASE_URL names as a superuser, and
makes a database there for as long as it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bridge.migrate import migrate

_FINDINGS = """
select p.oid::regprocedure::text, f.lineno, f.level, f.message, f.detail, f.hint
from pg_catalog.pg_proc as p
join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
cross join lateral public.plpgsql_check_function_tb(
    p.oid, fatal_errors => false, other_warnings => true, extra_warnings => true,
    performance_warnings => true, security_warnings => true) as f
where p.pronamespace = 'stagebus'::regnamespace
order by p.oid::regprocedure::text, f.lineno
"""

_CHECKED = """
select count(*)
from pg_catalog.pg_proc as p
join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
where p.pronamespace = 'stagebus'::regnamespace
"""

#: A column's domain is its base type, whose cast PL/pgSQL sees to be none.
DOMAINS = {
    f'cast "{domain}" value to "{base}" type'
    for domain, base in (
        ("counter", "integer"),
        ("job_state", "text"),
        ("stage_state", "text"),
        ("ending", "text"),
        ("batch_state", "text"),
        ("batch_kind", "text"),
    )
}

#: What is meant to be as it is: a function (without its arguments), a part of the message.
ACCEPTED = (
    # It raises: an immutable function may be called before its turn, when a query is planned.
    ("raise_error", "should be IMMUTABLE"),
)


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """The URL of a new database of that server, which is dropped in the end."""
    name = f"stagebus_check_{os.getpid()}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(server_url, dbname=name)
        finally:
            server.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))


def findings(connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[str]:
    """A line for each finding in the functions of schema stagebus that is not accepted."""
    connection.execute("create extension if not exists plpgsql_check schema public")
    for function, line, level, message, detail, hint in connection.execute(_FINDINGS).fetchall():
        name = str(function).partition("(")[0].removeprefix("stagebus.")
        more = "; ".join(str(part) for part in (detail, hint) if part)
        accepted = any(name == known and part in str(message) for known, part in ACCEPTED)
        if not accepted and not any(part in more for part in DOMAINS):
            yield f"{function} line {line}: {level}: {message}{f' ({more})' if more else ''}"


def main() -> int:
    """1 when there are findings; the lines go to standard output."""
    with (
        database(os.environ["STAGEBUS_CHECK_DATABASE_URL"]) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        migrate(url)
        found = list(findings(connection))
        row = connection.execute(_CHECKED).fetchone()
    for line in found:
        print(line)
    print(f"plpgsql_check: {row[0] if row else 0} functions, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
