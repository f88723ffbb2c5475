"""What every migration file must be, so that it can be rolled back."""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "migrations"
FILES = sorted(path for path in FOLDER.glob("*.sql") if not path.name.endswith(".rollback.sql"))

#: Of each file of a release, as sha256sum prints it.
RELEASED = Path(__file__).with_name("released.sha256")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_migration_has_a_rollback(path: Path) -> None:
    assert path.with_suffix(".rollback.sql").read_text("utf-8").strip()


def test_each_migration_depends_on_the_one_before() -> None:
    for before, path in pairwise(FILES):
        depends = re.findall(r"^-- depends: (\S+)$", path.read_text("utf-8"), re.MULTILINE)
        assert depends == [before.stem]


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [int(path.name.split(".")[0]) for path in FILES]
    assert numbers == list(range(1, len(FILES) + 1))


def test_a_migration_of_a_release_is_as_it_was_released() -> None:
    """Databases have it, and will not run it again: another migration changes what it made."""
    for line in RELEASED.read_text("ascii").splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
