"""complete_tasks: a worker has done its work. Every verdict, and what counts."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.client import Client, PublishedStage

TOKEN, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
def published(client: Client) -> PublishedStage:
    """A stage of five tasks, published; the clock stands still."""
    client.stop_clock()
    return client.published_stage(tasks=5)


def test_a_completed_task_has_ended_and_left_nothing_running(
    client: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages, TOKEN)
    assert client.complete_task(published.task_ids[1], TOKEN, {"area": 7}) == "completed"
    task = client.task(published.task_ids[1])
    assert (task.status, task.result, task.worker) == ("completed", {"area": 7}, None)
    assert client.count("running_attempts") == 4
    assert client.progress(published.job_id).completed == 1


def test_completed_again_by_the_same_token_counts_once(
    client: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages, TOKEN)
    client.complete_task(published.task_ids[0], TOKEN, {"n": 1})
    before = client.contents()
    assert client.complete_task(published.task_ids[0], TOKEN, {"n": 2}) == "completed"
    assert client.contents() == before


def test_every_other_verdict_changes_nothing(client: Client, published: PublishedStage) -> None:
    client.set_task_type("h3_hexagon", max_attempts=1)
    ids = published.task_ids
    client.start(published.messages[0], OTHER)
    client.start(published.messages[1], OTHER)
    client.complete_task(ids[1], OTHER)
    client.start(published.messages[2], OTHER)
    client.execute("update stagebus_data.tasks set state = 'cancelled' where task_index = 4")
    client.execute(
        "update stagebus_data.running_attempts set lease_until = '-infinity' where task_index = 3"
    )
    assert client.end_lost_attempts() == 1
    before = client.contents()
    expected = {
        ids[0]: "taken",
        ids[1]: "done",
        ids[2]: "done",
        ids[3]: "cancelled",
        ids[4]: "stale",
        ids[0].replace("-s1-1", "-s1-6"): "ghost",
        f"{uuid4()}-s1-1": "ghost",
        "no id": "ghost",
    }
    assert client.complete_tasks(list(expected), TOKEN) == list(expected.values())
    assert [client.complete_task(task_id, TOKEN) for task_id in expected] == list(expected.values())
    assert client.complete_tasks([*ids, None], None) == [
        *("taken", "done", "done", "cancelled", "stale", "ghost")
    ]
    assert client.contents() == before


def test_the_token_of_a_failed_task_completes_nothing(
    client: Client, published: PublishedStage
) -> None:
    client.set_task_type("h3_hexagon", max_attempts=1)
    client.start(published.messages[0], TOKEN)
    client.advance(timedelta(hours=1))
    client.end_lost_attempts()
    before = client.contents()
    assert client.complete_task(published.task_ids[0], TOKEN) == "done"
    assert client.contents() == before


@pytest.mark.parametrize("moment", ["retry_wait", "pending_queue", "queued", "processing"])
def test_a_lost_attempt_completes_nothing(
    client: Client, published: PublishedStage, moment: str
) -> None:
    task_id = published.task_ids[0]
    client.start(published.messages[0], TOKEN)
    client.advance(timedelta(hours=1))
    client.end_lost_attempts()
    if moment != "retry_wait":
        client.gather_retries()
    if moment in ("queued", "processing"):
        (second,) = client.publish()
    if moment == "processing":
        client.start(second, OTHER)
    assert client.task(task_id).status == moment
    before = client.contents()
    verdict = "taken" if moment == "processing" else "stale"
    assert client.complete_task(task_id, TOKEN, {"late": True}) == verdict
    assert client.contents() == before


def test_duplicates_in_one_call_count_once_and_the_first_result_stands(
    client: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages, TOKEN)
    first, second = published.task_ids[:2]
    verdicts = client.complete_tasks(
        [first, second, first, first], TOKEN, [{"n": 1}, {"n": 2}, {"n": 3}, None]
    )
    assert verdicts == ["completed"] * 4
    assert client.stage_results(published.job_id) == [(1, {"n": 1}), (2, {"n": 2})]
    assert client.progress(published.job_id).completed == 2


def test_results_stand_by_their_tasks_in_any_order(
    client: Client, published: PublishedStage
) -> None:
    client.start_all(published.messages, TOKEN)
    ids = [published.task_ids[i] for i in (4, 0, 3, 1, 2)]
    results = [{"of": task_id} for task_id in ids]
    results[1] = None  # type: ignore[call-overload]
    client.complete_tasks(["no id", *ids], TOKEN, [{}, *results])
    for task_id, result in zip(ids, results, strict=True):
        assert client.task(task_id).result == result


def test_results_are_as_many_as_tasks(client: Client, published: PublishedStage) -> None:
    client.start_all(published.messages, TOKEN)
    for results in ([], [{}], [{}, {}, {}]):
        with client.refused("SB116"):
            client.complete_tasks(published.task_ids[:2], TOKEN, results)


def test_one_call_for_several_jobs_and_stages(client: Client) -> None:
    stages = [client.published_stage(tasks=count) for count in (3, 17, 1)]
    for stage in stages:
        client.start_all(stage.messages, TOKEN)
    ids = [task_id for stage in reversed(stages) for task_id in stage.task_ids]
    assert set(client.complete_tasks(ids, TOKEN)) == {"completed"}
    assert [client.stage(stage.job_id).status for stage in stages] == ["completed"] * 3
    assert client.due_advances() == sorted((stage.job_id, 1) for stage in stages)


def test_nothing_completed_is_nothing_answered(client: Client) -> None:
    assert client.complete_tasks([], TOKEN) == []


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_workers_calls_need_read_committed(
    client: Client, published: PublishedStage, isolation: str
) -> None:
    message = published.messages[0]
    for call in (
        lambda: client.start(message, TOKEN),
        lambda: client.complete_task(message.task_id, TOKEN),
        lambda: client.heartbeat_task(message.task_id, TOKEN),
        client.end_lost_attempts,
        client.gather_retries,
        client.maintain,
    ):
        with client.refused("SB115") as caught, client.transaction(isolation):
            call()
        assert isolation in str(caught.value.diag.message_primary)
