"""The same picture of the model and of the database, so that a test can compare the two."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.client import Client
from tests.life.model import Batch, Model

Picture = dict[str, dict[Any, Any]]


def of_model(model: Model) -> Picture:
    jobs, stages, tasks, batches = {}, {}, {}, {}
    for job in model.jobs.values():
        jobs[job.job_id] = (job.state, job.cancelling, sorted(job.due), Counter(job.told))
    for stage in model.stages():
        # Only groups that closed are counted in the stage, and here a stage is one group.
        closed = stage.state != "filling" and stage.open_tasks() == 0
        stages[stage.job_id, stage.stage] = (
            stage.state, stage.ending, stage.repair, stage.tolerated, stage.on_failure,
            stage.deadline, stage.confirm_by, len(stage.tasks),
            *(stage.number(s) if closed else 0 for s in ("completed", "failed", "cancelled")),
        )  # fmt: skip
    gone = {(s.job_id, s.stage): s.gone_through for s in model.stages()}
    for task in model.tasks():
        if task.index <= gone[task.key[:2]]:
            continue
        batch = task.batch
        tasks[task.key] = (
            task.state, task.attempt, task.token, task.lease_until, task.started_at, task.due_at,
            task.state == "failed",
            batch.batch_id if batch is not None and batch.scattered else None,
        )  # fmt: skip
    for batch in model.batches:
        batches[batch.batch_id] = (
            *batch.shape, batch.state, batch.dispatch, batch.epoch, batch.lease_until,
            batch.ready_at, batch.through, batch.attempts, batch.start_due_at, batch.ledger,
        )  # fmt: skip
    orders = {
        order.order_id: (
            order.action, order.job_id, order.stage, order.batch_id, order.state, order.tasks_done,
            order.undoes,
        )
        for order in model.orders.values()
    }  # fmt: skip
    return {"jobs": jobs, "stages": stages, "tasks": tasks, "batches": batches, "orders": orders}


def of_database(client: Client) -> Picture:
    told: dict[Any, Counter[Any]] = {}
    for row in client.rows("select * from stagebus_data.job_messages"):
        told.setdefault(row.job_id, Counter())[row.event, row.stage, row.status] += 1
    due: dict[Any, list[int]] = {}
    for job_id, stage in client.due_advances():
        due.setdefault(job_id, []).append(stage)
    jobs = {
        j.job_id: (j.state, j.cancelling, due.get(j.job_id, []), told.get(j.job_id, Counter()))
        for j in client.rows("select * from stagebus_data.jobs")
    }
    stages = {
        (s.job_id, s.stage): (
            s.state, s.ending, s.repair, s.tolerated_failures, s.on_failure, s.deadline,
            s.confirm_by, s.task_count, s.completed, s.failed, s.cancelled,
        )
        for s in client.rows("select * from stagebus_data.stages")
    }  # fmt: skip
    tasks = {
        (t.job_id, t.stage, t.task_index): (
            t.state, t.attempt, t.token, t.lease_until, t.started_at, t.due_at, t.failed, t.member
        )
        for t in client.rows(_TASKS)
    }  # fmt: skip
    batches = {
        b.batch_id: (
            b.job_id, b.stage, b.kind, b.scattered, b.first_index, b.last_index, b.task_count,
            b.state, b.dispatch, b.claim_epoch, b.lease_until, b.ready_at, b.published_through,
            b.publish_attempts, b.start_due_at, b.ledger,
        )
        for b in client.rows(_BATCHES)
    }  # fmt: skip
    orders = {
        o.order_id: (
            o.action, o.job_id, o.stage, o.batch_id, o.state, o.tasks_done, o.undoes
        )
        for o in client.rows("select * from stagebus_data.orders")
    }  # fmt: skip
    return {"jobs": jobs, "stages": stages, "tasks": tasks, "batches": batches, "orders": orders}


_TASKS = """
select t.*, r.lease_until, r.started_at, w.due_at, f.task_index is not null as failed,
    m.batch_id as member
from stagebus_data.tasks as t
left join stagebus_data.running_attempts as r using (job_id, stage, task_index)
left join stagebus_data.waiting_retries as w using (job_id, stage, task_index)
left join stagebus_data.failed_tasks as f using (job_id, stage, task_index)
left join stagebus_data.batch_members as m using (job_id, stage, task_index)
"""

_BATCHES = """
select b.*, array(
    select s.outcome from stagebus_data.sends as s
    where s.job_id = b.job_id and s.batch_id = b.batch_id order by s.send_no) as ledger
from stagebus_data.batches as b
"""

_RECOUNT = """
select s.job_id, s.stage, r.*
from stagebus_data.stages as s
cross join lateral stagebus.recount_stage(s.job_id, s.stage) as r
"""


def learn_batches(model: Model, client: Client) -> None:
    """Gives the model's new batches the ids and numbers that the database drew."""
    known = {batch.batch_id: batch for batch in model.batches}
    nameless: dict[tuple[object, ...], list[Batch]] = {}
    for batch in model.batches:
        if batch.batch_id is None:
            nameless.setdefault(batch.shape, []).append(batch)
    for row in client.rows("select * from stagebus_data.batches order by seq"):
        if row.batch_id in known:
            # A batch that is published again takes its turn anew.
            known[row.batch_id].turn = row.turn
            continue
        shape = (
            row.job_id, row.stage, row.kind, row.scattered, row.first_index, row.last_index,
            row.task_count,
        )  # fmt: skip
        assert nameless.get(shape), f"a batch that should not be: {row}"
        batch = nameless[shape].pop(0)
        batch.batch_id, batch.seq, batch.turn = row.batch_id, row.seq, row.turn
    missing = [shape for shape, batches in nameless.items() if batches]
    assert not missing, f"batches that should be: {missing}"


def learn_nonces(model: Model, client: Client) -> None:
    """Gives the model's new stages the nonces that the database drew."""
    for row in client.rows("select job_id, stage, nonce from stagebus_data.stages"):
        stage = model.stage(row.job_id, row.stage)
        assert stage.nonce in (None, row.nonce)
        stage.nonce = row.nonce


def differences(expected: Picture, found: Picture) -> list[str]:
    return [
        f"{what} {key}: expected {expected[what].get(key)}, found {found[what].get(key)}"
        for what in expected
        for key in {**expected[what], **found[what]}
        if expected[what].get(key) != found[what].get(key)
    ]


def miscounts(client: Client) -> list[Any]:
    """What the counters of any stage say and its rows do not."""
    return client.rows(_RECOUNT)
