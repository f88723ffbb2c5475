"""What `why_stuck` says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.client import Client


def why(client: Client, job_id: UUID) -> list[Any]:
    return client.rows("select * from stagebus.why_stuck(%s)", job_id)


def causes(client: Client, job_id: UUID) -> list[str]:
    return [row.cause for row in why(client, job_id)]


def the_cause(client: Client, job_id: UUID, cause: str, *evidence: str) -> Any:
    """The one row that there is, of this cause, with these words in its evidence."""
    (row,) = why(client, job_id)
    assert row.cause == cause
    for words in evidence:
        assert words in row.evidence
    return row


def mend(client: Client, row: Any) -> None:
    """Types what it says, as an operator."""
    client.session("stagebus_operator").execute(row.fix)
