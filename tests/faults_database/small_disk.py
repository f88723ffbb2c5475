"""A server whose disk can be filled: its data lies on a small file system of its own."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bridge.local.postgres import LocalPostgres
from bridge.migrate import migrate
from tests.conftest import version
from tests.faults_database.conftest import LOGIN

#: Enough for a new cluster, what its tests write, and its log in between.
MEGABYTES = 256

#: Little log is kept, so that none is left over to be written anew.
SETTINGS = {"min_wal_size": "32MB", "max_wal_size": "32MB", "autovacuum": "off"}


@dataclass(frozen=True)
class Disk:
    """A file system, and the server that has its data there."""

    folder: Path
    postgres: LocalPostgres

    @property
    def filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """Leaves no byte."""
        with self.filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """There is space again; a server that gave up is started, as its keeper would do."""
        self.filler.unlink()
        try:
            psycopg.connect(self.postgres.url()).close()
        except psycopg.OperationalError:
            self.postgres.stop(signal.SIGQUIT)
            self.postgres.start()


@contextmanager
def small_disk() -> Iterator[Disk]:
    """A migrated server on a file system of its own; skips where none can be made."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stagebus-disk-")))
        folder.chmod(0o711)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=711", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
            text=True,
        )
        if mounted.returncode != 0:
            pytest.skip(f"wants to mount a small file system: {mounted.stderr.strip()}")
        stack.callback(subprocess.run, ["umount", str(folder)], check=True)
        postgres = LocalPostgres(folder / "pg", version=version(), port=0, settings=SETTINGS)
        stack.callback(postgres.stop, signal.SIGQUIT)
        postgres.start()
        migrate(postgres.url())
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(f"create role {LOGIN} login in role stagebus_bridge")
        yield Disk(folder, postgres)
