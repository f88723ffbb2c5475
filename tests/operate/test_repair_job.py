"""`repair_job` mends whatever `verify_job` finds, and the work then goes on to its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.client import Client

TOKEN = UUID(int=1)
RUNNING, RETRIED, WAITING = 7, 5, 20


def repair(client: Client, job_id: UUID, *, dry_run: bool = False) -> list[Any]:
    return client.rows("select * from stagebus.repair_job(%s, %s, 'a test')", job_id, dry_run)


def differences(client: Client, job_id: UUID) -> list[str]:
    return [
        text
        for row in client.rows("select * from stagebus.verify_job(%s)", job_id)
        for text in row.differences
    ]


def assert_proved(client: Client, job_id: UUID) -> None:
    assert differences(client, job_id) == []
    assert repair(client, job_id, dry_run=True) == []


@pytest.fixture
def job_id(client: Client) -> UUID:
    """A stage of 20 tasks: 7 and 8 run, 5 and 6 wait for a retry, 16 to 20 for their batch."""
    client.set_task_type("work", batch_size=5, timeout="1 minute", max_attempts=3)
    client.stop_clock()
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 20)
    messages = []
    for claim in client.claim_batches(3):
        messages += client.batch_messages(claim)
        client.finish_batch(claim)
    ids = [message.task_id for message in messages]
    client.start_all(messages[:8], TOKEN)
    client.complete_tasks(ids[:3], TOKEN)
    client.fail_tasks(ids[3:4], TOKEN, ["out of luck"], retry=False)
    client.fail_tasks(ids[4:6], TOKEN, ["not yet"] * 2)
    client.complete_tasks(ids[8:], TOKEN)
    return job_id


def work_to_the_end(client: Client, job_id: UUID) -> None:
    """What runs is left to the sweep; all that is published is done."""
    for _ in range(3):
        client.advance(timedelta(minutes=20))
        client.maintain()
        for message in client.publish():
            if client.start(message, token := uuid4()).verdict == "run":
                client.complete_task(message.task_id, token)
    # Those that were sent before, and not started.
    states = client.task_states(job_id)
    if "queued" in states:
        for batch in client.batches(job_id):
            if batch.state == "queued":
                client.order("retry_batch", job_id, batch.batch_id)
        for message in client.publish():
            client.start(message, token := uuid4())
            client.complete_task(message.task_id, token)


#: Each way in which the rows of the fixture's job can be wrong.
DAMAGES = [
    "delete from stagebus_data.batches where last_index = 20",
    "update stagebus_data.batches set task_count = 4, last_index = 19,"
    " published_through = 15 where last_index = 20",
    "insert into stagebus_data.batch_members"
    " select job_id, 1, 20, gen_random_uuid() from stagebus_data.jobs",
    "delete from stagebus_data.tasks where task_index = 20",
    "delete from stagebus_data.running_attempts where task_index = 7",
    "insert into stagebus_data.running_attempts"
    " select job_id, 1, 1, 1, 'w', now(), now() from stagebus_data.jobs",
    "delete from stagebus_data.waiting_retries where task_index = 5",
    "insert into stagebus_data.waiting_retries"
    " select job_id, 1, 1, now(), 'e' from stagebus_data.jobs",
    "update stagebus_data.counter_slots set completed = completed + 1",
    "update stagebus_data.counter_slots set open_tasks = 0 where slot_no = 19",
    "delete from stagebus_data.counter_slots where slot_no in (7, 19)",
    "insert into stagebus_data.counter_slots select job_id, 1, 99, 1 from stagebus_data.jobs",
    "update stagebus_data.counter_groups set open_slots = open_slots + 1, failed = 3",
    "delete from stagebus_data.counter_groups",
    "insert into stagebus_data.counter_groups select job_id, 1, 9, 1 from stagebus_data.jobs",
    "update stagebus_data.stages set open_groups = 2, completed = 1",
    "update stagebus_data.stages set open_groups = 0",
    "update stagebus_data.stages set task_count = 25",
    "update stagebus_data.tasks set state = 'failed' where task_index = 20",
    "update stagebus_data.stages set state = 'completed', ended_at = now()",
    "update stagebus_data.stages set state = 'failed', ended_at = now()",
    "update stagebus_data.stages set state = 'completed', ended_at = now();"
    " update stagebus_data.jobs set state = 'completed', ended_at = now()",
]


def test_what_was_damaged_is_mended_and_the_work_goes_on(client: Client, job_id: UUID) -> None:
    for damage in DAMAGES:
        with client.transaction(roll_back=True):
            for statement in damage.split(";"):
                client.execute(statement)
            assert differences(client, job_id), damage
            shown = [row[:3] for row in repair(client, job_id, dry_run=True)]
            assert [row[:3] for row in repair(client, job_id)] == shown, damage
            assert_proved(client, job_id)
            work_to_the_end(client, job_id)
            assert_proved(client, job_id)
            assert client.stage(job_id).status == "completed_with_errors", damage
            assert client.job(job_id).status in ("running", "completed"), damage


def end_all(client: Client, job_id: UUID, *, failed: bool = False) -> None:
    work_to_the_end(client, job_id)
    assert client.stage(job_id).status == ("failed" if failed else "completed_with_errors")


REOPENED = "update stagebus_data.stages set state = 'open', ended_at = null"


@pytest.mark.parametrize("due", [True, False])
def test_a_stage_that_should_have_ended_ends_and_its_job_is_due(
    client: Client, job_id: UUID, due: bool
) -> None:
    end_all(client, job_id)
    client.execute(REOPENED)
    if not due:
        client.execute("delete from stagebus_data.due_advances")
    assert differences(client, job_id) == ["no task is open, and it has not ended"]
    repair(client, job_id)
    assert client.stage(job_id).status == "completed_with_errors"
    assert client.due_advances() == [(job_id, 1)]
    assert_proved(client, job_id)
    assert client.finish_job(job_id) == "completed_with_errors"


def test_a_job_whose_advance_was_lost_is_due_again(client: Client, job_id: UUID) -> None:
    end_all(client, job_id)
    client.execute("delete from stagebus_data.due_advances")
    assert len(differences(client, job_id)) == 1
    repair(client, job_id)
    assert client.due_advances() == [(job_id, 1)]
    assert_proved(client, job_id)


def test_a_stage_that_is_judged_again_leaves_its_job_cancelled(
    client: Client, job_id: UUID
) -> None:
    end_all(client, job_id)
    client.order("cancel_job", job_id)
    client.work_orders()
    client.execute("update stagebus_data.stages set state = 'completed'")
    assert [row.mend for row in repair(client, job_id)] == ["the stage is judged again"]
    assert client.stage(job_id).status == "completed_with_errors"
    assert client.job(job_id).status == "cancelled"
    assert client.due_advances() == []
    assert_proved(client, job_id)


def test_a_job_that_should_have_failed_or_been_cancelled_is(client: Client, job_id: UUID) -> None:
    client.order("set_stage", job_id, 1, tolerated_failures="0")
    end_all(client, job_id, failed=True)
    lost = "update stagebus_data.jobs set state = 'running', ended_at = null"
    client.execute(lost)
    repair(client, job_id)
    assert client.job(job_id).status == "failed"
    client.execute(f"{lost}, cancelling = true")
    repair(client, job_id)
    assert client.job(job_id).status == "cancelled"
    assert_proved(client, job_id)


def test_a_stage_that_ended_by_wrong_counts_is_judged_again(client: Client, job_id: UUID) -> None:
    client.order("set_stage", job_id, 1, tolerated_failures="0")
    end_all(client, job_id, failed=True)
    for table in ("counter_slots", "counter_groups", "stages"):
        client.execute(
            f"update stagebus_data.{table} set completed = completed + failed, failed = 0"
        )
    client.execute("update stagebus_data.stages set state = 'completed'")
    client.execute("update stagebus_data.jobs set state = 'running', ended_at = null")
    repair(client, job_id)
    assert (client.stage(job_id).status, client.job(job_id).status) == ("failed", "failed")
    assert_proved(client, job_id)


def test_a_task_in_no_batch_is_published_with_an_id_that_no_broker_has_seen(
    client: Client, job_id: UUID
) -> None:
    (claim,) = client.claim_batches(1)
    lost = {message.message_id for message in client.batch_messages(claim)}
    client.finish_batch(claim)
    client.execute("delete from stagebus_data.batches where last_index = 20")
    repair(client, job_id)
    client.maintain()
    found = [message for message in client.publish() if message.task_index > 15]
    assert [message.task_index for message in found] == [16, 17, 18, 19, 20]
    assert not lost & {message.message_id for message in found}


def test_who_repaired_what_and_why_is_an_order(client: Client, job_id: UUID) -> None:
    client.execute("update stagebus_data.stages set completed = 9")
    (row,) = repair(client, job_id)
    order = client.order_row(row.order_id)
    assert (order.action, order.status, order.reason) == ("repair_job", "done", "a test")
    (told,) = order.details["differences"]
    assert told == {"difference": row.difference, "mend": row.mend}
    assert row.difference == "stage: completed: counted 9, found 0"


def test_a_dry_run_and_a_repair_of_what_is_right_write_nothing(
    client: Client, job_id: UUID
) -> None:
    before = client.contents()
    assert repair(client, job_id) == []
    assert client.contents() == before
    client.execute("delete from stagebus_data.running_attempts where task_index = 7")
    client.execute("update stagebus_data.stages set completed = 9")
    before = client.contents()
    assert len(repair(client, job_id, dry_run=True)) == 2
    assert client.contents() == before


def test_stages_that_are_not_there_yet_or_go_away_are_refused(client: Client) -> None:
    filling = client.create_job()
    client.create_stage_tasks(filling, 1, "h3_hexagon", 3, seal=False)
    provisional = client.provisional_stage(3, "h3_hexagon").job_id
    withdrawn = client.provisional_stage(3, "h3_hexagon").job_id
    client.withdraw_stage(withdrawn)
    for job_id in (filling, provisional, withdrawn):
        for dry_run in (True, False):
            with client.refused("SB120"):
                repair(client, job_id, dry_run=dry_run)
    with client.refused("SB101"):
        repair(client, uuid4())


def test_of_two_repairs_at_once_the_second_finds_nothing_left(client: Client, job_id: UUID) -> None:
    client.execute("delete from stagebus_data.batches where last_index = 20")
    client.execute("update stagebus_data.counter_slots set completed = 2")
    first, second = client.session(), client.session()
    with first.transaction():
        assert len(repair(first, job_id)) > 1
        running = second.in_background(lambda: repair(second, job_id))
        client.wait_until_blocked(second, running)
    assert running.result() == []
    assert_proved(client, job_id)
    assert client.value("select max(attempt) from stagebus.tasks where task_index > 15") == 2


@pytest.mark.parametrize("first_to_come", ["worker", "repair"])
def test_a_worker_that_completes_meanwhile_is_counted_once(
    client: Client, job_id: UUID, first_to_come: str
) -> None:
    client.execute("update stagebus_data.counter_slots set failed = 2")
    client.execute("update stagebus_data.counter_groups set open_slots = 3")
    task_id = f"{job_id}-s1-{RUNNING}"
    worker, operator = client.session(), client.session()

    def complete() -> Any:
        return worker.complete_tasks([task_id], TOKEN)

    def mend() -> Any:
        return repair(operator, job_id)

    first, second, call, other = (
        (worker, operator, complete, mend)
        if first_to_come == "worker"
        else (operator, worker, mend, complete)
    )
    with first.transaction():
        call()
        running = second.in_background(other)
        client.wait_until_blocked(second, running)
    running.result()
    assert client.task(task_id).status == "completed"
    assert_proved(client, job_id)
    work_to_the_end(client, job_id)
    assert_proved(client, job_id)


def test_workers_go_on_while_a_large_stage_is_repaired_again_and_again(client: Client) -> None:
    published = client.published_stage(300, "h3_hexagon")
    worker, operator = client.session(), client.session()

    def work() -> None:
        for message in published.messages:
            worker.start(message, token := uuid4())
            worker.complete_task(message.task_id, token)

    working = worker.in_background(work)
    while not working.done():
        # What the work itself does not stumble over.
        client.execute(
            "insert into stagebus_data.waiting_retries"
            " select job_id, 1, 1, now(), 'e' from stagebus_data.jobs on conflict do nothing"
        )
        repair(operator, published.job_id)
    working.result()
    assert_proved(client, published.job_id)
    assert client.stage(published.job_id).status == "completed"
