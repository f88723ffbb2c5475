"""What programs measure reaches the file of results, its bounds, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner

from benchmarks import report
from benchmarks.__main__ import PROGRAMS, out_of_bounds
from benchmarks.measure import (
    Measured,
    Series,
    once,
    over,
    paired,
    percentile,
    program,
    ratios,
    short,
    told,
)
from benchmarks.scale import exponent


@program
@click.option("--rounds", default=3)
@click.option("--size", "sizes", multiple=True, default=[10, 1000])
def example(rounds: int, sizes: tuple[int, ...]) -> Measured:
    """Measures nothing."""
    line = [(1.0, 2.0), (10.0, 20.0)]
    return {
        "example_rows_per_s": over([3.0, 1.0, 2.0], "rows/s"),
        "curve": Series("tasks", "seconds", {"a < b": line}),
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "build" / "bench.json"
    done = CliRunner().invoke(example, ["--rounds", "5", "--results", str(path)])
    assert done.exit_code == 0, done.output
    assert "2 rows/s (1 – 3)" in done.output
    return path


def test_a_program_adds_its_figures_with_what_one_must_know_to_repeat_them(results: Path) -> None:
    record = json.loads(results.read_text())["test_results"]
    assert record["command"] == (
        "python -m benchmarks.test_results --rounds 5 --size 10 --size 1000"
    )
    assert record["figures"]["example_rows_per_s"] == {
        "value": 2.0, "least": 1.0, "largest": 3.0, "rounds": 3, "unit": "rows/s",
    }  # fmt: skip
    assert {"PostgreSQL", "Python", "azure-servicebus", "commit"} <= set(record["versions"])


def test_a_program_leaves_the_figures_of_others(results: Path) -> None:
    known = json.loads(results.read_text())
    results.write_text(json.dumps({"other": {"figures": {}}, **known}))
    CliRunner().invoke(example, ["--rounds", "7", "--results", str(results)])
    after = json.loads(results.read_text())
    assert set(after) == {"other", "test_results"}
    assert "--rounds 7" in after["test_results"]["command"]


def test_the_page_has_tables_and_plots_of_what_was_measured_and_keeps_the_rest(
    results: Path, tmp_path: Path
) -> None:
    page = tmp_path / "README.md"
    kept = "<!-- measured: create -->\nnot now\n<!-- end -->\nmore prose\n"
    page.write_text(f"prose\n<!-- measured: test_results -->\nold\n<!-- end -->\n{kept}")
    for _ in range(2):  # What it has written, it can replace.
        done = CliRunner().invoke(
            report.main, ["--results", str(results), "--page", str(page)], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
    text = page.read_text()
    assert text.startswith("prose\n<!-- measured: test_results -->\n| figure |")
    assert "old" not in text
    assert text.endswith(kept)
    assert "| `example_rows_per_s` | 2 rows/s (1 – 3) |" in text
    assert text.count("![curve](plots/curve.svg)") == 1
    svg = ElementTree.fromstring((tmp_path / "plots" / "curve.svg").read_text())
    texts = {each.text for each in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"curve", "tasks", "seconds", "a < b", "1", "10"} <= texts


def test_the_page_has_a_place_for_each_program() -> None:
    page = report.PAGE.read_text()
    for name in [*PROGRAMS, "held", "scale"]:
        assert page.count(f"<!-- measured: {name} -->") == 1, name
    assert page.count("<!-- measured: ") == page.count("<!-- end -->") == len(PROGRAMS) + 2


@pytest.mark.parametrize(
    ("name", "value", "complaints"),
    [
        ("relay_ratio_to_sdk", 4.0, 0),
        ("relay_ratio_to_sdk", 3.9, 1),
        ("create_ratio_to_raw", 2.0, 0),
        ("create_ratio_to_raw", 2.1, 1),
        ("e2e_1m_s", 1e9, 0),
    ],
)
def test_only_two_ratios_are_judged(name: str, value: float, complaints: int) -> None:
    found = out_of_bounds({"program": {"figures": {name: {"value": value}}}})
    assert len(found) == complaints


def test_parts_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []

    def part(name: str) -> float:
        turns.append(name)
        return float(len(turns))

    rounds = paired(2, {"a": lambda: part("a"), "b": lambda: part("b")})
    assert turns == ["a", "b"] * 3
    assert rounds == [{"a": 3.0, "b": 4.0}, {"a": 5.0, "b": 6.0}]


def test_a_ratio_is_that_of_a_round() -> None:
    figure = ratios([{"a": 10, "b": 1}, {"a": 4, "b": 2}, {"a": 9, "b": 3}], "a", "b")
    assert (figure.value, figure.least, figure.largest) == (3, 2, 10)


def test_numbers_are_told_shortly() -> None:
    assert [short(size) for size in (7, 1000, 1500, 100_000, 1_000_000)] == [
        "7", "1k", "1500", "100k", "1m",
    ]  # fmt: skip
    assert told(once(1234567.8, "rows/s")) == "1,234,568 rows/s"
    assert told(once(0.123456)) == "0.1235"
    values = [float(each) for each in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([5.0], 99)) == (50, 99, 5)


def test_the_steepest_step_of_a_curve_counts() -> None:
    assert exponent([(1, 1), (10, 10), (100, 100)]) == pytest.approx(1)
    assert exponent([(1, 1), (10, 1), (100, 100)]) == pytest.approx(2)
