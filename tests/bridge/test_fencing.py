"""A bridge that was too slow: another has its batch, and its word does not count any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from bridge.settings import Settings
from tests.bridge.conftest import (
    LOSES_CONNECTIONS,
    Queue,
    all_queued,
    assert_ledger_is_whole,
    create_stage,
    running,
    sends_of,
    through_gate,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import becomes

pytestmark = LOSES_CONNECTIONS

Make = Callable[..., Settings]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def expire_leases(client: Client) -> None:
    client.execute(
        "update stagebus_data.batches set lease_until = clock_timestamp() - interval '1 s'"
        " where state = 'publishing'"
    )


def test_a_bridge_whose_lease_was_taken_over_is_refused_at_its_next_record(
    client: Client, queue: Queue, gated: Make, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    client.set_destination("tasks", max_send_messages=10)
    caplog.set_level("INFO", "stagebus")

    async def scenario() -> UUID:
        async with running(gated(connections=1)):
            create_stage(client, 10, task_type="shapes")
            await becomes(lambda: all_queued(client))
            gate.hold_answers()
            job_id = create_stage(client, 40)
            await becomes(lambda: queue.stored == 20)
            # Another bridge finds the lease run out, while the answer to a send is on its way.
            expire_leases(client)
            (taken,) = client.claim_batches(1)
            gate.open()
            await becomes(lambda: "batch.fenced" in events(caplog))
            assert client.batch(taken).claim_epoch == taken.claim_epoch
            assert client.batch(taken).published_through == taken.published_through == 0
            assert client.release_batch(taken)
            await becomes(lambda: all_queued(client))
            return job_id

    job_id = asyncio.run(scenario())
    (stopped,) = (each for each in caplog.records if each.message == "bridge.stopped")
    assert stopped.stagebus_fields["fenced"] == 1
    (unknown,) = client.rows("select * from stagebus.sends where outcome = 'unknown'")
    assert (unknown.claim_epoch, unknown.first_index, unknown.last_index) == (1, 1, 40)
    # The send that was under way had arrived, and the repeat of it had the same ids.
    assert queue.stored == 50
    assert queue.counts["duplicates_dropped"] == 10
    assert_ledger_is_whole(client, job_id)


def test_a_bridge_sends_nothing_of_a_batch_that_it_has_lost(
    client: Client, queue: Queue, gated: Make, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    create_stage(client, 40)
    caplog.set_level("INFO", "stagebus")

    async def scenario() -> None:
        gate.hold_answers()
        async with running(gated(lease=10, send_deadline=9.99, connections=1)):
            # Taken while its link is being opened: it gets no messages any more.
            await becomes(
                lambda: client.value(
                    "select bool_and(lease_until < clock_timestamp() + interval '9.9 s')"
                    " from stagebus.batches"
                )
            )
            expire_leases(client)
            (taken,) = client.claim_batches(1)
            gate.open()
            await becomes(lambda: "batch.fenced" in events(caplog))
            assert queue.counts["received"] == 0
            assert client.release_batch(taken)
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 40
    assert queue.counts["duplicates_dropped"] == 0


def test_an_answer_of_the_database_that_is_lost_changes_nothing(
    client: Client, queue: Queue, settings: Make, bridge_url: str, database_gate: Gate
) -> None:
    client.set_destination("tasks", max_send_messages=5)

    async def scenario() -> UUID:
        given = settings(
            database_url=through_gate(bridge_url, database_gate), connections=1, poll=60
        )
        async with running(given):
            job_id = create_stage(client, 1000, batch_size=1000)
            for _ in range(3):
                sends = sends_of(client)
                await becomes(lambda sends=sends: sends_of(client) > sends)
                # What it asks is done, and it never hears that it was.
                database_gate.hold_answers()
                await becomes(lambda: database_gate.held)
                assert not all_queued(client)
                database_gate.cut()
                database_gate.open()
            await becomes(lambda: all_queued(client))
            return job_id

    job_id = asyncio.run(scenario())
    assert queue.stored == 1000
    assert queue.counts["duplicates_dropped"] == 0
    assert sends_of(client) == 200
    assert sends_of(client, "unknown") == 0
    assert client.column("select claim_epoch from stagebus.batches") == [1]
    assert_ledger_is_whole(client, job_id)
