"""Which faults a run schedules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.faults.evidence import read_journal
from tests.faults.kinds import all_kinds, schedule
from tests.faults.ledger import Ledger, read
from tests.faults.run import Plan


def test_the_same_seed_schedules_the_same_faults() -> None:
    one, same, other = (schedule(seed, 60, all_kinds(clocks=True), 1) for seed in (3, 3, 4))
    assert one == same
    assert one != other


def test_ten_minutes_have_ten_faults_of_each_kind() -> None:
    pace = Plan(10, 1, Path()).pace
    for seed in range(1, 30):
        kinds = all_kinds(clocks=True)
        drawn = Counter(fault.kind for fault in schedule(seed, 600, kinds, pace))
        assert set(drawn) == set(kinds)
        assert min(drawn.values()) >= 10


def test_a_line_that_its_process_did_not_finish_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger(path).write(("commit", "a", 1.0), ("rollback", "b"))
    with path.open("a") as file:
        file.write("commit\tc")
    assert list(read([path])) == [["commit", "a", "1.0"], ["rollback", "b"]]


def test_the_journal_is_dated_by_how_long_it_was_when(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    lines = ["tasks\t1\ta\n", "tasks\t0\ta\n", "jobs\t1\tb\n"]
    journal.write_text("".join(lines))
    two = len(lines[0] + lines[1])
    taken = read_journal(journal, [(1.0, 0), (2.0, two), (3.0, two + len(lines[2]))])
    assert [(each.entity, each.stored, each.at) for each in taken] == [
        ("tasks", True, 2.0),
        ("tasks", False, 2.0),
        ("jobs", True, 3.0),
    ]
