"""A schema dump that two servers of one major version agree on."""

from __future__ import annotations

import os
import re
import subprocess

import psycopg
import pytest

from bridge.local.postgres import PostgresError, server_binaries

SCHEMAS = ("stagebus", "stagebus_data")


def server_version(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        return connection.info.server_version // 10000


def schema_dump(database_url: str, *, functions: bool = True) -> str:
    """The DDL of both schemas, without what depends on the server or the week.

    functions=False leaves the schema of functions and views out.
    """
    schemas = SCHEMAS if functions else ("stagebus_data",)
    arguments = [f"--schema={schema}" for schema in schemas]
    try:
        binaries = server_binaries(server_version(database_url))
    except PostgresError as error:
        pytest.skip(f"wants a pg_dump of the server's version: {error}")
    text = subprocess.run(
        [str(binaries / "pg_dump"), "--schema-only", *arguments, database_url],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    # Partitions are named for the week in which the dump was made.
    text = re.sub(r"tasks_from_\d{8}", "tasks_from_WEEK", text)
    text = re.sub(r"FROM \('[0-9a-f-]{36}'\) TO \('[0-9a-f-]{36}'\)", "FROM … TO …", text)
    kept = [
        line
        for line in text.splitlines()
        if not re.match(r"--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict ", line)
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip() + "\n"
