"""Any two actions at once, on the same stage, in either order: nothing is lost or counted twice.

The first is done in a transaction that stays open while the second session does the other, which
either passes by or waits for a lock; then the first commits, or in some cases rolls back.
Afterwards the counters agree with the rows, and good workers and a good bridge bring everything to
its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.client import PATIENCE, Claim, Client, Message

HOUR = timedelta(hours=1)
STAGE = 1


@dataclass
class Scene:
    """One stage in the middle of its life."""

    job_id: UUID
    token: UUID
    running: list[Message]
    unstarted: list[Message]
    claim: Claim | None = None
    order_id: int | None = None

    @property
    def task_ids(self) -> list[str]:
        return [message.task_id for message in self.running]


Action = Callable[[Client, Scene], Any]


def in_the_middle(client: Client) -> Scene:
    """Two tasks run, their leases are over; one has failed, one is on the queue, one is claimed."""
    job_id, token = client.create_job(), uuid4()
    client.create_stage_tasks(job_id, STAGE, "work", 5)
    first, second, third = client.claim_batches(3)
    messages = [*client.batch_messages(first), *client.batch_messages(second)]
    client.finish_batch(first)
    client.finish_batch(second)
    client.start_all(messages[:3], token)
    client.fail_task(messages[2].task_id, token, retry=False)
    client.advance(HOUR)
    (third,) = client.claim_batches(1)
    return Scene(job_id, token, messages[:2], messages[3:], third)


def at_the_last_task(client: Client) -> Scene:
    """One task runs; when it ends, so does the stage, with an error."""
    published = client.published_stage(2, "work")
    token = uuid4()
    client.start_all(published.messages, token)
    client.fail_task(published.task_ids[0], token, retry=False)
    client.advance(HOUR)
    return Scene(published.job_id, token, published.messages[1:], [])


def at_the_end(client: Client) -> Scene:
    """The stage has ended with an error, and its job is due to advance."""
    scene = at_the_last_task(client)
    client.complete_tasks(scene.task_ids, scene.token)
    return scene


def at_the_end_with_an_order(client: Client) -> Scene:
    """The stage has ended with an error; its retry is ordered, and not begun."""
    scene = at_the_end(client)
    scene.order_id = client.order("retry_tasks", scene.job_id, STAGE).order_id
    return scene


def while_it_is_cancelled(client: Client) -> Scene:
    """As in the middle, and the job's cancelling has come to the tasks."""
    scene = in_the_middle(client)
    scene.order_id = client.order("cancel_job", scene.job_id).order_id
    client.order("work_order", scene.order_id, 10)
    return scene


def while_its_batch_is_retried(client: Client) -> Scene:
    """As in the middle, and the end of the attempts that run is ordered."""
    scene = in_the_middle(client)
    batch_id = client.batches(scene.job_id)[0].batch_id
    order = client.order("retry_batch", scene.job_id, batch_id, unfinished=True)
    scene.order_id = order.order_id
    return scene


def while_it_is_filled(client: Client) -> Scene:
    job_id = client.create_job()
    client.open_stage(job_id, STAGE, "work")
    client.append_numbered_tasks(job_id, STAGE, 3)
    return Scene(job_id, uuid4(), [], [])


SCENES = [
    in_the_middle, at_the_last_task, at_the_end, at_the_end_with_an_order, while_it_is_cancelled,
    while_its_batch_is_retried, while_it_is_filled,
]  # fmt: skip


def first_batch(client: Client, scene: Scene) -> Any:
    return client.batches(scene.job_id)[0].batch_id


def waiting_batch(client: Client, scene: Scene) -> Any:
    return client.batches(scene.job_id)[-1].batch_id


ACTIONS: dict[str, Action] = {
    "start": lambda c, s: c.start_all(s.running + s.unstarted, uuid4()),
    "heartbeat": lambda c, s: c.heartbeat_tasks(s.task_ids, s.token),
    "complete": lambda c, s: c.complete_tasks(s.task_ids, s.token),
    "fail": lambda c, s: c.fail_tasks(s.task_ids, s.token, ["why"] * len(s.running)),
    "fail for good": lambda c, s: c.fail_tasks(
        s.task_ids, s.token, ["why"] * len(s.running), retry=False
    ),
    "claim": lambda c, s: c.claim_batches(10),
    "record send": lambda c, s: s.claim and c.record_send(s.claim, 5, 5),
    "finish batch": lambda c, s: s.claim and c.finish_batch(s.claim),
    "release batch": lambda c, s: s.claim and c.release_batch(s.claim),
    "maintain": lambda c, s: c.maintain(),
    "hold": lambda c, s: c.order("hold_batch", s.job_id, waiting_batch(c, s)),
    "retry batch": lambda c, s: c.order("retry_batch", s.job_id, first_batch(c, s), True),
    "retry tasks": lambda c, s: c.order("retry_tasks", s.job_id, STAGE),
    "cancel stage": lambda c, s: c.order("cancel_stage", s.job_id, STAGE),
    "cancel job": lambda c, s: c.order("cancel_job", s.job_id),
    "set stage": lambda c, s: c.order("set_stage", s.job_id, STAGE, tolerated_failures="0"),
    "work order": lambda c, s: c.order("work_order", s.order_id),
    "stop order": lambda c, s: c.order("stop_order", s.order_id),
    "undo order": lambda c, s: c.orders("undo_order", s.order_id),
    "append": lambda c, s: c.append_numbered_tasks(s.job_id, STAGE, 2),
    "seal": lambda c, s: c.seal_stage(s.job_id, STAGE),
    "next stage": lambda c, s: c.create_stage_tasks(s.job_id, STAGE + 1, "work", 2),
    "finish job": lambda c, s: c.finish_job(s.job_id),
}
ABOUT_ORDERS = {"work order", "stop order", "undo order"}
ABOUT_FILLING = {"append", "seal"}


def actions(scene: Callable[[Client], Scene]) -> list[str]:
    """Those that can do something in the scene."""
    filling = scene is while_it_is_filled
    has_order = "order" in scene.__name__ or scene in (
        while_it_is_cancelled,
        while_its_batch_is_retried,
    )
    names = set(ACTIONS) - (ABOUT_ORDERS if not has_order else set())
    if filling:
        names &= ABOUT_FILLING | {"cancel job", "cancel stage", "next stage", "finish job", "claim"}
    else:
        names -= ABOUT_FILLING
    return sorted(names)


@pytest.mark.parametrize(
    ("scene", "first"),
    [
        pytest.param(scene, first, id=f"{scene.__name__}: {first}")
        for scene in SCENES
        for first in actions(scene)
    ],
)
def test_two_actions_at_once(client: Client, scene: Callable[[Client], Scene], first: str) -> None:
    client.set_task_type("work", batch_size=2, timeout="1 minute", max_attempts=2, retry_delay="0")
    client.stop_clock()
    other = client.session()
    names = actions(scene)
    for nth, second in enumerate(names):
        # What is rolled back leaves less to go wrong: a third of these cases.
        for rolled_back in (False, True) if (nth + names.index(first)) % 3 == 0 else (False,):
            found = scene(client)
            what = f"{first}{' (rolled back)' if rolled_back else ''}, then {second}"
            with client.transaction(roll_back=rolled_back):
                outcome(lambda: in_a_savepoint(client, ACTIONS[first], found))  # noqa: B023
                running = other.in_background(
                    lambda: outcome(lambda: ACTIONS[second](other, found))  # noqa: B023
                )
                until_it_passes_or_waits(client, other, running)
            running.result(PATIENCE)
            assert client.recount(found.job_id, STAGE) == [], what
            drain(client, what)


def outcome(action: Callable[[], Any]) -> Any:
    """What came of it; an error of ours is an answer, any other is not."""
    try:
        return action()
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith("SB"):
            return error.sqlstate
        raise


def in_a_savepoint(client: Client, action: Action, scene: Scene) -> Any:
    with client.connection.transaction():
        return action(client, scene)


def until_it_passes_or_waits(client: Client, other: Client, running: Future[Any]) -> None:
    give_up = time.monotonic() + PATIENCE
    pid = other.connection.info.backend_pid
    while not running.done():
        if client.value("select cardinality(pg_blocking_pids(%s)) > 0", pid):
            return
        assert time.monotonic() < give_up, "it neither passed nor waited"


def on_the_queue(client: Client) -> list[Message]:
    """What a worker would receive: the tasks of queued batches that nobody started."""
    return [
        Message(*row)
        for row in client.rows(
            "select m.* from stagebus.batches as b"
            " cross join lateral"
            " stagebus.batch_messages(b.job_id, b.batch_id, b.claim_epoch, 0, 1000) as m"
            " where b.status = 'queued' and b.kind = 'tasks'"
        )
    ]


def drain(client: Client, what: str) -> None:
    """Everything sealed comes to its end, each stage once, with counters that agree."""
    unfinished = "select job_id, stage from stagebus.stages where status"
    for _ in range(20):
        for job_id, stage in client.rows(f"{unfinished} = 'filling'"):
            client.seal_stage(job_id, stage)
        client.work_orders()
        client.maintain()
        for batch in client.rows(
            "select b.job_id, b.batch_id, b.status from stagebus.batches as b"
            " where b.status in ('held', 'failed')"
        ):
            function = "unhold_batch" if batch.status == "held" else "retry_batch"
            outcome(lambda: client.order(function, batch.job_id, batch.batch_id))  # noqa: B023
        client.publish()
        token = uuid4()
        messages = on_the_queue(client)
        client.start_all(messages, token)
        client.complete_tasks([message.task_id for message in messages], token)
        if not client.rows(f"{unfinished} = 'open'"):
            break
        # What runs belongs to a worker that is gone; what is claimed, to a bridge that is.
        client.advance(HOUR)
        client.end_lost_attempts()
    assert client.rows(f"{unfinished} in ('open', 'filling')") == [], what
    assert client.column("select * from stagebus.working_orders()") == [], what
    assert (
        client.rows("select * from stagebus_data.jobs where cancelling and ended_at is null") == []
    )
    for job_id, stage in client.rows("select job_id, stage from stagebus.stages"):
        assert client.recount(job_id, stage) == [], what
    for table in (
        *("tasks", "counter_slots", "counter_groups", "batch_members", "running_attempts"),
        *("waiting_retries", "failed_tasks", "orders", "jobs"),
    ):
        client.execute(f"delete from stagebus_data.{table}")  # much quicker than truncate
