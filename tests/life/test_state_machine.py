"""docs/state-machine.md draws every change of state that there is, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.client import MINUTE, Client

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "state-machine.md"

#: table, state before, state after, function
Change = tuple[str, str, str, str]

RECORDER = r"""
create table public.seen (change text[] not null);
grant insert on public.seen to public;
create function public.record_change() returns trigger language plpgsql as $$
declare
    v_stack text;
    v_kind  text := case when tg_table_name like 'tasks%' then 'tasks' else tg_table_name end;
begin
    get diagnostics v_stack = pg_context;
    if tg_op = 'INSERT' or old.state is distinct from new.state then
        insert into public.seen values (array[
            v_kind,
            case tg_op when 'INSERT' then '[*]' else coalesce(old.state, 'as_its_batch') end,
            coalesce(new.state, 'as_its_batch'),
            -- The first is this one.
            (
                select m[1]
                from regexp_matches(
                    v_stack, 'SQL function "?(?:stagebus\.)?(\w+)', 'g') as m
                limit 1 offset 1)]);
    end if;
    return new;
end;
$$;
"""


@pytest.fixture
def recorded(client: Client) -> Client:
    client.execute(RECORDER)
    for table in ("batches", "tasks", "stages", "jobs", "orders"):
        client.execute(
            f"create trigger seen after insert or update on stagebus_data.{table}"
            " for each row execute function public.record_change()"
        )
    return client


def seen(client: Client) -> set[Change]:
    return {tuple(change) for change in client.column("select distinct change from public.seen")}


def drawn() -> set[Change]:
    changes: set[Change] = set()
    table = ""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"## (\w+)", line):
            table = heading[1]
        elif arrow := re.fullmatch(r"    (\S+) --> (\S+): (.+)", line):
            before, after, functions = arrow.groups()
            changes |= {(table, before, after, each) for each in functions.split(", ")}
    return changes


def test_every_change_of_state_is_drawn_and_every_arrow_is_taken(recorded: Client) -> None:
    recorded.stop_clock()
    recorded.set_task_type(
        "work", batch_size=2, max_attempts=2, timeout="1 minute", retry_delay="0"
    )
    batches_by_themselves(recorded)
    batches_that_were_sent_too_long_ago(recorded)
    batches_by_order(recorded)
    batches_that_are_cancelled(recorded)
    tasks(recorded)
    ends(recorded)
    publications(recorded)
    plans(recorded)
    repairs(recorded)
    assert seen(recorded) - drawn() == set(), "not drawn"
    assert drawn() - seen(recorded) == set(), "not taken"


def batches_by_themselves(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 8)
    released, again, failed, finished = client.claim_batches(4)
    client.fail_unsendable_task(released, 1)
    client.release_batch(released)
    client.fail_batch(again)
    client.fail_batch(failed, max_attempts=1)
    client.finish_batch(finished)


def batches_that_were_sent_too_long_ago(client: Client) -> None:
    """One that its bridge gave back, and one whose bridge died."""
    client.publish()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 4)
    given_back, _ = client.claim_batches(2)
    client.record_send(given_back, 1, 1, "unknown", "nobody answered")
    client.fail_batch(given_back)
    client.advance(timedelta(days=8))
    client.claim_batches(10)
    assert {batch.state for batch in client.batches(job_id)} == {"held"}


def batches_by_order(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 2)

    def order(function: str) -> None:
        client.order(function, job_id, client.batches(job_id)[0].batch_id)

    def claimed(failing: bool = False) -> None:
        (claim,) = (each for each in client.claim_batches(100) if each.job_id == job_id)
        if failing:
            client.fail_batch(claim, max_attempts=1)

    for failing in (None, False, True):
        if failing is not None:
            claimed(failing)
        order("hold_batch")
        order("unhold_batch")
    claimed(failing=True)
    order("retry_batch")
    claimed()
    order("retry_batch")
    client.publish()
    order("retry_batch")


@contextmanager
def cancelling(client: Client, work: bool = True) -> Iterator[object]:
    """A job of one batch; the block brings it into a state, then its job is cancelled."""
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 2)
    yield job_id
    client.order("cancel_job", job_id)
    if work:
        client.work_orders(1)


def batches_that_are_cancelled(client: Client) -> None:
    client.advance(MINUTE * 2)
    client.publish()
    with cancelling(client):
        pass
    with cancelling(client):
        client.claim()
    with cancelling(client):
        client.fail_batch(client.claim(), max_attempts=1)
    with cancelling(client) as job_id:
        client.order("hold_batch", job_id, client.batches(job_id)[0].batch_id)
    with cancelling(client, work=False):
        pass
    assert client.claim_batches(1) == []
    with cancelling(client, work=False):
        client.claim()
    client.advance(MINUTE * 2)
    assert client.claim_batches(1) == []
    client.work_orders()
    # Stopped between its batches and its tasks.
    with cancelling(client, work=False):
        client.fail_batch(client.claim(), max_attempts=1)
    (order_id,) = client.column("select * from stagebus.working_orders()")
    client.order("stop_order", order_id)
    client.publish()
    with cancelling(client, work=False):
        pass
    (order_id,) = client.column("select * from stagebus.working_orders()")
    client.order("work_order", order_id)
    client.order("stop_order", order_id)
    client.publish()


def tasks(client: Client) -> None:
    published = client.published_stage([{"n": n} for n in range(6)], "work")
    ids, token = published.task_ids, uuid4()
    client.start_all(published.messages[:5], token)
    client.complete_task(ids[0], token)
    client.fail_task(ids[1], token)
    client.fail_task(ids[2], token, retry=False)
    # The fourth runs and is given another attempt; the fifth runs; the sixth was never started.
    client.order(
        "retry_batch", published.job_id, client.batches(published.job_id)[1].batch_id, True
    )
    client.work_orders()
    client.maintain()
    client.order("cancel_stage", published.job_id, 1)
    client.work_orders()
    client.order("retry_tasks", published.job_id, 1, "failed")
    client.order("retry_tasks", published.job_id, 1, "cancelled")
    client.work_orders()
    client.order("cancel_stage", published.job_id, 1)
    client.work_orders()


def publications(client: Client) -> None:
    client.set_task_type("work", job_messages=False)
    client.publish()
    confirmed = client.provisional_stage(2, "work")
    client.publish()
    assert client.stage(confirmed.job_id).status == "open"
    withdrawn = client.provisional_stage(2, "work")
    client.withdraw_stage(withdrawn.job_id)
    client.work_orders()
    assert client.job(withdrawn.job_id).status == "created"


def ends(client: Client) -> None:
    for tolerated, state in (("100%", "completed_with_errors"), ("0", "failed")):
        client.set_task_type("work", tolerated_failures=tolerated, job_messages=True)
        published = client.published_stage(2, "work")
        token = uuid4()
        client.start_all(published.messages, token)
        client.complete_task(published.task_ids[0], token)
        client.fail_task(published.task_ids[1], token, retry=False)
        assert client.stage(published.job_id).status == state
        client.order("retry_tasks", published.job_id, 1)
        client.work_orders()
        client.maintain()
        (message,) = (each for each in client.publish() if "task_id" in each.content)
        client.start(message, token)
        client.fail_task(message.task_id, token, retry=False)
        client.finish_job(published.job_id)
    completed = client.published_stage(1, "work")
    client.run_stage(completed)
    client.finish_job(completed.job_id)
    client.finish_job(client.create_job())

    # Cancelled before its first stage, between two stages, and in the middle of one; undone.
    before = client.create_job()
    between = client.published_stage(1, "work")
    client.run_stage(between)
    within = client.published_stage(2, "work")
    for job_id in (before, between.job_id, within.job_id):
        order = client.order("cancel_job", job_id)
        client.work_orders()
        assert client.job(job_id).status == "cancelled"
        client.orders("undo_order", order.order_id)
        client.work_orders()
    assert client.job(before).status == "created"
    assert client.job(between.job_id).status == "running"
    assert client.job(within.job_id).status == "running"
    assert (between.job_id, 1) in client.due_advances()


def plans(client: Client) -> None:
    stages = [
        {"name": "a", "task_type": "work", "count": 1},
        {"name": "b", "task_type": "work", "count": 1, "skip_when": "1 == 1"},
    ]
    client.define_job_type(stages)
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1)
    assert client.advance_job(job_id).job_status == "completed"


def repairs(client: Client) -> None:
    """Damage that no trigger sees: tasks in no batch, of a stage that has completed."""
    published = client.published_stage(2, "work")
    client.run_stage(published)
    client.execute("set session_replication_role = replica")
    client.execute(
        "update stagebus_data.tasks set state = null where job_id = %s", published.job_id
    )
    client.execute("delete from stagebus_data.batches where job_id = %s", published.job_id)
    client.execute("set session_replication_role = origin")
    client.execute("select stagebus.repair_job(%s, dry_run => false)", published.job_id)
    assert client.stage(published.job_id).status == "open"
