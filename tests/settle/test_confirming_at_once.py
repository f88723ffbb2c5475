"""Two sessions about one publication: whoever locks the stage first decides, and never both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.client import MINUTE, Claim, Client, Publication

TOKEN = uuid4()
Act = Callable[[Client, Publication, Claim], Any]


@pytest.fixture
def small(client: Client) -> Client:
    client.stop_clock()
    client.set_task_type("small", batch_size=2)
    return client


@contextmanager
def behind(first: Client, second: Client, call: Callable[[], Any]) -> Iterator[list[Any]]:
    """The second session comes to a lock of what the block does, and goes on after its commit."""
    answers: list[Any] = []
    with first.transaction():
        yield answers
        running = second.in_background(call)
        first.wait_until_blocked(second, running)
    answers.append(running.result(timeout=20))


def test_of_two_last_finishers_the_second_confirms(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    one, two = small.claim_batches(2)
    other = small.session()
    with behind(small, other, lambda: other.finish_batch(two)) as answers:
        assert small.finish_batch(one)
        assert small.stage(told.job_id).status == "provisional"
    assert answers == [True]
    assert small.publication(told.job_id).status == "confirmed"


def test_a_finisher_that_rolls_back_confirms_nothing(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    one, two = small.claim_batches(2)
    with small.transaction(roll_back=True):
        small.finish_batch(one)
    small.finish_batch(two)
    assert small.publication(told.job_id).status == "waiting"
    small.finish_batch(one)
    assert small.publication(told.job_id).status == "confirmed"


def finish(session: Client, _: Publication, claim: Claim) -> bool:
    return session.finish_batch(claim)


def withdraw(session: Client, told: Publication, _: Claim) -> str:
    return session.withdraw_stage(told.job_id, reason="given up").status


def time_out(session: Client, told: Publication, _: Claim) -> str:
    return session.publication(told.job_id).status


def cancel(session: Client, told: Publication, _: Claim) -> str:
    return session.order("cancel_job", told.job_id).status


@pytest.mark.parametrize("no", [withdraw, time_out])
def test_a_confirmation_that_was_first_is_what_the_other_is_told(small: Client, no: Act) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    small.advance(MINUTE)
    other = small.session()
    with behind(small, other, lambda: no(other, told, claim)) as answers:
        assert small.finish_batch(claim)
    assert answers == ["confirmed"]
    assert small.stage(told.job_id).status == "open"
    assert small.count("orders") == 0


def test_a_sweep_passes_over_a_stage_that_is_being_confirmed(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    small.advance(MINUTE)
    other = small.session()
    with small.transaction():
        small.finish_batch(claim)
        assert other.value("select overdue_stages from stagebus.maintain()") == 0
    assert other.value("select overdue_stages from stagebus.maintain()") == 0
    assert small.publication(told.job_id).status == "confirmed"


@pytest.mark.parametrize("no", [withdraw, time_out, cancel])
def test_a_withdrawal_that_was_first_is_not_confirmed_any_more(small: Client, no: Act) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    small.advance(MINUTE)
    other = small.session()
    with behind(small, other, lambda: finish(other, told, claim)):
        no(small, told, claim)
    # All of it is out, and nobody may run it.
    assert small.publication(told.job_id).status == "withdrawn"
    assert small.stage(told.job_id).status == "provisional"
    assert small.stage(told.job_id).ending == "withdraw"
    small.work_orders()
    assert small.rows("select from stagebus_data.stages") == []


@pytest.mark.parametrize("first", ["failed", "finished"])
def test_the_last_batch_and_a_failing_one(small: Client, first: str) -> None:
    told = small.provisional_stage(4, "small")
    one, two = small.claim_batches(2)
    other = small.session()
    if first == "failed":
        with behind(small, other, lambda: other.finish_batch(two)) as answers:
            small.fail_batch(one, max_attempts=1)
        assert answers == [True]
    else:
        with behind(small, other, lambda: other.fail_batch(two, max_attempts=1)) as answers:
            small.finish_batch(one)
        assert answers == ["failed"]
    assert small.publication(told.job_id).status == "withdrawn"
    assert small.count("orders") == 1


def test_a_send_that_resumes_the_destination_and_another_batch_that_is_refused(
    small: Client,
) -> None:
    small.create_stage_tasks(small.create_job(), 1, "small", 2)
    refused = small.claim()
    told = small.provisional_stage(4, "small")
    one, two = small.claim_batches(2)
    small.release_refused(refused, "it is full")
    other = small.session()
    with small.transaction():
        small.record_send(one, 1, 2)
        running = other.in_background(lambda: other.release_refused(two, "it is full"))
        small.wait_until_blocked(other, running)
        # As a bridge does in one statement.
        assert small.finish_batch(one)
    assert running.result(timeout=20)
    assert small.publication(told.job_id).status == "withdrawn"
    assert small.destination().status == "paused"


def test_of_two_batches_that_fail_the_first_withdraws(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    one, two = small.claim_batches(2)
    other = small.session()
    with behind(small, other, lambda: other.fail_batch(two, "second", max_attempts=1)) as answers:
        small.fail_batch(one, "first", max_attempts=1)
    assert answers == ["failed"]
    assert str(small.publication(told.job_id).reason).endswith(": first")
    assert small.count("orders") == 1


def test_two_that_withdraw_leave_one_order(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    small.advance(MINUTE)
    other = small.session()
    with behind(small, other, lambda: other.publication(told.job_id)) as answers:
        small.withdraw_stage(told.job_id, reason="given up")
    assert answers[0].reason == "given up"
    assert small.count("orders") == 1


def test_a_start_sees_the_confirmation_at_its_commit_and_not_before(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    messages = small.batch_messages(claim)
    other = small.session()
    with small.transaction():
        small.finish_batch(claim)
        assert small.stage(told.job_id).status == "open"
        assert other.start_all(messages, TOKEN) == ["wait", "wait"]
    assert other.start_all(messages, TOKEN) == ["run", "run"]


def test_a_start_meets_the_withdrawal_at_its_commit_and_then_the_deletion(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    messages = small.batch_messages(small.claim())
    other = small.session()
    with small.transaction():
        small.withdraw_stage(told.job_id)
        assert other.start_all(messages, TOKEN) == ["wait", "wait"]
    (order_id,) = small.column("select * from stagebus.working_orders()")
    with behind(small, other, lambda: other.start_all(messages, TOKEN)) as answers:
        small.order("work_order", order_id)
    assert answers == [["ghost", "ghost"]]


def test_a_claim_that_was_made_before_the_withdrawal_ends_with_it(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    other = small.session()
    with other.transaction():
        (claim,) = other.claim_batches(1)
        small.withdraw_stage(told.job_id)
    assert not other.record_send(claim, 1, 2)
    assert other.batch_messages(claim) == []
    assert not other.finish_batch(claim)
    small.work_orders()
    assert small.count("batches") == 0


def test_a_finisher_that_waits_while_the_stage_is_removed(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    small.withdraw_stage(told.job_id)
    (order_id,) = small.column("select * from stagebus.working_orders()")
    other = small.session()
    with behind(small, other, lambda: other.fail_batch(claim)) as answers:
        small.order("work_order", order_id)
    assert answers == [None]


def test_a_stage_is_made_again_only_after_the_removal_is_committed(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    small.withdraw_stage(told.job_id)
    (order_id,) = small.column("select * from stagebus.working_orders()")
    other = small.session()
    with behind(small, other, lambda: other.create_stage_tasks(told.job_id, 1, "small", 2)):
        small.order("work_order", order_id)
    assert small.stage(told.job_id).status == "open"
    assert small.recount(told.job_id) == []
