"""`stagebus pause`, `resume`, `rate-limit` and `priority` set what they say, and show it.

And what these and the commands that give orders refuse.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.client import Client


def run(database_url: str, *arguments: object) -> Result:
    command, *others = map(str, arguments)
    return CliRunner().invoke(main, [command, "--database-url", database_url, *others])


def run_json(database_url: str, *arguments: object) -> dict[str, Any]:
    result = run(database_url, *arguments, "--json")
    assert result.exit_code == 0, result.output
    row: dict[str, Any]
    (row,) = json.loads(result.stdout)
    return row


def test_a_destination_is_paused_and_resumed(client: Client, database_url: str) -> None:
    paused = run_json(database_url, "pause", "tasks", "--reason", "the key is revoked")
    assert paused["status"] == "paused"
    assert paused["pause_reason"].startswith("the key is revoked, by ")
    assert client.destination().status == "paused"
    assert run_json(database_url, "resume", "tasks")["status"] == "active"
    assert client.destination().status == "active"


def test_a_rate_is_limited_and_free_again(client: Client, database_url: str) -> None:
    assert run_json(database_url, "rate-limit", "tasks", "2000")["per_second"] == 2000
    assert client.destination().per_second == 2000
    assert run_json(database_url, "rate-limit", "tasks", "none")["per_second"] is None
    assert client.destination().per_second is None


def test_a_job_has_a_priority(client: Client, database_url: str) -> None:
    job_id = client.create_job()
    assert run_json(database_url, "priority", job_id, 7)["priority"] == 7
    head, line = run(database_url, "priority", job_id, 3).stdout.splitlines()
    assert (head.split()[-1], line.split()[-1]) == ("priority", "3")


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("pause", "nowhere"), "destination 'nowhere' does not exist"),
        (("resume", "nowhere"), "destination 'nowhere' does not exist"),
        (("rate-limit", "nowhere", "5"), "destination 'nowhere' does not exist"),
        (("rate-limit", "tasks", "0"), "a rate limit of 0 is not usable"),
        (("rate-limit", "tasks", "nan"), "is not usable"),
        (("priority", UUID(int=7), "5"), "does not exist"),
        (("cancel", UUID(int=7), "--yes"), "does not exist"),
        (("cancel", UUID(int=7)), "does not exist"),
        (("retry", UUID(int=7), "--stage", 1), "does not exist"),
        (("redrive", UUID(int=7), "--stage", 1), "does not exist"),
        (("hold", UUID(int=7), UUID(int=7)), "does not exist"),
        (("unhold", UUID(int=7), UUID(int=7)), "does not exist"),
        (("retry-batch", UUID(int=7), UUID(int=7)), "does not exist"),
        (("undo", 7), "order 7 does not exist"),
    ],
)
def test_what_is_refused_is_told_in_one_line(
    database_url: str, arguments: tuple[object, ...], rule: str
) -> None:
    result = run(database_url, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert rule in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("pause",),
        ("rate-limit", "tasks"),
        ("rate-limit", "tasks", "few"),
        ("priority", UUID(int=7), "10"),
        ("priority", "tomorrow", "5"),
        ("cancel", "tomorrow"),
        ("cancel", UUID(int=7), "--stage", 0),
        ("retry", UUID(int=7)),
        ("retry", UUID(int=7), "--stage", 1, "--parameters", "{"),
        ("retry", UUID(int=7), "--stage", 1, "--parameters", "[]"),
        ("retry", UUID(int=7), "--stage", 1, "--status", "queued"),
        ("retry", UUID(int=7), "--stage", 1, "--at-most", 0),
        ("hold", UUID(int=7)),
        ("undo", 0),
        ("orders", "--limit", 0),
    ],
)
def test_a_wrong_call_exits_with_2(database_url: str, arguments: tuple[object, ...]) -> None:
    assert run(database_url, *arguments).exit_code == 2
