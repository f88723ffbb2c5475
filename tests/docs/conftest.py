"""An operator with psql and docs/runbook.md, and what the bridge's tests have."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from click.testing import CliRunner

from bridge.cli import main
from tests.bridge.conftest import (
    BridgeProcess,
    audiences,
    bridge_url,
    empty_queue,
    endpoint,
    queue,
    settings,
    start_bridge,
)
from tests.client import Client
from tests.docs.runbook import beginning, sections
from tests.eventually import eventually
from tests.psql import Psql

__all__ = [
    "audiences", "bridge_url", "empty_queue", "endpoint", "queue", "settings", "start_bridge",
]  # fmt: skip

NIGHT_WATCH = f"stagebus_test_night_watch_{os.getpid()}"


class Operator:
    """Reads a section of the page, and types what it says and nothing else."""

    def __init__(self, psql: Psql, client: Client) -> None:
        self._psql = psql
        self._client = client
        self._asked = beginning()[0]

    def is_about(self, job_id: UUID) -> None:
        """The job that somebody complained of."""
        self._psql.set("job", job_id)
        self._asked = "".join(beginning()[:2])

    def answer(self, query: str) -> str:
        return "\n".join(self._psql.run(query))

    def answers(self) -> str:
        """What `doctor` and `why_stuck` say now."""
        return self.answer(self._asked)

    def sees(self, number: int, either: int = 0) -> None:
        """All that the section says one sees is there."""
        answers = self.answers()
        for pattern in sections()[number].seen[either]:
            assert pattern.search(answers), (pattern.pattern, answers)

    def sees_it_no_more(self, number: int, either: int = 0) -> None:
        """Nothing of that is there; what takes a moment to end is waited for."""

        def look() -> bool:
            answers = self.answers()
            return not any(p.search(answers) for p in sections()[number].seen[either])

        eventually(look)

    def types(self, number: int, start_bridge: Callable[..., BridgeProcess] | None = None) -> str:
        """What psql and the shell printed; `stagebus bridge` goes on beside them."""
        printed: list[str] = []
        for language, block in sections()[number].typed:
            if language == "sql":
                printed += self._psql.run(block)
                continue
            for line in block.splitlines():
                program, command, *arguments = line.split()
                assert program == "stagebus"
                if command == "bridge":
                    assert start_bridge is not None
                    start_bridge(*arguments).wait_for("bridge.started")
                else:
                    printed.append(in_shell(self._client, command, *arguments))
        assert printed or start_bridge
        return "\n".join(printed)

    def types_instead(self, number: int) -> str:
        """What the section names as the other way, behind `--`."""
        (block,) = (block for _, block in sections()[number].typed)
        (other,) = (line for line in block.splitlines() if line.startswith("-- "))
        return self.answer(other.removeprefix("-- "))


def in_shell(client: Client, *arguments: str) -> str:
    """What a command of stagebus prints, whatever its exit code."""
    done = CliRunner().invoke(main, arguments, env={"STAGEBUS_DATABASE_URL": client.url})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.output


@contextmanager
def night_watch(client: Client) -> Iterator[Operator]:
    """A login with what the beginning of the page grants."""
    client.execute(f"drop role if exists {NIGHT_WATCH}")
    client.execute(f"create role {NIGHT_WATCH} login")
    with Psql(client.url) as administrator:
        administrator.run(beginning()[2].replace("night_watch", NIGHT_WATCH))
    with Psql(client.url, role=NIGHT_WATCH) as psql:
        yield Operator(psql, client)
    client.execute(f"drop role {NIGHT_WATCH}")


@pytest.fixture
def operator(client: Client) -> Iterator[Operator]:
    with night_watch(client) as operator:
        yield operator
