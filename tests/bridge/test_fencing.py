"""A bridge that was too slow: another has its batch, and its word does not count any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from bridge.settings import Settings
from tests.bridge.conftest import (
    Queue,
    all_queued,
    assert_ledger_is_whole,
    create_stage,
    running,
    sends_of,
    states,
    through_gate,
)
from tests.bridge.gate import Gate
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_bridge_whose_lease_was_taken_over_is_refused_at_its_next_record(
    client: Client, queue: Queue, gated: Make, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    client.set_destination("tasks", max_send_messages=10)
    job_id = create_stage(client, 40)
    caplog.set_level("INFO")

    async def scenario() -> None:
        gate.hold_answers()
        async with running(gated(connections=1)):
            await becomes(lambda: states(client) == {"publishing": 1})
            gate.open()
            await becomes(lambda: sends_of(client) >= 1)
            gate.hold_answers()
            # Another bridge finds the lease run out, while the answer to a send is on its way.
            client.execute(
                "update stagebus_data.batches set lease_until = clock_timestamp() - interval '1 s'"
            )
            (taken,) = client.claim_batches(1)
            gate.open()
            await becomes(lambda: "batch.fenced" in events(caplog))
            assert client.batch(taken).claim_epoch == taken.claim_epoch
            assert client.batch(taken).published_through == taken.published_through
            assert client.release_batch(taken)
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    (unknown,) = client.rows("select * from stagebus.sends where outcome = 'unknown'")
    assert unknown.claim_epoch == 1
    assert unknown.last_index == 40
    # The send that was under way had arrived; its range is what the ledger calls unknown.
    assert queue.stored == 40
    assert queue.counts["duplicates_dropped"] == 10
    assert_ledger_is_whole(client, job_id)


def test_a_bridge_begins_no_send_under_a_lease_that_it_has_lost(
    client: Client,
    queue: Queue,
    settings: Make,
    bridge_url: str,
    database_gate: Gate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.set_destination("tasks", max_send_messages=10)
    create_stage(client, 40)
    caplog.set_level("INFO")

    async def scenario() -> None:
        # Its lease covers one send, and each record is slow to come back.
        given = settings(
            database_url=through_gate(bridge_url, database_gate),
            lease=1.0,
            send_deadline=0.9,
            connections=1,
        )
        async with running(given):
            await becomes(lambda: sends_of(client) >= 1)
            database_gate.hold_answers()
            await becomes(
                lambda: client.value(
                    "select bool_and(lease_until < clock_timestamp()) from stagebus.batches"
                )
            )
            claims = client.claim_batches(1, timedelta(seconds=60))
            stored = queue.stored
            database_gate.open()
            await becomes(lambda: "batch.fenced" in events(caplog))
            assert queue.stored <= stored + 10
            assert client.release_batch(claims[0])
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 40


def test_an_answer_of_the_database_that_is_lost_changes_nothing(
    client: Client, queue: Queue, settings: Make, bridge_url: str, database_gate: Gate
) -> None:
    client.set_destination("tasks", max_send_messages=10)
    job_id = create_stage(client, 100)

    async def scenario() -> None:
        given = settings(database_url=through_gate(bridge_url, database_gate), connections=1)
        async with running(given):
            for sends in (2, 5, 8):
                await becomes(lambda sends=sends: sends_of(client) >= sends)
                # The record is made, and nobody hears that it was.
                database_gate.hold_answers()
                database_gate.cut()
                database_gate.open()
            await becomes(lambda: all_queued(client))

    asyncio.run(scenario())
    assert queue.stored == 100
    assert queue.counts["duplicates_dropped"] == 0
    assert sends_of(client) == 10
    assert sends_of(client, "unknown") == 0
    assert client.column("select claim_epoch from stagebus.batches") == [1]
    assert_ledger_is_whole(client, job_id)
