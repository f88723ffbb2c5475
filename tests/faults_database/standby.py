"""Copies of a local server: a standby, which can be promoted, and a backup to go back to."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge.local.postgres import LocalPostgres, server_binaries
from tests.client import Client
from tests.eventually import eventually


@contextmanager
def standby_of(primary: LocalPostgres, *, synchronous: bool = True) -> Iterator[LocalPostgres]:
    """A copy that follows, running; `synchronous`: commits wait until it has them on its disk."""
    with _folder_beside(primary) as folder:
        standby = LocalPostgres(folder, version=primary.version, port=0, settings=primary.settings)
        try:
            _copy(primary, standby.data, "--write-recovery-conf")
            standby.start()
            with Client(primary.url()) as client:
                if synchronous:
                    # Not in the copy: once promoted, it waits for nobody.
                    client.execute("alter system set synchronous_standby_names = '*'")
                    client.execute("select pg_reload_conf()")
                eventually(
                    lambda: client.value(
                        "select count(*) from pg_stat_replication where sync_state = %s"
                        " and state = 'streaming'",
                        "sync" if synchronous else "async",
                    )
                )
            yield standby
        finally:
            standby.stop(signal.SIGQUIT)


def stop_following(standby: LocalPostgres) -> None:
    """From here on the standby receives nothing."""
    with Client(standby.url()) as client:
        client.execute("alter system set primary_conninfo = ''")
        client.execute("select pg_reload_conf()")
        eventually(lambda: not client.value("select count(*) from pg_stat_wal_receiver"))


@contextmanager
def backup_of(server: LocalPostgres) -> Iterator[Path]:
    """A data folder as it is now; `restore` goes back to it."""
    with _folder_beside(server) as folder:
        _copy(server, folder / "data")
        yield folder / "data"


def restore(server: LocalPostgres, backup: Path) -> None:
    """The same server at the same address, with what it had when the backup was made."""
    server.stop(signal.SIGQUIT)
    shutil.rmtree(server.data)
    backup.rename(server.data)
    server.start()


@contextmanager
def _folder_beside(server: LocalPostgres) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="stagebus-copy-", dir=server.folder.parent))
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(server: LocalPostgres, to: Path, *options: str) -> None:
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        # As the server itself: what it makes must be the server's.
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    subprocess.run(
        [
            str(server_binaries(server.version) / "pg_basebackup"),
            *("--dbname", server.url(), "--pgdata", str(to)),
            *("--checkpoint", "fast", "--no-sync", *options),
        ],
        check=True,
        cwd="/",
        **account,
    )
