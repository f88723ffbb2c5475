"""redrive: the tasks of dead letters go out again, once each."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client, PublishedStage

TOKEN = UUID(int=1)


@pytest.fixture
def dead(client: Client) -> PublishedStage:
    """Of eight tasks two are poison, three came too late, one failed by its worker, two wait."""
    client.stop_clock()
    client.set_task_type("work", max_attempts=1)
    published = client.published_stage([{"n": n} for n in range(8)], "work")
    letters = [message.message_id for message in published.messages]
    client.record_dead_letters(*letters[:2], reason="MaxDeliveryCountExceeded")
    client.record_dead_letters(*letters[2:5], reason="TTLExpiredException", first_number=3)
    client.start_all(published.messages[5:6], TOKEN)
    client.fail_task(published.task_ids[5], TOKEN, "TTLExpiredException: so it says")
    return published


def republished(client: Client) -> list[int]:
    client.work_orders()
    client.maintain()
    return sorted(message.task_index for message in client.publish())


def test_each_comes_back_once_with_another_message(client: Client, dead: PublishedStage) -> None:
    before = {message.message_id for message in dead.messages}
    order = client.order("redrive", dead.job_id, 1, reason="it rained")
    assert (order.action, order.tasks) == ("retry_tasks", 5)
    client.work_orders()
    client.maintain()
    sent = client.publish()
    assert sorted(message.task_index for message in sent) == [1, 2, 3, 4, 5]
    assert not {message.message_id for message in sent} & before
    assert client.order_row(order.order_id).reason == "redrive: it rained"
    assert client.start_all(sent, TOKEN) == ["run"] * 5
    assert client.order("redrive", dead.job_id, 1).tasks == 0
    assert republished(client) == []
    assert client.recount(dead.job_id) == []


def test_two_redrives_at_once_bring_each_back_once(client: Client, dead: PublishedStage) -> None:
    for _ in range(2):
        client.order("redrive", dead.job_id, 1)
    assert republished(client) == [1, 2, 3, 4, 5]
    assert {client.task(task_id).attempt for task_id in dead.task_ids[:5]} == {2}


def test_a_dead_letter_that_comes_again_after_it_changes_nothing(
    client: Client, dead: PublishedStage
) -> None:
    client.order("redrive", dead.job_id, 1)
    client.work_orders()
    first = dead.messages[0].message_id
    assert client.record_dead_letters(first) == ["failed"], "what became of it then"
    assert client.record_dead_letters(first, first_number=99) == ["stale"]
    assert republished(client) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"error": "TTL%"}, [3, 4, 5]),
        ({"error": "%deliveries"}, [1, 2, 3, 4, 5]),
        ({"error": "Max%", "parameters": {"n": 1}}, [2]),
        ({"at_most": 2}, [1, 2]),
        ({"at_most": 9}, [1, 2, 3, 4, 5]),
        ({"error": "TTL%", "at_most": 1}, [3]),
        ({"error": "no such%"}, []),
    ],
)
def test_a_filter_and_a_limit_choose(
    client: Client, dead: PublishedStage, filters: dict[str, object], expected: list[int]
) -> None:
    assert client.order("redrive", dead.job_id, 1, **filters, dry_run=True).tasks == len(expected)
    order = client.order("redrive", dead.job_id, 1, **filters)
    assert republished(client) == expected
    row = client.order_row(order.order_id)
    assert (row.status, row.tasks_done) == ("done", len(expected))


@pytest.mark.parametrize("steps_of", [1, 2, 3])
def test_a_limit_holds_over_several_steps(
    client: Client, dead: PublishedStage, steps_of: int
) -> None:
    order = client.order("retry_tasks", dead.job_id, 1, at_most=4)
    client.work_orders(steps_of)
    assert client.order_row(order.order_id).tasks_done == 4
    assert client.task_states(dead.job_id) == {"retry_wait": 4, "failed": 2, "queued": 2}


def test_what_is_not_usable_is_refused(client: Client, dead: PublishedStage) -> None:
    for wrong in ({"at_most": 0}, {"error": None}, {"error": "\\"}):
        with client.refused("SB116"):
            client.order("redrive", dead.job_id, 1, **wrong)
    with client.refused("SB105"):
        client.order("redrive", dead.job_id, 2)
