"""What a bridge process remembers of its claims, and when it takes none for its own any more."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bridge.batch import Claim
from bridge.claimed import ClaimedBatch
from bridge.database import Database
from bridge.lease import Lease
from bridge.witness import Witness
from tests.client import Client

SERVER = datetime(2026, 11, 1, tzinfo=UTC)
ANOTHER = SERVER + timedelta(days=1)


def new_claim() -> Claim:
    return Claim(
        job_id=uuid4(), batch_id=uuid4(), stage=1, claim_epoch=1, dispatch=1, task_type="tiles",
        entity_kind="queue", entity="tasks", max_send_bytes=1000, max_send_messages=10,
        published_through=0, last_index=9, average_body_bytes=100, atomic=False,
    )  # fmt: skip


@pytest.fixture
def witness() -> Witness:
    return Witness(uuid4())


def test_the_claims_at_work_are_remembered_and_the_last_commit_of_those_that_are_over(
    witness: Witness,
) -> None:
    early, late, at_work = claims = [new_claim() for _ in range(3)]
    witness.claimed(claims, SERVER)
    witness.committed(early, through=9, sends=1)
    witness.committed(late, settled=True)
    witness.let_go(late)
    witness.let_go(early)
    assert [write.claim for write in witness.writes()] == [at_work, late]
    witness.committed(at_work, through=4, sends=1)
    witness.committed(at_work, sends=1)
    write = witness.writes()[0]
    assert (write.published_through, write.sends, write.settled) == (4, 2, False)


def test_after_a_loss_nothing_is_remembered_and_a_late_answer_changes_nothing(
    witness: Witness,
) -> None:
    over, at_work = claims = [new_claim() for _ in range(2)]
    witness.claimed(claims, SERVER)
    witness.let_go(over)
    witness.forget(ANOTHER)
    witness.committed(at_work, through=9, sends=1)
    witness.let_go(at_work)
    assert witness.writes() == []
    assert witness.server_of(at_work) is None


def test_the_same_batch_under_the_same_epoch_is_another_claim(witness: Witness) -> None:
    """A lane may still hold what was lost when another lane gets it again."""
    lost = new_claim()
    witness.claimed([lost], SERVER)
    witness.forget(ANOTHER)
    again = replace(lost)
    witness.claimed([again], ANOTHER)
    assert witness.server_of(again) == ANOTHER
    assert witness.server_of(lost) is None
    witness.let_go(lost)
    assert witness.server_of(again) == ANOTHER


def test_a_claim_counts_on_the_server_that_gave_it_until_another_was_asked_for_it(
    witness: Witness,
) -> None:
    """Of what came since the question nothing is known."""
    asked, since = new_claim(), new_claim()
    witness.claimed([asked], SERVER)
    writes = witness.writes()
    witness.claimed([since], SERVER)
    witness.found(writes, ANOTHER)
    assert witness.server_of(asked) == ANOTHER
    assert witness.server_of(since) == SERVER


def test_no_send_begins_and_nothing_is_written_under_a_claim_that_was_forgotten(
    client: Client, bridge_url: str, witness: Witness
) -> None:
    client.create_stage_tasks(client.create_job(), 1, "h3_hexagon", 10)

    async def scenario() -> None:
        database = Database(bridge_url, "test", witness, allow_fsync_off=True)
        (claim,) = await database.claim_batches(1, 60, everything=True)
        batch = ClaimedBatch(claim, Lease(60, time.monotonic(), asyncio.Event()), database)
        assert await batch.outlasts(30)
        assert witness.server is not None
        witness.forget(witness.server)
        before = client.contents()
        assert not await batch.outlasts(30)
        assert not await batch.finish()
        assert not await batch.release(0, None, None)
        assert client.contents() == before
        await database.close()

    asyncio.run(scenario())
