"""psql itself, for scripts and pages that are written to be typed into it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from bridge.local.postgres import PostgresError, server_binaries
from tests.conftest import version

_END = "-- the end of a block --"


def psql_binary() -> str:
    """That of the tested version, or any there is; skips without one."""
    try:
        return str(server_binaries(version()) / "psql")
    except PostgresError:
        found = shutil.which("psql")
        if found is None:
            pytest.skip("wants psql")
        return found


def blocks(page: Path) -> list[str]:
    """The SQL of a page, one string per block, in order."""
    return re.findall(r"^```sql\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


class Psql:
    """One session; an error of any statement ends it, and the test."""

    def __init__(self, url: str, *, role: str | None = None) -> None:
        arguments = [psql_binary(), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if role is not None:
            self.run(f'set session authorization "{role}";')

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def set(self, name: str, value: object) -> None:
        """A variable of psql."""
        self.run(f"\\set {name} '{value}'")

    def run(self, script: str) -> list[str]:
        """What it printed, by line: columns divided by `|`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{script}\n\\echo {_END}\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.rstrip("\n") == _END:
                return lines
            lines.append(line.rstrip("\n"))
        raise AssertionError("psql ended: " + "\n".join(lines))

    def run_file(self, path: Path) -> list[str]:
        """As `psql -f`."""
        return self.run(f"\\i {path}")
