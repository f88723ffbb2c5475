"""Orders: what they do, what they would do, who gave them, and how they are taken back."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.client import MINUTE, Client, PublishedStage

TOKEN = UUID(int=1)


@pytest.fixture
def published(client: Client) -> PublishedStage:
    """Ten tasks in batches of four: two completed, three failed, one runs, four wait."""
    client.stop_clock()
    client.set_task_type("work", batch_size=4, max_attempts=1)
    published = client.published_stage([{"region": "alps", "n": n} for n in range(10)], "work")
    ids = published.task_ids
    client.start_all(published.messages[:6], TOKEN)
    client.complete_tasks(ids[:2], TOKEN)
    client.fail_tasks(ids[2:5], TOKEN, ["timeout: 5 s", "no such tile", "timeout: 9 s"])
    return published


def orders(client: Client) -> list[Any]:
    return client.rows("select * from stagebus.orders order by order_id")


def batch_of(client: Client, published: PublishedStage, number: int) -> Any:
    return client.batches(published.job_id)[number].batch_id


# The audit.


def test_an_order_says_who_gave_it_what_when_and_why(
    client: Client, published: PublishedStage
) -> None:
    login = f"stagebus_test_night_shift_{os.getpid()}"
    client.execute(f"create role {login} login")
    try:
        client.execute(f"grant stagebus_operator to {login}")
        operator = client.session(login)
        given = operator.order(
            "retry_tasks", published.job_id, 1, error="timeout%", reason="the tile server is back"
        )
        (order,) = operator.rows("select * from stagebus.orders")
        operator.close()
    finally:
        client.execute(f"drop role {login}")
    assert order.order_id == given.order_id
    assert (order.action, order.job_id, order.stage) == ("retry_tasks", published.job_id, 1)
    assert order.details == {"status": "failed", "parameters": {}, "error": "timeout%"}
    assert order.reason == "the tile server is back"
    assert (order.ordered_by, order.ordered_at) == (login, client.now())
    assert (order.status, order.tasks, order.tasks_done) == ("working", 2, 0)


@pytest.mark.parametrize(
    ("function", "tasks"),
    [
        ("retry_tasks", 3),
        ("retry_batch", 2),
        ("hold_batch", 4),
        ("cancel_stage", 5),
        ("cancel_job", 5),
        ("set_stage", 0),
    ],
)
def test_a_dry_run_says_how_many_and_changes_nothing(
    client: Client, published: PublishedStage, function: str, tasks: int
) -> None:
    if function == "hold_batch":
        batch_id = batch_of(client, published, 2)
        client.execute(
            "update stagebus_data.batches set state = 'pending_queue', start_due_at = null"
            " where batch_id = %s",
            batch_id,
        )
        arguments: list[Any] = [batch_id]
        tasks = 2
    else:
        arguments = {
            "retry_tasks": [1],
            "retry_batch": [batch_of(client, published, 1)],
            "cancel_stage": [1],
            "cancel_job": [],
            "set_stage": [1, "3"],
        }[function]
    before = client.contents()
    order = client.order(function, published.job_id, *arguments, dry_run=True)
    assert (order.order_id, order.action, order.status) == (None, function, "dry run")
    assert order.tasks == tasks
    assert client.contents() == before


def test_an_order_is_worked_off_in_steps_that_show_how_far_it_got(
    client: Client, published: PublishedStage
) -> None:
    order = client.order("cancel_stage", published.job_id, 1)
    done = []
    while (step := client.order("work_order", order.order_id, 4)).status == "working":
        done.append(step.tasks_done)
    assert done == [0, 3, 5]
    assert (step.status, step.tasks, step.tasks_done) == ("done", 5, 5)
    assert client.order("work_order", order.order_id) == step, "again does nothing"


def test_a_round_of_house_keeping_names_the_orders_also_when_another_session_is_at_it(
    client: Client, published: PublishedStage
) -> None:
    elsewhere = client.published_stage(2)
    given = [
        client.order("cancel_stage", job_id, 1).order_id
        for job_id in (published.job_id, elsewhere.job_id)
    ]
    other = client.session()
    with client.transaction():
        assert client.value("select orders from stagebus.maintain()") == given
        assert other.row("select * from stagebus.maintain()") == (
            *(0, 0, 0, 0, 0, given, False, False),
        )
    client.work_orders()
    assert client.value("select orders from stagebus.maintain()") == []


def test_other_sessions_go_on_between_the_steps(client: Client, published: PublishedStage) -> None:
    order = client.order("cancel_stage", published.job_id, 1)
    other = client.session()
    with client.transaction():
        client.order("work_order", order.order_id, 4)
        assert other.order("work_order", order.order_id).status == "busy"
        assert other.complete_task(published.task_ids[5], TOKEN) == "completed"
        elsewhere = other.published_stage(2)
        other.run_stage(elsewhere)
    client.work_orders(4)
    assert client.task_states(published.job_id) == {"completed": 3, "failed": 3, "cancelled": 4}
    assert client.recount(published.job_id) == []


# Retrying.


@pytest.mark.parametrize(
    ("options", "indexes"),
    [
        ({}, [3, 4, 5]),
        ({"error": "timeout%"}, [3, 5]),
        ({"error": "%no such%"}, [4]),
        ({"parameters": {"n": 4}}, [5]),
        ({"parameters": {"region": "alps"}, "error": "timeout: _ s"}, [3, 5]),
        ({"parameters": {"region": "andes"}}, []),
        ({"status": "retry_wait"}, []),
        ({"status": "cancelled"}, []),
    ],
)
def test_retry_tasks_takes_those_that_match(
    client: Client, published: PublishedStage, options: dict[str, Any], indexes: list[int]
) -> None:
    order = client.order("retry_tasks", published.job_id, 1, **options)
    assert order.tasks == len(indexes)
    client.work_orders(1)
    retried = client.column(
        "select task_index from stagebus.tasks where status = 'retry_wait' order by 1"
    )
    assert retried == indexes
    assert client.recount(published.job_id) == []


def test_a_retried_task_has_one_more_attempt_whatever_its_type_allows(
    client: Client, published: PublishedStage
) -> None:
    client.order("retry_tasks", published.job_id, 1, error="no such%")
    client.work_orders()
    client.maintain()
    (message,) = client.publish()
    assert (message.task_index, message.attempt) == (4, 2)
    client.start(message, TOKEN)
    assert client.fail_task(message.task_id, TOKEN, "again") == "failed"
    assert client.complete_task(published.task_ids[3], uuid4()) == "done"


def test_a_batch_is_published_again_with_other_message_ids_but_for_what_was_started(
    client: Client, published: PublishedStage
) -> None:
    batch_id = batch_of(client, published, 1)
    order = client.order("retry_batch", published.job_id, batch_id, reason="purged")
    assert (order.status, order.tasks, order.tasks_done) == ("done", 2, 2)
    again = client.publish()
    assert [message.task_index for message in again] == [7, 8]
    before = {message.message_id for message in published.messages}
    assert not before & {message.message_id for message in again}
    assert client.start_all(again, TOKEN) == ["run", "run"]


def test_unfinished_also_ends_the_attempts_that_run(
    client: Client, published: PublishedStage
) -> None:
    batch_id = batch_of(client, published, 1)
    order = client.order("retry_batch", published.job_id, batch_id, unfinished=True)
    assert (order.status, order.tasks) == ("working", 3)
    client.work_orders()
    assert client.complete_task(published.task_ids[5], TOKEN) == "stale"
    client.maintain()
    assert sorted(message.task_index for message in client.publish()) == [6, 7, 8]


def test_a_failed_batch_goes_on_where_it_stopped_with_the_same_ids(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=10)
    claim = client.claim()
    messages = client.batch_messages(claim)
    client.record_send(claim, 1, 6)
    assert client.fail_batch(claim, max_attempts=1) == "failed"
    client.order("retry_batch", job_id, claim.batch_id)
    again = client.claim()
    assert (again.published_through, again.dispatch) == (6, 1)
    assert client.batch_messages(again, 6) == messages[6:]
    assert client.batch(claim).publish_attempts == 0


# Holding.


def test_a_held_batch_is_taken_from_its_bridge_and_goes_on_when_it_is_let_go(
    client: Client,
) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, task_count=10)
    claim = client.claim()
    client.record_send(claim, 1, 4)
    held = client.order("hold_batch", job_id, claim.batch_id, "look first")
    assert not client.record_send(claim, 5, 8)
    assert not client.finish_batch(claim)
    assert client.claim_batches(1) == []
    assert [(send.outcome, send.first_index) for send in client.sends(claim)] == [
        ("accepted", 1),
        ("unknown", 5),
    ]
    (undone,) = client.orders("undo_order", held.order_id)
    assert undone.action == "unhold_batch"
    assert client.claim().published_through == 4
    assert [order.undoes for order in orders(client)] == [None, held.order_id]
    with client.refused("SB120"):
        client.orders("undo_order", held.order_id)


# Cancelling.


def test_cancelling_is_obeyed_from_the_commit_on(client: Client, published: PublishedStage) -> None:
    other = client.published_stage(2, "work", job_id=client.create_job())
    client.order("retry_batch", published.job_id, batch_of(client, published, 2))
    client.order("cancel_job", published.job_id)
    assert client.start_all(published.messages[6:8], uuid4()) == ["cancelled"] * 2
    assert client.claim_batches(10) == []
    assert client.heartbeat_task(published.task_ids[5], TOKEN) is not None, "not yet its turn"
    with client.refused("SB102"):
        client.create_stage_tasks(published.job_id, 2)
    client.work_orders()
    assert client.heartbeat_task(published.task_ids[5], TOKEN) is None
    assert client.job(published.job_id).status == "cancelled"
    assert client.task_states(other.job_id) == {"queued": 2}


def test_a_cancelling_whose_first_tasks_have_all_ended_comes_to_the_others(
    client: Client, published: PublishedStage
) -> None:
    order = client.order("cancel_stage", published.job_id, 1)
    client.work_orders(2)
    assert client.task_states(published.job_id) == {"completed": 2, "failed": 3, "cancelled": 5}
    assert client.order("work_order", order.order_id).status == "done"


def test_a_stage_that_is_being_filled_is_cancelled_with_its_tasks(client: Client) -> None:
    job_id = client.create_job()
    client.open_stage(job_id)
    client.append_numbered_tasks(job_id, 1, 5)
    client.order("cancel_stage", job_id, 1)
    client.work_orders()
    assert client.task_states(job_id) == {"cancelled": 5}
    assert client.stage(job_id).status == "cancelled"
    assert client.due_advances() == [(job_id, 1)]


def test_stopping_a_cancelling_publishes_again_what_nobody_started(
    client: Client, published: PublishedStage
) -> None:
    order = client.order("cancel_stage", published.job_id, 1)
    client.order("work_order", order.order_id, 7)
    assert client.start(published.messages[9], TOKEN).verdict == "cancelled"
    stopped = client.order("stop_order", order.order_id, "the wrong job")
    assert (stopped.status, stopped.tasks_done) == ("stopped", 2)
    assert orders(client)[0].stopped_by == client.value("select session_user")
    assert [message.task_index for message in client.publish()] == [8, 9, 10]
    assert client.stage(published.job_id).ending is None


def test_undoing_a_cancelling_gives_its_tasks_another_attempt_and_reopens_the_job(
    client: Client, published: PublishedStage
) -> None:
    order = client.order("cancel_job", published.job_id)
    client.work_orders()
    dry = client.orders("undo_order", order.order_id, dry_run=True)
    assert [(report.status, report.tasks) for report in dry] == [("dry run", 5)]
    (undoing,) = client.orders("undo_order", order.order_id)
    client.work_orders()
    assert undoing.tasks == 5
    assert client.job(published.job_id).status == "running"
    client.maintain()
    again = client.publish()
    assert [(message.task_index, message.attempt) for message in again] == [
        (index, 2) for index in range(6, 11)
    ]
    client.start_all(again, TOKEN)
    client.complete_tasks([message.task_id for message in again], TOKEN)
    assert client.stage(published.job_id).status == "completed_with_errors"
    assert client.due_advances() == [(published.job_id, 1)]


def test_what_nobody_started_in_time_is_published_again(client: Client) -> None:
    client.stop_clock()
    client.set_task_type("work", start_timeout="10 minutes", timeout="1 hour")
    published = client.published_stage(3, "work")
    client.start(published.messages[0], TOKEN)
    client.advance(MINUTE * 9)
    assert client.row("select * from stagebus.maintain()").republished_batches == 0
    client.advance(MINUTE * 2)
    assert client.row("select * from stagebus.maintain()").republished_batches == 1
    assert [message.task_index for message in client.publish()] == [2, 3]
    client.start_all(published.messages[1:], TOKEN)
    client.advance(MINUTE * 11)
    assert client.row("select * from stagebus.maintain()").republished_batches == 0
    assert client.publish() == []
