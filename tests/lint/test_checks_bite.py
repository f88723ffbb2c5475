"""Each check of `make lint` that is ours, or set up by us, finds a defect that is planted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.plpgsql_check import findings
from tests.sql_style import problems, rules_for

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
GOOD = ROOT / "sql/30_settle/finish_batch.sql"


def broken_rules(path: Path, text: str) -> set[str]:
    """The names of the rules of sql/'s style that the text breaks."""
    return {rule.__name__ for rule in rules_for(path) if list(rule(path, text))}


def test_a_file_of_ours_breaks_no_rule() -> None:
    assert broken_rules(GOOD, GOOD.read_text("utf-8")) == set()


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("    update batches", "   update batches", "lines_are_indented_by_fours"),
        ("    update batches", "    update batches" + " " * 100, "lines_fit"),
        ("update batches", "UPDATE batches", "keywords_are_lower_case"),
        ("finish_batch(", "end_batch(", "file_is_named_for_its_function"),
        ("set search_path = stagebus_data, stagebus, pg_temp\n", "", "functions_are_whole"),
        ("comment on function", "-- comment on function", "functions_are_whole"),
        ("    where ", "    and others when others then ", "functions_are_whole"),
        ("    p_batch_id uuid", "    batch_id uuid", "functions_are_whole"),
        ("begin\n", "begin\n    execute 'select 1';\n", "functions_are_whole"),
        ("    v_now   timestamptz", "    now   timestamptz", "functions_are_whole"),
        ("security definer\n", "security definer\nstable\n", "attributes_are_in_order"),
        ("uuid,\n    p_batch_id", "uuid, p_batch_id", "parameters_have_a_line_each"),
        ("stagebus.clock()", "clock_timestamp()", "time_has_one_source"),
        (
            "        and b.state = 'publishing' and b.claim",
            "        and b.claim",
            "a_state_follows_from_the_state_before",
        ),
        (
            "-- All of",
            "create type s as enum ('a');\n-- All of",
            "nothing_is_an_enum_or_a_trigger",
        ),
    ],
)
def test_the_style_of_sql_is_checked(before: str, after: str, rule: str) -> None:
    text = GOOD.read_text("utf-8")
    assert before in text
    assert rule in broken_rules(GOOD, text.replace(before, after))


def test_the_style_of_migrations_is_checked() -> None:
    path = ROOT / "migrations/0003.jobs-stages-tasks.sql"
    text = path.read_text("utf-8")
    assert list(problems(path)) == []
    named = "constraint nonce_is_10_hex_digits check"
    assert broken_rules(path, text.replace(named, "check")) == {"checks_have_names"}
    assert broken_rules(path, text.replace("create", "CREATE")) == {"keywords_are_lower_case"}


def test_a_file_begins_with_its_intent() -> None:
    text = GOOD.read_text("utf-8")
    without = "".join(line for line in text.splitlines(True) if not line.startswith("--"))
    assert "intent_comes_first" in broken_rules(GOOD, without)


def test_a_code_that_is_none_is_found() -> None:
    text = GOOD.read_text("utf-8") + "perform stagebus.raise_error('SB9', '', '', '');\n"
    assert "names_of_errors_are_known" in broken_rules(GOOD, text)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("alter table t add column c integer not null;", "adding-required-field"),
        ("alter table t alter column c type bigint;", "changing-column-type"),
        ("create index i on t (c);", "require-concurrent-index-creation"),
    ],
)
def test_a_migration_that_would_block_a_live_database_is_found(
    statement: str, rule: str, tmp_path: Path
) -> None:
    migration = tmp_path / "0006.planted.sql"
    migration.write_text(statement + "\n", "utf-8")
    done = subprocess.run(
        [BIN / "squawk", "-c", ROOT / ".squawk.toml", "--reporter", "Gcc", migration],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert rule in done.stdout


@pytest.fixture
def checked(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session in a migrated database of a server that has plpgsql_check."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        if not connection.execute(
            "select from pg_available_extensions where name = 'plpgsql_check'"
        ).fetchall():
            pytest.skip("this server has no plpgsql_check: .ci/debian-postgres make test")
        yield connection


def test_plpgsql_check_finds_nothing_in_ours_and_what_is_planted(
    checked: psycopg.Connection[tuple[object, ...]],
) -> None:
    assert list(findings(checked)) == []
    checked.execute(
        "create function stagebus.planted() returns void language plpgsql as"
        " $$ begin perform no_such_column from stagebus_data.jobs; end $$"
    )
    found = list(findings(checked))
    assert all("planted()" in finding for finding in found)
    assert any("no_such_column" in finding for finding in found), found
