"""The model of what bridges call: claims, sends, the ends of a claim, and maintenance."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from uuid import UUID

from tests.life.model import WAITING_BATCH, Batch, Model, Order, Outcome, Stage, Task
from tests.life.producers import add_batch

GRACE = timedelta(seconds=30)


def claim(
    model: Model, limit: int, lease: timedelta, taken: Collection[UUID] | None = None
) -> list[Batch]:
    """The batches that are leased, in the order in which they were made.

    `taken`: those that the database has chosen, where the limit leaves some: it goes through the
    destinations, one for tasks and one for jobs, in an order by chance, and may take the oldest
    of each before those whose turn it is.
    """
    expired = sorted(
        (b for b in model.batches if b.lease_until is not None and b.lease_until < model.now),
        key=lambda b: b.lease_until or model.now,
    )
    waiting = [b for b in model.batches if b.state == "pending_queue" and b.ready_at <= model.now]
    oldest = [min(each, key=lambda b: b.seq) for each in by_destination(waiting)]
    choices = [
        (expired + sorted(waiting, key=lambda b: (b.kind == last, b not in first, b.turn, b.seq)))[
            :limit
        ]
        for last in ("tasks", "job")
        for first in ([], oldest)
    ]
    possible = [each for each in choices if taken in (None, {b.batch_id for b in each})]
    assert possible, f"{taken} is none of {choices}"
    leased = []
    for batch in possible[0]:
        record_unreported(batch)
        batch.epoch += 1
        if model.stage_of(batch).ending and batch.kind == "tasks":
            batch.move("cancelled")
            continue
        batch.move("publishing")
        batch.lease_until = model.now + lease
        leased.append(batch)
    return sorted(leased, key=lambda b: b.seq)


def by_destination(batches: list[Batch]) -> list[list[Batch]]:
    kinds = ("tasks", "job")
    found = [[batch for batch in batches if batch.kind == kind] for kind in kinds]
    return [each for each in found if each]


def record_unreported(batch: Batch) -> None:
    if batch.state == "publishing" and batch.through < batch.last:
        batch.ledger.append("unknown")


def messages(model: Model, batch: Batch, epoch: int, after: int) -> list[int]:
    """The task indexes of what batch_messages renders."""
    if batch.epoch != epoch or model.stage_of(batch).withdrawn:
        return []
    if batch.kind == "job":
        return [1] if after < 1 else []
    return [task.index for task in model.unstarted(batch) if task.index > after]


def is_held_by(batch: Batch, epoch: int) -> bool:
    return batch.state == "publishing" and batch.epoch == epoch


def record_send(
    model: Model, batch: Batch, epoch: int, last: int, outcome: Outcome, lease: timedelta
) -> bool:
    if not is_held_by(batch, epoch) or model.stage_of(batch).withdrawn:
        return False
    if outcome == "accepted":
        batch.through = last
        batch.attempts = 0
    batch.lease_until = model.now + lease
    batch.ledger.append(outcome)
    return True


def finish_batch(model: Model, batch: Batch, epoch: int) -> bool:
    if not is_held_by(batch, epoch) or model.stage_of(batch).withdrawn:
        return batch.state == "queued" and batch.epoch == epoch
    batch.move("queued")
    batch.through = batch.last
    wait = model.stage_of(batch).type.start_timeout
    if batch.kind == "tasks" and wait:
        batch.start_due_at = model.now + wait
    if batch.kind == "tasks" and model.stage_of(batch).state == "provisional":
        model.confirm(model.stage_of(batch))
    return True


def fail_batch(
    model: Model, batch: Batch, epoch: int, max_attempts: int, ids: Callable[[], int]
) -> str | None:
    if not is_held_by(batch, epoch):
        # Told again.
        ended = batch.epoch == epoch and batch.state in ("pending_queue", "failed")
        return batch.state if ended else None
    batch.ready_at = model.now + timedelta(seconds=min(60, 2 ** min(batch.attempts, 6)))
    batch.attempts += 1
    batch.move("failed" if batch.attempts >= max_attempts else "pending_queue")
    stage = model.stage_of(batch)
    if (
        batch.state == "failed" and batch.kind == "tasks"
        and stage.state == "provisional" and not stage.withdrawn
    ):  # fmt: skip
        model.withdraw(stage, ids)
    return batch.state


def release_batch(model: Model, batch: Batch, epoch: int, delay: timedelta) -> bool:
    if not is_held_by(batch, epoch):
        # Told again.
        return batch.epoch == epoch and batch.state == "pending_queue"
    batch.move("pending_queue")
    batch.ready_at = model.now + delay
    return True


def publish_again(model: Model, batch: Batch) -> None:
    """A new dispatch; one that is held stays so."""
    record_unreported(batch)
    batch.move("held" if batch.state == "held" else "pending_queue")
    batch.dispatch += 1
    batch.epoch += 1
    batch.ready_at = model.now
    batch.through = batch.first - 1
    batch.attempts = 0
    batch.start_due_at = None


# Maintenance.


def gather_retries(model: Model) -> int:
    gathered = 0
    for stage in list(model.stages()):
        due = [
            task for task in stage.tasks
            if task.due_at is not None and task.due_at <= model.now and stage.ending is None
        ]  # fmt: skip
        for task in due:
            task.move(None)
        for first in range(0, len(due), stage.type.batch_size):
            part = due[first : first + stage.type.batch_size]
            add_batch(model, stage, part, scattered=True)
        gathered += len(due)
    return gathered


def end_attempts(model: Model, tasks: list[Task], *, retry: bool, backoff: bool) -> None:
    """The delay of a backoff is drawn by the database; here it is its upper limit."""
    spent = []
    for task in tasks:
        kind = model.stage(*task.key[:2]).type
        if retry and task.attempt < kind.max_attempts:
            delay = kind.retry_delay * 2 ** (task.attempt - 1) if backoff else timedelta()
            task.move("retry_wait")
            task.attempt += 1
            task.due_at = model.now + delay
        else:
            spent.append(task)
    model.end_tasks(spent, "failed")


def end_lost_attempts(model: Model) -> int:
    lost = [
        task for task in model.tasks()
        if task.lease_until is not None and task.lease_until < model.now - GRACE
    ]  # fmt: skip
    end_attempts(model, lost, retry=True, backoff=False)
    return len(lost)


def unstarted_batches(model: Model) -> list[Batch]:
    return [b for b in model.batches if b.start_due_at is not None and b.start_due_at <= model.now]


def republish_unstarted(model: Model) -> int:
    again = 0
    for batch in unstarted_batches(model):
        stage = model.stage_of(batch)
        if stage.state == "provisional":
            batch.start_due_at = model.now + stage.type.start_timeout
        elif model.unstarted(batch) and model.stage_of(batch).ending is None:
            publish_again(model, batch)
            again += 1
        else:
            batch.start_due_at = None
    return again


def overdue_stages(model: Model) -> list[Stage]:
    return [
        stage for stage in model.stages()
        if stage.state == "open" and stage.ending is None
        and stage.deadline is not None and stage.deadline <= model.now
    ]  # fmt: skip


def overdue_publications(model: Model) -> list[Stage]:
    return [
        stage for stage in model.stages()
        if stage.state == "provisional" and not stage.withdrawn
        and stage.confirm_by is not None and stage.confirm_by <= model.now
    ]  # fmt: skip


def end_overdue_stage(model: Model, stage: Stage, order_id: int) -> None:
    model.orders[order_id] = Order(order_id, "cancel_stage", stage.job_id, stage.stage, model.now)
    stage.ending = "deadline"


def message_is_needed(model: Model, task: Task) -> bool:
    """Whether nothing but a message on the broker moves the task on."""
    batch = task.batch
    if task.state is not None or batch is None or model.stage_of(batch).ending is not None:
        return False
    if model.stage_of(batch).type.start_timeout:
        # What is queued is looked after; what is not will be, once it is.
        return batch.state == "queued" and batch.start_due_at is None
    return batch.state == "queued" or task.index <= batch.through


def is_covered(model: Model, task: Task) -> bool:
    """Whether anybody moves the task on, message or not."""
    stage = model.stage(*task.key[:2])
    if stage.ended or stage.state == "filling":
        return stage.state == "filling" or not task.is_open
    if stage.ending is not None:
        return bool(model.working(stage))
    if task.state is not None:
        return True
    return task.batch is not None and task.batch.state in (*WAITING_BATCH, "queued")
