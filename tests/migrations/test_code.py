"""The database holds what sql/ and migrations/ say, no more and no less."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bridge.replay import code_files, code_script
from tests.client import Client
from tests.migrations.dump import schema_dump, server_version

KEPT = Path(__file__).parent / "schema.sql"
#: The kept dump was made by pg_dump of this version; others word some of it differently.
KEPT_VERSION = 18
RENEW = 'RENEW_SCHEMA_DUMP=1 make test ARGS="-k kept_schema_dump"'


def test_functions_in_the_database_are_those_of_sql(client: Client) -> None:
    defined = set(re.findall(r"create or replace function stagebus\.(\w+)\(", code_script()))
    installed = client.rows(
        "select p.proname from pg_proc as p where p.pronamespace = 'stagebus'::regnamespace"
    )
    assert sorted(row.proname for row in installed) == sorted(defined)


def test_the_functions_bodies_are_those_of_sql(client: Client) -> None:
    bodies = re.findall(
        r"create or replace function stagebus\.(\w+)\(.*?\bas \$\$(.*?)\$\$;",
        code_script(),
        re.DOTALL,
    )
    installed = client.rows(
        "select p.proname, p.prosrc from pg_proc as p"
        " where p.pronamespace = 'stagebus'::regnamespace"
    )
    assert dict(installed) == dict(bodies)


def test_the_bodies_of_functions_hold(client: Client) -> None:
    """Replay does not look into them, since what they call may come after them."""
    client.execute("set check_function_bodies = on")
    functions = client.rows(
        "select pg_get_functiondef(p.oid) as definition from pg_proc as p"
        " where p.pronamespace = 'stagebus'::regnamespace"
    )
    assert len(functions) > 100
    for function in functions:
        client.execute(function.definition)


def test_views_in_the_database_are_those_of_sql(client: Client) -> None:
    defined = set(re.findall(r"create or replace view stagebus\.(\w+)", code_script()))
    installed = client.rows(
        "select relname from pg_class"
        " where relnamespace = 'stagebus'::regnamespace and relkind = 'v'"
    )
    assert {row.relname for row in installed} == defined


def test_every_file_of_sql_is_replayed() -> None:
    folder = code_files()[0].parents[1]
    scripts = set(folder.glob("psql/*.sql"))
    assert set(folder.rglob("*.sql")) == set(code_files()) | scripts


def test_the_kept_schema_dump_is_current(database_url: str) -> None:
    if server_version(database_url) != KEPT_VERSION:
        pytest.skip(f"the kept dump is PostgreSQL {KEPT_VERSION}'s")
    dump = schema_dump(database_url, functions=False)
    if os.environ.get("RENEW_SCHEMA_DUMP"):
        KEPT.write_text(dump, "utf-8")
    assert dump == KEPT.read_text("utf-8"), f"if the change is meant: {RENEW}"
