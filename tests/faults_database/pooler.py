"""A PgBouncer in transaction mode before the server of the tests."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.eventually import eventually

#: Where Debian puts it; not on everybody's PATH.
DEBIAN = Path("/usr/sbin/pgbouncer")


def program() -> str:
    """PgBouncer's path; skips where there is none, but not in CI."""
    found = shutil.which("pgbouncer") or (str(DEBIAN) if DEBIAN.exists() else None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI wants PgBouncer: .ci/pgbouncer installs it")
        pytest.skip("wants PgBouncer (Debian's package pgbouncer)")
    return found


@dataclass(frozen=True)
class Pooler:
    """A PgBouncer that runs."""

    url: str
    process: subprocess.Popen[bytes]
    configuration: Path

    def redirect(self, database_url: str) -> None:
        """Leads to another server from here on; its clients are not told."""
        server = conninfo_to_dict(database_url)
        written = self.configuration.read_text()
        self.configuration.write_text(re.sub(r"\* = .*", _databases(server), written))
        self.process.send_signal(signal.SIGHUP)
        with psycopg.connect(database_url) as direct:
            expected = _started_at(direct)

        def leads_there() -> bool:
            with psycopg.connect(self.url) as pooled:
                return _started_at(pooled) == expected

        eventually(leads_there)


def _started_at(connection: psycopg.Connection[Any]) -> Any:
    return connection.execute("select pg_postmaster_start_time()").fetchone()


def _databases(server: Mapping[str, Any]) -> str:
    return f"* = host={server['host']} port={server['port']}"


@contextmanager
def pgbouncer(database_url: str, *, size: int) -> Iterator[str]:
    """The same database through a pool of `size` sessions; yields its URL."""
    with pooler(database_url, size=size) as running:
        yield running.url


@contextmanager
def pooler(database_url: str, *, size: int) -> Iterator[Pooler]:
    """The same database through a pool of `size` sessions."""
    binary = program()
    server = conninfo_to_dict(database_url)
    folder = Path(tempfile.mkdtemp(prefix="stagebus-pool-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "users").write_text(f'"{server["user"]}" "{server.get("password") or ""}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{_databases(server)}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {folder / 'users'}\n"
        f"pool_mode = transaction\ndefault_pool_size = {size}\n"
        "server_login_retry = 1\n"
    )
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        # It refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        folder.chmod(0o755)
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [binary, str(folder / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            **account,
        )
    url = make_conninfo(database_url, host="127.0.0.1", port=port)
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                return False
            return True

        eventually(answers)
        yield Pooler(url, process, folder / "pgbouncer.ini")
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
