"""A streaming standby of a local server, which can be promoted."""

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
def standby_of(primary: LocalPostgres) -> Iterator[LocalPostgres]:
    """A copy that follows, running; the primary's commits wait until it has them on its disk."""
    folder = Path(tempfile.mkdtemp(prefix="stagebus-standby-", dir=primary.folder.parent))
    standby = LocalPostgres(folder, version=primary.version, port=0, settings=primary.settings)
    account: dict[str, Any] = {}
    if os.geteuid() == 0:
        # As the server itself: what it makes must be the server's.
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    try:
        subprocess.run(
            [
                str(server_binaries(primary.version) / "pg_basebackup"),
                *("--dbname", primary.url(), "--pgdata", str(standby.data)),
                *("--checkpoint", "fast", "--write-recovery-conf", "--no-sync"),
            ],
            check=True,
            cwd="/",
            **account,
        )
        standby.start()
        with Client(primary.url()) as client:
            # Not in the copy: once promoted, it waits for nobody.
            client.execute("alter system set synchronous_standby_names = '*'")
            client.execute("select pg_reload_conf()")
            eventually(
                lambda: client.value(
                    "select count(*) from pg_stat_replication where sync_state = 'sync'"
                )
            )
        yield standby
    finally:
        standby.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)
