"""What is in the wheel: the service, and the SQL that it installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def files_of(folder: str) -> set[str]:
    return {
        f"bridge/{path.relative_to(PROJECT).as_posix()}"
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and path.suffix in (".sql", ".py") and "__pycache__" not in path.parts
    }


def test_the_wheel_carries_every_file_of_sql_and_migrations(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = files_of("sql") | files_of("migrations")
    assert len(wanted) > 40
    assert wanted <= names
    assert {"bridge/cli.py", "bridge/py.typed", "bridge/sql/psql/psqlrc"} <= names
    assert not {name for name in names if "__pycache__" in name or name.startswith("tests/")}


def test_an_installed_wheel_finds_its_sql_beside_itself(tmp_path: Path) -> None:
    """Unpacked far from any checkout, it has the same code and the same migrations."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from bridge import migrate; print(migrate.__file__, migrate.code_digest(),"
        " len(migrate._read_migrations()))"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", ask, str(place)],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for place in (tmp_path / "site", PROJECT)
    ]
    assert str(tmp_path) in answers[0][0]
    assert str(tmp_path) not in answers[1][0]
    assert answers[0][1:] == answers[1][1:]
