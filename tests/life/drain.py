"""The end of a run: bridges that publish, workers that succeed, nobody who orders anything new."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.client import Client
from tests.life.workers import Letter

#: Longer than any lease, backoff and start_timeout of the task types of these tests.
LONG = timedelta(minutes=11)
ROUNDS = 40

_OPEN = """
select job_id, stage from stagebus_data.stages where ended_at is null
union
select o.job_id, o.stage from stagebus_data.orders as o where o.state = 'working'
union
select b.job_id, b.stage
from stagebus_data.batches as b where b.state in ('pending_queue', 'publishing')
"""


def drain(client: Client, letters: Iterable[Letter] = ()) -> None:
    """Afterwards every sealed stage has ended and no order works, or an assertion says what hangs.

    What waits for an operator is let go: held and failed batches, and stages that are filled still.
    """
    waiting = [(letter.task_id, letter.attempt, letter.nonce) for letter in letters]
    client.execute("update stagebus_data.destinations set paused_at = null, pause_reason = null")
    for row in client.rows(
        "select job_id, stage from stagebus_data.stages where state = 'filling'"
    ):
        client.seal_stage(row.job_id, row.stage)
    for _ in range(ROUNDS):
        client.work_orders()
        _let_go(client)
        client.maintain(100_000)
        waiting += [
            (message.task_id, message.attempt, message.nonce)
            for message in client.publish()
            if "task_id" in message.content
        ]
        waiting = _work(client, waiting)
        if not client.rows(_OPEN):
            break
        client.advance(LONG)
    left = client.rows(_OPEN)
    assert not left, f"these do not end: {[_describe(client, row) for row in left]}"


def _let_go(client: Client) -> None:
    for state, function in (("held", "unhold_batch"), ("failed", "retry_batch")):
        for row in client.rows(
            "select b.job_id, b.batch_id from stagebus_data.batches as b"
            " join stagebus_data.stages as s using (job_id, stage)"
            " where b.state = %s and (s.ending is null or b.kind = 'job')",
            state,
        ):
            client.order(function, row.job_id, row.batch_id)


def _work(client: Client, messages: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """Returns those that are to be asked about again."""
    token = uuid4()
    ids = [message[0] for message in messages]
    if not ids:
        return []
    started = client.start_tasks(
        ids, [message[1] for message in messages], [message[2] for message in messages], token
    )
    client.complete_tasks([answer.task_id for answer in started if answer.verdict == "run"], token)
    return [
        message
        for message, answer in zip(messages, started, strict=True)
        if answer.verdict == "wait"
    ]


def _describe(client: Client, row: Any) -> tuple[UUID, int | None, Any]:
    if row.stage is None:
        return row.job_id, None, client.job(row.job_id)
    return (
        row.job_id,
        row.stage,
        client.rows(
            "select task_index, status, batch_id from stagebus.tasks"
            " where job_id = %s and stage = %s"
            " and status not in ('completed', 'failed', 'cancelled')",
            row.job_id,
            row.stage,
        ),
    )
