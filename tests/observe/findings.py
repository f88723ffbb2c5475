"""What `doctor` finds, but for what the server of most tests is told for speed."""

from __future__ import annotations

from typing import Any

from tests.client import Client

OF_TESTS = "^(fsync|full_page_writes|synchronous_commit|autovacuum) is off"


def findings(client: Client, code: str | None = None) -> list[Any]:
    return client.rows(
        "select * from stagebus.doctor(%s) where severity <> 'ok' and finding !~ %s",
        code,
        OF_TESTS,
    )


def the_finding(client: Client, severity: str, *words: str) -> Any:
    (row,) = findings(client)
    assert row.severity == severity
    for word in words:
        assert word in row.finding
    return row


def mend(client: Client, row: Any) -> None:
    """Types what it says, as an operator."""
    client.session("stagebus_operator").execute(row.fix)
