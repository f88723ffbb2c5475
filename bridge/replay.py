"""The code in sql/ is replayed whole: what it makes is there afterwards, and nothing else is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from psycopg import errors

from bridge.errors import MigrationError

#: The folder of sql/ that grants rights on what the folders before it made.
GRANTS = "90_roles"

# A function that was replaced has a new row: its place (ctid) or its maker (xmin) is another.
_FUNCTIONS = """
select p.oid::bigint, p.xmin::text, p.ctid::text,
    format('function %I.%I(%s)', 'stagebus', p.proname, pg_get_function_identity_arguments(p.oid))
from pg_proc as p
where p.pronamespace = to_regnamespace('stagebus') and p.prokind = 'f'
"""

_VIEWS = """
select c.relname, format('view %I.%I', 'stagebus', c.relname) from pg_class as c
where c.relnamespace = to_regnamespace('stagebus') and c.relkind = 'v'
"""


def directory(name: str) -> Path:
    """The folder `sql` or `migrations`: in the installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    for candidate in (here / name, here.parent / name):
        if candidate.is_dir():
            return candidate
    raise MigrationError(f"the folder {name} is missing from this installation")


def code_files() -> list[Path]:
    """The files of sql/ in the order in which they are replayed."""
    return sorted(directory("sql").glob("[0-9]*/*.sql"))


def code_script(wanted: Callable[[Path], bool] = lambda path: True) -> str:
    """All of sql/, or the wanted files of it, as one script."""
    root = directory("sql")
    return "\n".join(
        f"-- sql/{path.relative_to(root).as_posix()}\n{path.read_text('utf-8')}"
        for path in code_files()
        if wanted(path)
    )


def code_digest() -> str:
    """SHA-256 of sql/ in hexadecimal: what `--check` and `doctor` compare with the database."""
    return hashlib.sha256(code_script().encode()).hexdigest()


def replay_code(connection: Any) -> None:
    """Replays sql/ and stamps its digest, in the caller's transaction.

    Functions and views that are not in sql/ any more go, old signatures included. Raises
    MigrationError when something that is not ours is built on one of them.
    """
    cursor = connection.cursor()
    before = set(cursor.execute(_FUNCTIONS).fetchall())
    cursor.execute(code_script(lambda path: path.parent.name < GRANTS))
    untouched = before & set(cursor.execute(_FUNCTIONS).fetchall())
    made = set(re.findall(r"create or replace view stagebus\.(\w+)", code_script()))
    _drop(
        cursor,
        sorted(
            [row[-1] for row in untouched]
            + [view for name, view in cursor.execute(_VIEWS).fetchall() if name not in made]
        ),
    )
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


def _drop(cursor: Any, stale: list[str]) -> None:
    """Drops functions and views that may be built on each other, in the order that works."""
    while stale:
        refused: dict[str, str | None] = {}
        for each in stale:
            cursor.execute("savepoint before_drop")
            try:
                cursor.execute(f"drop {each}")
            except errors.DependentObjectsStillExist as error:
                cursor.execute("rollback to savepoint before_drop")
                refused[each] = error.diag.message_detail
            cursor.execute("release savepoint before_drop")
        if len(refused) == len(stale):
            each, detail = next(iter(refused.items()))
            raise MigrationError(
                f"{each} is no longer part of stagebus, but something is built on it:"
                f" {detail}; drop that first"
            )
        stale = list(refused)
