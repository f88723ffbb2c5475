"""A stage is published provisionally, then confirmed or withdrawn; the caller gets yes or no."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.client import MINUTE, Client, Listener, Publication, Write

TOKEN = uuid4()
HOUR = timedelta(hours=1)
#: What a withdrawn publication leaves: the audit, and what was there before.
AUDIT = {
    "orders", "installed_code", "task_types", "destinations", "test_clock", "jobs", "retention",
    "limits",
}  # fmt: skip


def left(client: Client) -> set[str]:
    """The tables that hold anything beside what a new database and a job have."""
    return {table for table in client.tables() if client.count(table)} - AUDIT


@pytest.fixture
def small(client: Client) -> Client:
    client.stop_clock()
    client.set_task_type("small", batch_size=2)
    return client


def test_it_waits_is_published_and_is_confirmed(small: Client) -> None:
    told = small.provisional_stage(5, "small")
    assert (told.status, told.tasks, told.batches, told.queued_batches) == ("waiting", 5, 3, 0)
    assert told.confirm_by == small.now() + MINUTE
    first, *others = small.claim_batches(10)
    messages = small.batch_messages(first)
    assert small.start_all(messages, TOKEN) == ["wait", "wait"]
    small.finish_batch(first)
    assert small.publication(told.job_id).queued_batches == 1
    assert small.publication(told.job_id).status == "waiting"
    for claim in others:
        assert small.stage(told.job_id).status == "provisional"
        small.finish_batch(claim)
    confirmed = small.publication(told.job_id)
    assert (confirmed.status, confirmed.queued_batches) == ("confirmed", 3)
    assert confirmed.nonce == told.nonce
    assert confirmed.order_id is None
    assert small.stage(told.job_id).status == "open"
    assert small.start_all(messages, TOKEN) == ["run", "run"]
    assert small.recount(told.job_id) == []


def test_its_tasks_run_and_end_as_any_others(small: Client) -> None:
    told = small.provisional_stage(5, "small")
    messages = small.publish()
    assert set(small.start_all(messages, TOKEN)) == {"run"}
    ids = [message.task_id for message in messages]
    assert set(small.complete_tasks(ids, TOKEN)) == {"completed"}
    assert small.stage(told.job_id).status == "completed"
    assert small.due_advances() == [(told.job_id, 1)]
    assert small.publication(told.job_id).status == "confirmed"


def test_a_stage_without_tasks_is_confirmed_at_once(small: Client) -> None:
    job_id = small.create_job()
    small.open_stage(job_id)
    assert small.publish_stage(job_id).status == "confirmed"
    assert small.stage(job_id).status == "completed"
    assert small.due_advances() == [(job_id, 1)]


def test_the_deadline_of_its_tasks_begins_with_the_confirmation(small: Client) -> None:
    small.set_task_type("small", stage_timeout=HOUR)
    told = small.provisional_stage(2, "small")
    assert small.stage(told.job_id).deadline is None
    small.advance(MINUTE / 2)
    small.publish()
    assert small.stage(told.job_id).deadline == small.now() + HOUR


def test_called_again_it_changes_nothing_and_answers_what_became_of_it(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    before = small.contents()
    assert small.publish_stage(told.job_id, 1, HOUR) == told
    assert small.contents() == before
    small.publish()
    assert small.publish_stage(told.job_id).status == "confirmed"
    other = small.provisional_stage(2, "small")
    small.withdraw_stage(other.job_id, reason="no more wanted")
    assert small.publish_stage(other.job_id).reason == "no more wanted"
    small.work_orders()
    assert small.publish_stage(other.job_id).status == "withdrawn"


def test_the_decision_is_notified_once(small: Client) -> None:
    listener = Listener(small, "stagebus_jobs")
    told = small.provisional_stage(4, "small")
    assert listener.heard() == []
    small.publish()
    assert listener.heard() == [("stagebus_jobs", str(told.job_id))]
    other = small.provisional_stage(4, "small")
    small.withdraw_stage(other.job_id)
    small.withdraw_stage(other.job_id)
    small.work_orders()
    assert listener.heard() == [("stagebus_jobs", str(other.job_id))]


def test_a_failed_batch_withdraws_it(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    fine, failing = small.claim_batches(2)
    small.finish_batch(fine)
    assert small.fail_batch(failing, "out of luck", max_attempts=2) == "pending_queue"
    assert small.publication(told.job_id).status == "waiting"
    small.advance(timedelta(seconds=2))
    (failing,) = small.claim_batches(2)
    assert small.fail_batch(failing, "out of luck", max_attempts=2) == "failed"
    withdrawn = small.publication(told.job_id)
    assert withdrawn.status == "withdrawn"
    assert "could not be published: out of luck" in str(withdrawn.reason)
    assert (withdrawn.batches, withdrawn.queued_batches) == (2, 1)


def test_a_task_that_cannot_be_sent_withdraws_it(small: Client) -> None:
    told = small.provisional_stage(4, "small")
    claim = small.claim()
    assert not small.fail_unsendable_task(claim, 1, "too big")
    assert small.publication(told.job_id).reason == "task 1 cannot be sent: too big"
    assert small.task_states(told.job_id).get("failed") is None
    # A bridge goes on with what it says of a batch that is not its own any more.
    assert small.fail_batch(claim) == "pending_queue"
    assert small.claim_batches(10) == []
    small.work_orders()
    assert left(small) == set()


def test_a_destination_that_the_broker_refuses_withdraws_it(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    assert small.release_refused(small.claim(), "the entity does not exist")
    withdrawn = small.publication(told.job_id)
    assert withdrawn.reason == (
        "the broker refuses the destination tasks: the entity does not exist"
    )
    assert small.destination().status == "paused"


def test_what_is_not_the_brokers_no_only_costs_time(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    small.record_send(claim, 1, 2, "unknown", "nobody answered")
    small.fail_batch(claim)
    small.advance(timedelta(seconds=2))
    small.release_batch(small.claim())
    small.order("hold_batch", told.job_id, claim.batch_id)
    assert small.publication(told.job_id).status == "waiting"
    small.order("unhold_batch", told.job_id, claim.batch_id)
    small.publish()
    assert small.publication(told.job_id).status == "confirmed"


@pytest.mark.parametrize("who", ["maintain", "publication", "publish_stage"])
def test_when_the_time_is_up_whoever_looks_withdraws_it(small: Client, who: str) -> None:
    told = small.provisional_stage(4, "small")
    claim = small.claim()
    small.finish_batch(claim)
    small.advance(MINUTE - timedelta(microseconds=1))
    small.maintain()
    assert small.publication(told.job_id).status == "waiting"
    small.advance(timedelta(microseconds=1))
    if who == "maintain":
        assert small.value("select overdue_stages from stagebus.maintain()") == 1
        assert small.stage(told.job_id).ending == "withdraw"
    ask = small.publish_stage if who == "publish_stage" else small.publication
    withdrawn = ask(told.job_id)
    assert withdrawn.status == "withdrawn"
    assert "its time was up at" in str(withdrawn.reason)
    assert "1 of 2 batches are queued" in str(withdrawn.reason)


def test_the_reason_of_a_timeout_says_what_was_in_the_way(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    small.fail_batch(small.claim(), "the link is down")
    small.advance(MINUTE)
    assert "the link is down" in str(small.publication(told.job_id).reason)
    small.work_orders()
    told = small.provisional_stage(2, "small", told.job_id)
    small.execute("select stagebus.pause_destination('tasks', 'until noon')")
    small.advance(MINUTE)
    assert "until noon" in str(small.publication(told.job_id).reason)


def test_its_time_begins_when_the_call_has_the_stage(small: Client) -> None:
    job_id = small.create_job()
    small.create_stage_tasks(job_id, 1, "small", 2, seal=False)
    other = small.session()
    with small.transaction():
        small.append_numbered_tasks(job_id, 1, 1)
        publishing = other.in_background(lambda: other.publish_stage(job_id))
        small.wait_until_blocked(other, publishing)
        late = small.session().advance(MINUTE * 2)
    assert publishing.result(timeout=20).confirm_by == late + MINUTE
    assert small.publication(job_id).status == "waiting"


def test_its_time_is_a_duration_whatever_the_months_and_clocks(small: Client) -> None:
    # In the night of the second day clocks are put on by an hour.
    small.at(datetime(2027, 3, 27, 12, tzinfo=UTC))
    small.execute("set time zone 'Europe/Berlin'")
    for timeout in ("1 day", "24 hours", "1 month -29 days"):
        job_id = small.create_job()
        small.create_stage_tasks(job_id, 1, "small", 2, seal=False)
        seconds = small.value(
            "select extract(epoch from confirm_by - stagebus.clock())"
            " from stagebus.publish_stage(%s, 1, %s::interval)",
            job_id,
            timeout,
        )
        assert seconds == 86_400


def test_a_last_batch_that_comes_late_confirms_what_nobody_has_withdrawn(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    claim = small.claim()
    small.advance(MINUTE * 2)
    small.finish_batch(claim)
    assert small.publication(told.job_id).status == "confirmed"
    small.maintain()
    assert small.publication(told.job_id).status == "confirmed"


def test_after_the_no_nothing_of_it_is_claimed_recorded_or_run(small: Client) -> None:
    told = small.provisional_stage(6, "small")
    claimed, sent, done = small.claim_batches(3)
    messages = small.batch_messages(sent)
    small.record_send(sent, 3, 4)
    small.finish_batch(done)
    small.withdraw_stage(told.job_id)
    assert small.start_all(messages, TOKEN) == ["ghost", "ghost"]
    assert not small.record_send(claimed, 1, 2)
    assert not small.finish_batch(sent)
    assert [send.outcome for send in small.sends(claimed)] == []
    small.advance(MINUTE * 2)
    assert small.claim_batches(10) == []
    small.work_orders()
    assert small.start_all(messages, TOKEN) == ["ghost", "ghost"]
    assert not small.record_send(claimed, 1, 2)
    assert small.fail_batch(sent) is None


@pytest.mark.parametrize("limit", [1, 3, 10_000])
def test_on_no_nothing_is_left_but_the_audit(small: Client, limit: int) -> None:
    job_id = small.create_job()
    before = (small.contents(), small.job(job_id))
    small.open_stage(job_id, 1, "small")
    small.execute(
        "select stagebus.append_tasks(%s, 1, array(select jsonb_build_object('id', k)"
        " from generate_series(1, 7) as k), task_key => 'id')",
        job_id,
    )
    told = small.publish_stage(job_id)
    first, second = small.claim_batches(2)
    small.record_send(first, 1, 2)
    small.finish_batch(first)
    small.record_send(second, 3, 3)
    small.withdraw_stage(job_id, reason="the user went away")
    small.work_orders(limit)
    after, job = small.contents(), small.job(job_id)
    # Destinations say how far they have come.
    changed = {table for table in after if after[table] != before[0][table]} - {"destinations"}
    assert changed == {"orders"}
    assert job == before[1]
    order = small.order_row(small.publication(job_id).order_id)
    assert (order.action, order.status, order.reason) == (
        "withdraw_stage", "done", "the user went away",
    )  # fmt: skip
    assert (order.tasks, order.tasks_done, order.batches_done) == (7, 7, 4)
    # The queued one, and all of the one that was on its way.
    assert order.details["messages"] == 4
    assert order.details["nonce"] == told.nonce
    assert order.details["task_type"] == "small"
    assert order.ordered_by == small.value("select session_user")


def test_a_large_one_goes_away_in_bounded_steps(small: Client) -> None:
    told = small.provisional_stage(12_345, "small")
    small.withdraw_stage(told.job_id)
    (order_id,) = small.column("select * from stagebus.working_orders()")
    for _ in range(100):
        tasks = small.count("tasks")
        report = small.order("work_order", order_id, 1000)
        assert tasks - small.count("tasks") <= 1000
        assert small.recount(told.job_id) == []
        if report.status == "done":
            break
    assert left(small) == set()


def test_a_step_reads_about_what_it_deletes(client: Client) -> None:
    client.set_task_type("tiny", batch_size=10)
    job_id = client.create_job()
    client.open_stage(job_id, 1, "tiny")
    client.execute(
        "select stagebus.append_tasks(%s, 1, array(select jsonb_build_object('id', k)"
        " from generate_series(1, 30000) as k), task_key => 'id')",
        job_id,
    )
    client.publish_stage(job_id)
    client.withdraw_stage(job_id)
    (order_id,) = client.column("select * from stagebus.working_orders()")
    read = (
        "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::integer"
        " from pg_stat_xact_user_tables where schemaname = 'stagebus_data'"
    )
    status = ""
    while status != "done":
        with client.transaction():
            before = client.value(read) or 0
            status = client.order("work_order", order_id, 5000).status
            assert client.value(read) - before < 10 * 5000
    assert left(client) == set()


def test_the_number_can_be_made_again_and_old_messages_stay_ghosts(small: Client) -> None:
    old = small.provisional_stage(2, "small")
    messages = small.batch_messages(small.claim())
    small.withdraw_stage(old.job_id, reason="first")
    for form in ("error", "skip"):
        with small.refused("SB131"):
            small.create_stage_tasks(old.job_id, 1, "small", 2, if_exists=form)
    with small.refused("SB131"):
        small.open_stage(old.job_id, 1, "small")
    small.work_orders()
    new = small.provisional_stage(2, "small", old.job_id)
    assert new.nonce != old.nonce
    assert small.start_all(messages, TOKEN) == ["ghost", "ghost"]
    assert small.publication(old.job_id, 1, old.nonce).status == "withdrawn"
    assert small.publication(old.job_id).status == "waiting"
    small.publish()
    assert small.publication(old.job_id, 1, old.nonce).reason == "first"
    assert small.publication(old.job_id, 1, new.nonce).status == "confirmed"
    assert small.publication(old.job_id).status == "confirmed"
    # Whoever gives the first one up does not touch the second.
    assert small.withdraw_stage(old.job_id, 1, nonce=old.nonce).reason == "first"
    assert small.stage(old.job_id).status == "open"


def test_a_withdrawn_one_does_not_fail_its_job_and_the_stage_before_is_due_again(
    small: Client,
) -> None:
    published = small.published_stage(2, "small")
    small.run_stage(published)
    told = small.provisional_stage(2, "small", published.job_id, 2)
    assert small.due_advances() == []
    with small.refused("SB103"):
        small.open_stage(published.job_id, 3, "small")
    with small.refused("SB113"):
        small.finish_job(published.job_id)
    small.withdraw_stage(told.job_id, 2)
    small.work_orders()
    assert small.job(told.job_id).status == "running"
    assert small.due_advances() == [(told.job_id, 1)]
    assert small.finish_job(told.job_id) == "completed"


def test_a_repair_of_the_stage_before_is_one_no_longer(small: Client) -> None:
    small.set_task_type("small", max_attempts=1)
    published = small.published_stage(2, "small")
    small.start_all(published.messages, TOKEN)
    small.complete_task(published.task_ids[0], TOKEN)
    small.fail_task(published.task_ids[1], TOKEN)
    told = small.provisional_stage(2, "small", published.job_id, 2)
    small.order("retry_tasks", told.job_id, 1)
    small.work_orders()
    assert small.stage(told.job_id).repair
    small.withdraw_stage(told.job_id, 2)
    small.work_orders()
    assert not small.stage(told.job_id).repair
    assert small.due_advances() == []
    small.maintain()
    (message,) = small.publish()
    small.start(message, TOKEN)
    small.complete_task(message.task_id, TOKEN)
    assert small.due_advances() == [(told.job_id, 1)]


def test_what_is_confirmed_cannot_be_withdrawn_and_says_so(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    small.publish()
    before = small.contents()
    assert small.withdraw_stage(told.job_id).status == "confirmed"
    assert small.contents() == before


def test_a_withdrawal_without_a_reason_names_who_did_it(small: Client) -> None:
    told = small.provisional_stage(2, "small")
    session_user = small.value("select session_user")
    assert small.withdraw_stage(told.job_id).reason == f"withdrawn by {session_user}"


def test_a_producer_publishes_asks_and_withdraws(client: Client, caller: Client) -> None:
    told = caller.provisional_stage(2)
    assert caller.publication(told.job_id).status == "waiting"
    client.advance(MINUTE)
    assert caller.publication(told.job_id).status == "withdrawn"
    other = caller.provisional_stage(2)
    assert caller.withdraw_stage(other.job_id).status == "withdrawn"


def test_wrong_calls_say_what_is_wrong(small: Client) -> None:
    unknown = UUID(int=0)
    for call in (small.publish_stage, small.publication, small.withdraw_stage):
        for job_id, stage in ((unknown, 1), (None, 1), (unknown, None)):
            with small.refused("SB105"):
                call(job_id, stage)
    job_id = small.create_job()
    small.create_stage_tasks(job_id, 1, "small", 2, seal=False)
    for timeout in (None, timedelta(), -MINUTE, timedelta(days=2)):
        with small.refused("SB116"):
            small.publish_stage(job_id, 1, timeout)
    for ask in (small.publication, small.withdraw_stage):
        with small.refused("SB130"):
            ask(job_id)
    small.seal_stage(job_id)
    with small.refused("SB106"):
        small.publish_stage(job_id)
    with small.refused("SB130"):
        small.publication(job_id)
    told = small.provisional_stage(2, "small")
    with small.refused("SB130"):
        small.publication(told.job_id, 1, "0000000000")
    with small.refused("SB130"):
        small.withdraw_stage(told.job_id, 1, nonce="0000000000")
    with small.refused("SB106"):
        small.seal_stage(told.job_id)
    with small.refused("SB106"):
        small.append_tasks(told.job_id, 1, [{}])


def test_it_is_rolled_back_with_its_transaction(small: Client) -> None:
    job_id = small.create_job()
    small.create_stage_tasks(job_id, 1, "small", 2, seal=False)
    before = small.contents()
    with small.transaction(roll_back=True):
        small.publish_stage(job_id)
    assert small.contents() == before


def test_a_bridge_that_remembers_its_batch_is_not_told_of_a_loss(small: Client) -> None:
    told: Publication = small.provisional_stage(4, "small")
    claim = small.claim()
    small.record_send(claim, 1, 2)
    write = Write(claim, 2, 1)
    small.withdraw_stage(told.job_id)
    small.work_orders()
    assert small.check_writes(write).lost is None
    other = small.provisional_stage(4, "small")
    lost = small.claim()
    small.execute("delete from stagebus_data.stages where job_id = %s", other.job_id)
    assert small.check_writes(Write(lost)).lost is not None
