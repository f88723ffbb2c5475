"""The model of what operators order, and of how orders are worked off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from tests.life.bridges import publish_again, record_unreported
from tests.life.model import WAITING_BATCH, Batch, Job, Model, Order, Refused, Stage, Task
from tests.life.producers import seal_stage

#: The next order's number, which the database gives.
NewId = Callable[[], int]

UNDOABLE = ("hold_batch", "unhold_batch", "cancel_stage", "cancel_job")


def _begin(
    model: Model, ids: NewId, action: str, job_id: UUID, stage: int | None = None,
    *, open_work: int = 0, status: str = "", batch_id: UUID | None = None, tasks_done: int = 0,
) -> Order:  # fmt: skip
    order = Order(ids(), action, job_id, stage, model.now, batch_id, status)
    order.tasks_done = tasks_done
    if not open_work:
        order.state = "done"
    model.orders[order.order_id] = order
    return order


# Batches.


def _orderable(model: Model, batch: Batch, *states: str) -> None:
    if batch.state not in states or (model.stage_of(batch).ending and batch.kind == "tasks"):
        raise Refused("SB120")


def hold_batch(model: Model, ids: NewId, batch: Batch) -> Order:
    _orderable(model, batch, "pending_queue", "publishing", "failed")
    record_unreported(batch)
    batch.epoch += 1
    batch.move("held")
    return _begin(
        model, ids, "hold_batch", batch.job_id, batch.stage, batch_id=batch.batch_id,
        tasks_done=batch.count,
    )  # fmt: skip


def unhold_batch(model: Model, ids: NewId, batch: Batch) -> Order:
    _orderable(model, batch, "held")
    batch.move("pending_queue")
    batch.attempts = 0
    batch.ready_at = model.now
    return _begin(
        model, ids, "unhold_batch", batch.job_id, batch.stage, batch_id=batch.batch_id,
        tasks_done=batch.count,
    )  # fmt: skip


def retry_batch(model: Model, ids: NewId, batch: Batch, *, unfinished: bool) -> Order:
    _orderable(model, batch, "queued", "publishing", "failed")
    if batch.kind == "tasks" and model.stage_of(batch).state == "provisional":
        raise Refused("SB120")
    waiting = 1 if batch.kind == "job" else len(model.unstarted(batch))
    running = len(_running(model, batch, 0)) if unfinished else 0
    order = _begin(
        model, ids, "retry_batch", batch.job_id, batch.stage, open_work=running,
        batch_id=batch.batch_id, tasks_done=waiting,
    )  # fmt: skip
    if batch.state == "failed":
        batch.move("pending_queue")
        batch.attempts = 0
        batch.ready_at = model.now
    else:
        publish_again(model, batch)
    return order


def _running(model: Model, batch: Batch, after: int) -> list[Task]:
    tasks = model.tasks_of(batch)
    return [task for task in tasks if task.state == "processing" and task.index > after]


# Stages and jobs.


def set_stage(
    model: Model, ids: NewId, stage: Stage, tolerated: str | None, deadline: datetime | None,
    on_failure: str | None,
) -> Order:  # fmt: skip
    job = model.jobs[stage.job_id]
    if stage.ended and (stage.state != "failed" or job.went_past(stage.stage)):
        raise Refused("SB120")
    if stage.ended and job.state == "cancelled":
        raise Refused("SB120")
    stage.tolerated = tolerated or stage.tolerated
    stage.deadline = deadline or stage.deadline
    stage.on_failure = on_failure or stage.on_failure
    order = _begin(model, ids, "set_stage", stage.job_id, stage.stage)
    if stage.ended and stage.end_state() != stage.state:
        model.reopen_stage(stage)
        model.end_stage(stage)
    elif stage.ended and stage.on_failure == "fail_job":
        model.end_job(job, "failed")
    return order


def retry_tasks(model: Model, ids: NewId, stage: Stage, status: str) -> Order:
    job = model.jobs[stage.job_id]
    cancelling = job.cancelling and not job.ended
    if (
        stage.state in ("filling", "provisional")
        or (not stage.ended and stage.ending)
        or cancelling
    ):
        raise Refused("SB120")
    return _begin(
        model, ids, "retry_tasks", stage.job_id, stage.stage, open_work=stage.number(status),
        status=status,
    )  # fmt: skip


def withdraw_stage(model: Model, ids: NewId, stage: Stage) -> None:
    if stage.confirm_by is None:
        raise Refused("SB130")
    if stage.state == "provisional" and not stage.withdrawn:
        model.withdraw(stage, ids)


def cancel_stage(model: Model, ids: NewId, stage: Stage) -> Order:
    if stage.ended or stage.ending:
        raise Refused("SB120")
    if stage.state == "provisional":
        return model.withdraw(stage, ids)
    order = _begin(
        model, ids, "cancel_stage", stage.job_id, stage.stage, open_work=stage.open_tasks()
    )
    _begin_cancelling(model, stage)
    return order


def cancel_job(model: Model, ids: NewId, job: Job) -> Order:
    if job.ended or job.cancelling:
        raise Refused("SB120")
    left = [stage for stage in job.stages if not stage.ended]
    open_work = sum(stage.open_tasks() for stage in left if stage.state != "provisional")
    order = _begin(model, ids, "cancel_job", job.job_id, open_work=open_work)
    job.cancelling = True
    job.due.clear()
    for stage in left:
        if stage.state != "provisional":
            _begin_cancelling(model, stage)
        elif not stage.withdrawn:
            model.withdraw(stage, ids)
    model.end_cancelled_job(job)
    return order


def _begin_cancelling(model: Model, stage: Stage) -> None:
    stage.ending = "cancel"
    if stage.state == "filling":
        seal_stage(model, stage.job_id, stage.stage)


# Orders.


def stop_order(model: Model, order: Order) -> None:
    if order.state != "working" or order.action == "withdraw_stage":
        raise Refused("SB120")
    job = model.jobs[order.job_id]
    if order.action in ("cancel_job", "cancel_stage"):
        for stage in job.stages:
            if stage.withdrawn:
                continue
            if order.stage in (None, stage.stage) and stage.ending and not stage.ended:
                if order.action == "cancel_stage" and job.cancelling:
                    raise Refused("SB120")
                for batch in model.batches:
                    if model.stage_of(batch) is stage and model.unstarted(batch):
                        publish_again(model, batch)
                stage.ending = None
                model.forget_deadline(stage)
        if order.action == "cancel_job" and not job.ended:
            job.cancelling = False
    order.state = "stopped"


def undo_order(model: Model, ids: NewId, order: Order) -> None:
    if order.action not in UNDOABLE:
        raise Refused("SB120")
    if any(other.undoes == order.order_id for other in model.orders.values()):
        raise Refused("SB120")
    if order.action == "hold_batch":
        done = unhold_batch(model, ids, model.batch(order.batch_id))
        done.undoes = order.order_id
    elif order.action == "unhold_batch":
        done = hold_batch(model, ids, model.batch(order.batch_id))
        done.undoes = order.order_id
    else:
        _undo_cancelling(model, ids, order)


def _undo_cancelling(model: Model, ids: NewId, order: Order) -> None:
    job = model.jobs[order.job_id]
    if order.state == "working":
        stop_order(model, order)
    last_again = False
    for stage in job.stages:
        if (
            order.stage in (None, stage.stage)
            and stage.state in ("open", "failed", "cancelled")
            and (stage.ended_at is None or stage.ended_at >= order.ordered_at)
        ):
            retry_tasks(model, ids, stage, "cancelled").undoes = order.order_id
            last_again = stage is job.stages[-1] and stage.number("cancelled") > 0
    # Otherwise the job runs again with the first task of its last stage.
    if order.action == "cancel_job" and not last_again:
        _reopen_job(job)


def _reopen_job(job: Job) -> None:
    if job.state == "cancelled":
        job.move("running" if job.stages else "created")
    elif not job.cancelling:
        return
    job.cancelling = False
    last = job.stages[-1] if job.stages else None
    if last is not None and last.ended and last.state != "failed":
        job.due.add(last.stage)


def work_order(model: Model, order: Order, limit: int) -> None:
    if order.state != "working":
        return
    if order.action == "retry_tasks":
        _work_retry_tasks(model, order, limit)
    elif order.action == "retry_batch":
        _work_retry_batch(model, order, limit)
    elif order.action == "withdraw_stage":
        _work_withdrawal(model, order, limit)
    else:
        _work_cancelling(model, order, limit)


def _work_retry_tasks(model: Model, order: Order, limit: int) -> None:
    job, stage = model.jobs[order.job_id], model.stage(order.job_id, order.stage or 0)
    cancelling = job.cancelling and not job.ended
    page = [
        task for task in stage.tasks
        if task.index > order.index_reached
        and (order.status == "cancelled" or task.state == order.status)
    ][:limit]  # fmt: skip
    if (not stage.ended and stage.ending) or cancelling or not page:
        order.state = "done"
        return
    matched = [task for task in page if task.state == order.status]
    for task in matched:
        if order.status == "retry_wait":
            assert task.due_at is not None
            task.due_at = min(task.due_at, model.now)
        else:
            _try_again(model, task)
    if matched:
        model.reopen_stage(stage)
    order.tasks_done += len(matched)
    order.index_reached = page[-1].index


def _try_again(model: Model, task: Task) -> None:
    task.move("retry_wait")
    task.attempt += 1
    task.due_at = model.now


def _work_retry_batch(model: Model, order: Order, limit: int) -> None:
    page = _running(model, model.batch(order.batch_id), order.index_reached)[:limit]
    if not page:
        order.state = "done"
        return
    order.index_reached = page[-1].index
    for task in page:
        assert task.started_at is not None
        if task.started_at <= order.ordered_at:
            _try_again(model, task)
            order.tasks_done += 1


def _work_cancelling(model: Model, order: Order, limit: int) -> None:
    ending = [
        stage for stage in model.jobs[order.job_id].stages
        if order.stage in (None, stage.stage) and not stage.ended
        and stage.ending and not stage.withdrawn
    ]  # fmt: skip
    if not ending:
        order.state = "done"
        return
    stage = ending[0]
    batches = [
        batch for batch in model.batches
        if batch.kind == "tasks" and model.stage_of(batch) is stage
        and batch.state in WAITING_BATCH
    ]  # fmt: skip
    if batches:
        for batch in sorted(batches, key=lambda b: str(b.batch_id))[:limit]:
            record_unreported(batch)
            batch.epoch += 1
            batch.move("cancelled")
        return
    reached = order.index_reached if order.stage_reached == stage.stage else 0
    page = [task for task in stage.tasks if task.index > reached][:limit]
    cancelled = [task for task in page if task.is_open]
    order.stage_reached = stage.stage
    order.index_reached = page[-1].index if page else 0
    order.tasks_done += len(cancelled)
    if cancelled:
        model.end_tasks(cancelled, "cancelled")


def _work_withdrawal(model: Model, order: Order, limit: int) -> None:
    stage, left = model.stage(order.job_id, order.stage or 0), limit

    def take(there: int) -> int:
        nonlocal left
        taken = min(left, there)
        left -= taken
        return taken

    stage.gone_through += take(len(stage.tasks) - stage.gone_through)
    order.tasks_done = stage.gone_through
    stage.keys_left -= take(stage.keys_left)
    stage.slots_left -= take(stage.slots_left)
    batches = [batch for batch in model.batches if model.stage_of(batch) is stage]
    for batch in sorted(batches, key=lambda b: str(b.batch_id))[: take(len(batches))]:
        model.batches.remove(batch)
        model.gone.append(batch)
        batch.state, batch.epoch = "gone", -1
    if left:
        model.remove(stage)
        order.state = "done"
