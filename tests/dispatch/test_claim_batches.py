"""claim_batches: a bridge leases what it will publish."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.client import MINUTE, Client

SECOND = timedelta(seconds=1)


def create(client: Client, batches: int = 1, task_type: str = "work") -> UUID:
    """A stage of so many batches of two tasks."""
    client.set_task_type(task_type, batch_size=2)
    job_id = client.create_job()
    assert client.create_stage_tasks(job_id, 1, task_type, 2 * batches).batches == batches
    return job_id


def test_a_claim_tells_all_that_a_bridge_needs(client: Client) -> None:
    client.set_destination(
        "far", entity="far-topic", entity_kind="topic", max_send_bytes=5000, max_send_messages=50
    )
    client.set_task_type("work", destination="far")
    job_id = create(client)
    now = client.stop_clock()
    claim = client.claim()
    assert (claim.job_id, claim.stage, claim.task_type) == (job_id, 1, "work")
    assert (claim.entity_kind, claim.entity) == ("topic", "far-topic")
    assert (claim.max_send_bytes, claim.max_send_messages) == (5000, 50)
    assert (claim.claim_epoch, claim.dispatch) == (1, 1)
    assert (claim.published_through, claim.last_index) == (0, 2)
    assert claim.lease_until == now + MINUTE
    batch = client.batch(claim)
    assert (batch.state, batch.claimed_by) == ("publishing", client.bridge_id)
    assert (batch.lease_until, batch.seq) == (claim.lease_until, claim.seq)


def test_no_more_than_the_limit_are_claimed(client: Client) -> None:
    create(client, 5)
    assert len(client.claim_batches(2)) == 2
    assert len(client.claim_batches(None)) == 1
    assert len(client.claim_batches(0)) == 1
    assert len(client.claim_batches(10)) == 1
    assert client.claim_batches(10) == []


def test_the_limit_holds_across_destinations_and_lost_leases(client: Client) -> None:
    client.set_task_type("elsewhere", destination="jobs", batch_size=2)
    create(client, 2, "elsewhere")
    create(client, 3)
    client.stop_clock()
    assert len(client.claim_batches(2)) == 2
    client.advance(MINUTE + SECOND)
    assert len(client.claim_batches(3)) == 3
    assert len(client.claim_batches(10)) == 2


def test_lost_leases_are_looked_for_by_claims_that_look_at_everything(client: Client) -> None:
    create(client)
    client.stop_clock()
    claim = client.claim()
    client.advance(MINUTE + SECOND)
    assert client.claim_batches(10, start=1) == []
    assert [again.seq for again in client.claim_batches(10)] == [claim.seq]


@pytest.mark.parametrize("lost", [False, True], ids=["waiting", "lost lease"])
def test_a_paused_destination_is_passed_over(client: Client, lost: bool) -> None:
    create(client)
    client.stop_clock()
    if lost:
        client.claim()
        client.advance(MINUTE + SECOND)
    client.execute(
        "update stagebus_data.destinations set paused_at = stagebus.clock(), pause_reason = 'x'"
        " where destination = 'tasks'"
    )
    assert client.claim_batches(10) == []
    client.execute("update stagebus_data.destinations set paused_at = null, pause_reason = null")
    assert len(client.claim_batches(10)) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["waiting", "lost lease"])
def test_a_throttled_destination_is_passed_over_until_its_time(client: Client, lost: bool) -> None:
    create(client)
    client.stop_clock()
    if lost:
        client.claim()
        client.advance(MINUTE + SECOND)
    client.execute(
        "update stagebus_data.destinations set throttled_until = stagebus.clock() + '10 s'"
    )
    assert client.claim_batches(10) == []
    client.advance(timedelta(seconds=10))
    assert len(client.claim_batches(10)) == 1


def test_other_destinations_go_on_while_one_is_paused(client: Client) -> None:
    create(client)
    client.set_task_type("elsewhere", destination="jobs")
    job_id = create(client, 1, "elsewhere")
    client.execute(
        "update stagebus_data.destinations set paused_at = stagebus.clock(), pause_reason = 'x'"
        " where destination = 'tasks'"
    )
    assert [claim.job_id for claim in client.claim_batches(10)] == [job_id]


def test_a_filling_stage_has_nothing_to_claim(client: Client) -> None:
    client.create_stage_tasks(client.create_job(), seal=False)
    assert client.claim_batches(10) == []


def test_a_lease_that_holds_keeps_others_away(client: Client) -> None:
    create(client)
    client.stop_clock()
    client.claim()
    client.advance(MINUTE)
    assert client.claim_batches(10, bridge_id=uuid4()) == []


def test_a_lost_lease_is_claimed_again_under_the_next_epoch(client: Client) -> None:
    create(client)
    client.stop_clock()
    lost = client.claim()
    client.advance(MINUTE + SECOND)
    heir = uuid4()
    (again,) = client.claim_batches(10, bridge_id=heir)
    assert (again.batch_id, again.claim_epoch) == (lost.batch_id, lost.claim_epoch + 1)
    assert (again.dispatch, again.lease_until) == (lost.dispatch, client.now() + MINUTE)
    assert client.batch(again).claimed_by == heir


def test_what_the_lost_bridge_may_have_sent_is_unknown(client: Client) -> None:
    client.set_task_type("work", batch_size=10)
    client.create_stage_tasks(client.create_job(), task_type="work", task_count=10)
    client.stop_clock()
    lost = client.claim()
    assert client.record_send(lost, 1, 4)
    now = client.advance(MINUTE + SECOND)
    again = client.claim()
    assert again.published_through == 4
    accepted, unknown = client.sends(again)
    assert (accepted.outcome, accepted.first_index, accepted.last_index) == ("accepted", 1, 4)
    assert (unknown.outcome, unknown.first_index, unknown.last_index) == ("unknown", 5, 10)
    assert (unknown.send_no, unknown.claim_epoch) == (2, lost.claim_epoch)
    assert (unknown.claimed_by, unknown.recorded_at) == (client.bridge_id, now)
    assert unknown.error
    assert client.record_send(again, 5, 10)
    assert [send.send_no for send in client.sends(again)] == [1, 2, 3]


def test_a_lost_bridge_that_had_sent_everything_leaves_nothing_unknown(client: Client) -> None:
    create(client)
    client.stop_clock()
    lost = client.claim()
    assert client.record_send(lost, 1, 2)
    client.advance(MINUTE + SECOND)
    again = client.claim()
    assert [send.outcome for send in client.sends(again)] == ["accepted"]
    assert client.finish_batch(again)


def test_lost_leases_come_first(client: Client) -> None:
    create(client, 3)
    client.stop_clock()
    second = client.claim_batches(2)[1]
    client.advance(MINUTE + SECOND)
    client.extend_lease(second, -SECOND)
    assert {claim.seq for claim in client.claim_batches(2)} == {second.seq, second.seq - 1}


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_claim_needs_read_committed(client: Client, isolation: str) -> None:
    create(client)
    with client.refused("SB115"), client.transaction(isolation):
        client.claim_batches(1)


def test_two_bridges_never_claim_the_same_batch(client: Client) -> None:
    create(client, 4)
    other = client.session()
    with client.transaction():
        mine = client.claim_batches(2)
        theirs = other.claim_batches(10)
    assert [len(mine), len(theirs)] == [2, 2]
    assert not {claim.seq for claim in mine} & {claim.seq for claim in theirs}
    assert client.claim_batches(10) == []


def test_a_lost_lease_is_claimed_by_one_of_two_bridges(client: Client) -> None:
    create(client)
    client.stop_clock()
    client.claim()
    client.advance(MINUTE + SECOND)
    other = client.session()
    with client.transaction():
        claim = client.claim()
        assert other.claim_batches(10) == []
    assert other.claim_batches(10) == []
    assert client.batch(claim).claim_epoch == 2


def test_a_rolled_back_claim_is_none(client: Client) -> None:
    create(client)
    with client.transaction(roll_back=True):
        client.claim()
    assert client.claim().claim_epoch == 1


def test_many_bridges_at_once_claim_every_batch_once(client: Client) -> None:
    create(client, 400)
    others = [client.session() for _ in range(8)]

    def claim_all(bridge: Client) -> list[int]:
        seqs: list[int] = []
        while claims := bridge.claim_batches(7):
            seqs += [claim.seq for claim in claims]
        return seqs

    running = [other.in_background(lambda other=other: claim_all(other)) for other in others]
    seqs = [seq for future in running for seq in future.result()]
    assert len(seqs) == len(set(seqs)) == 400


def test_a_lease_is_extended_from_now(client: Client) -> None:
    create(client)
    client.stop_clock()
    claim = client.claim()
    now = client.advance(SECOND * 59)
    assert client.extend_lease(claim)
    assert client.batch(claim).lease_until == now + MINUTE
    client.advance(MINUTE)
    assert client.claim_batches(10) == []


def test_a_destination_with_much_to_do_does_not_keep_the_others_waiting(client: Client) -> None:
    for name in ("much", "little"):
        client.set_destination(name)
        client.set_task_type(name, batch_size=1, destination=name)
    client.create_stage_tasks(client.create_job(), 1, "much", 60)
    client.create_stage_tasks(client.create_job(), 1, "little", 1)
    # By chance, once in 2 ** 50 runs it would be otherwise.
    claimed = {client.claim().task_type for _ in range(50)}
    assert claimed == {"much", "little"}
