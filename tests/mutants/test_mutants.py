"""Every mutant still applies to the code there is, and the runner tells its verdicts apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.bench import BROKEN, KILLED, ROOT, SURVIVED, Bench
from tests.mutants.mutant import DoesNotApply, Mutant
from tests.mutants.mutants import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_its_tests_are_there(mutant: Mutant) -> None:
    mutated = mutant.mutated(ROOT)
    assert mutated != (ROOT / mutant.file).read_text("utf-8"), "it changes nothing"
    assert mutant.tests, "nothing would notice"
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file()
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / file).read_text("utf-8")


def test_there_are_enough_and_each_has_a_name_and_a_place_of_its_own() -> None:
    assert len(MUTANTS) >= 25
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.mutated(ROOT) for mutant in MUTANTS}) == len(MUTANTS)


def test_a_snippet_that_is_there_twice_or_not_at_all_does_not_apply(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("select 1, 1;\n", "utf-8")
    for before in ("1", "2"):
        with pytest.raises(DoesNotApply):
            mutant("a.sql", before, "3").mutated(tmp_path)
    assert mutant("a.sql", "1", "3", times=2).mutated(tmp_path) == "select 3, 3;\n"


#: What stands for sql/, for the fixture that installs it, and for the tests.
LIMIT = "7\n"
PROJECT = """
from pathlib import Path

import psycopg
import pytest


@pytest.fixture
def limit():
    return int((Path(__file__).parent / "limit.sql").read_text())


def test_it_is_read(limit):
    assert limit != 99


def test_it_is_small(limit):
    if limit == 42:
        raise psycopg.errors.UndefinedColumn('column "limt" does not exist')
    assert limit < 10
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A project of one file that can be mutated."""
    (tmp_path / "limit.sql").write_text(LIMIT, "utf-8")
    (tmp_path / "test_limit.py").write_text(PROJECT, "utf-8")
    # Without the plugins pytest starts in a fifth of the time.
    plain = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return Bench(tmp_path, plain, installs=["test_limit.py::test_it_is_read"])


def mutant(file: str, before: str, after: str, *tests: str, times: int = 1) -> Mutant:
    return Mutant("one", file, before, after, "it would be wrong", tests, times)


@pytest.mark.parametrize(
    ("after", "kind", "says"),
    [
        ("11", KILLED, "test_limit::test_it_is_small"),
        ("9", SURVIVED, "2 tests passed"),
        ("select", BROKEN, "does not install"),
        ("99", BROKEN, "cannot be run"),
        ("42", BROKEN, "cannot be run"),
    ],
)
def test_a_mutant_is_killed_by_a_failing_test_and_by_nothing_else(
    bench: Bench, after: str, kind: str, says: str
) -> None:
    verdict = bench.judge(
        mutant("limit.sql", "7", after, "test_limit.py::test_it_is_small"),
        {"test_limit::test_it_is_read", "test_limit::test_it_is_small"},
    )
    assert (verdict.kind, says in verdict.what) == (kind, True), verdict
    assert (bench.copy / "limit.sql").read_text("utf-8") == LIMIT


def test_tests_that_are_not_there_or_fail_anyway_kill_nothing(bench: Bench) -> None:
    missing = mutant("limit.sql", "7", "11", "test_limit.py::test_no_such")
    assert bench.judge(missing, set()).kind == BROKEN
    anyway = mutant("limit.sql", "7", "11", "test_limit.py")
    assert bench.unharmed([anyway]).passed == {
        "test_limit::test_it_is_read",
        "test_limit::test_it_is_small",
    }
    assert bench.judge(anyway, {"test_limit::test_it_is_read"}).kind == BROKEN
