"""The counters agree with the rows, and a stage ends exactly once, after its last task."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.client import Client, Listener, Message, PublishedStage
from tests.counter_tree import slot_of

TOKEN = UUID(int=1)


def counted(client: Client, job_id: UUID) -> dict[str, int]:
    """What the counters say has ended, wherever in the tree it stands now."""
    row = client.progress(job_id)
    return {"completed": row.completed, "failed": row.failed}


def assert_counters_equal_rows(client: Client, job_id: UUID) -> None:
    """The whole tree, recounted from the tasks' rows."""
    ended = {
        row.task_index: row.state
        for row in client.rows(
            "select task_index, state from stagebus_data.tasks where job_id = %s", job_id
        )
    }
    slots: dict[int, Counter[str]] = {}
    for index, state in ended.items():
        kind = state if state in ("completed", "failed") else "open"
        slots.setdefault(slot_of(index), Counter())[kind] += 1
    for slot in client.rows("select * from stagebus_data.counter_slots where job_id = %s", job_id):
        real = slots[slot.slot_no]
        assert (slot.open_tasks, slot.completed, slot.failed) == (
            real["open"],
            real["completed"],
            real["failed"],
        )
    groups: dict[int, Counter[str]] = {}
    for slot_no, real in slots.items():
        group_counts = groups.setdefault(slot_no // 64, Counter())
        if real["open"]:
            group_counts["open"] += 1
        else:
            group_counts.update(completed=real["completed"], failed=real["failed"])
    for group in client.rows(
        "select * from stagebus_data.counter_groups where job_id = %s", job_id
    ):
        real = groups[group.group_no]
        assert (group.open_slots, group.completed, group.failed) == (
            real["open"],
            real["completed"],
            real["failed"],
        )
    stage = client.stage_row(job_id)
    closed = [real for real in groups.values() if not real["open"]]
    assert stage.open_groups == len(groups) - len(closed)
    assert stage.completed == sum(real["completed"] for real in closed)
    assert stage.failed == sum(real["failed"] for real in closed)


@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_a_stage_completes_with_its_last_task_in_any_order(client: Client, order: str) -> None:
    listener = Listener(client, "stagebus_jobs")
    published = client.published_stage(tasks=4200)
    client.start_all(published.messages, TOKEN)
    ids = published.task_ids
    if order == "backwards":
        ids = ids[::-1]
    if order == "shuffled":
        random.Random(7).shuffle(ids)
    for n in range(0, 4190, 419):
        client.complete_tasks(ids[n : n + 419], TOKEN)
    for task_id in ids[4190:]:
        assert client.stage(published.job_id).status == "open"
        assert client.due_advances() == listener.heard() == []
        client.complete_task(task_id, TOKEN)
    stage = client.stage_row(published.job_id)
    assert (stage.state, stage.completed, stage.open_groups) == ("completed", 4200, 0)
    assert client.due_advances() == [(published.job_id, 1)]
    assert listener.heard() == [("stagebus_jobs", str(published.job_id))]


def test_the_end_has_its_time_and_the_job_is_due_since_then(client: Client) -> None:
    published = client.published_stage()
    now = client.stop_clock()
    client.run_stage(published)
    assert client.stage(published.job_id).ended_at == now
    job = client.job(published.job_id)
    assert (job.status, job.due_after_stage, job.due_since) == ("running", 1, now)


def test_many_threads_end_a_stage_once(client: Client) -> None:
    listener = Listener(client, "stagebus_jobs")
    published = client.published_stage(tasks=5000)
    client.start_all(published.messages, TOKEN)
    ids = published.task_ids
    random.Random(7).shuffle(ids)
    others = [client.session() for _ in range(8)]

    def work(session: Client, mine: list[str]) -> list[str]:
        verdicts = []
        while mine:
            if len(mine) % 3:
                verdicts.append(session.complete_task(mine.pop(), TOKEN))
            else:
                bulk, mine = mine[:11], mine[11:]
                verdicts += session.complete_tasks(bulk, TOKEN)
        return verdicts

    running = [
        other.in_background(lambda other=other, n=n: work(other, ids[n::8]))
        for n, other in enumerate(others)
    ]
    verdicts = [verdict for future in running for verdict in future.result()]
    assert Counter(verdicts) == {"completed": 5000}
    assert_counters_equal_rows(client, published.job_id)
    assert client.stage(published.job_id).status == "completed"
    assert client.due_advances() == [(published.job_id, 1)]
    assert listener.heard() == [("stagebus_jobs", str(published.job_id))]


@pytest.mark.parametrize("seed", range(4))
def test_counters_equal_rows_after_random_operations(client: Client, seed: int) -> None:
    """Workers that start, take over, complete (also twice, also late) and die, and the sweeps."""
    chance = random.Random(seed)
    client.stop_clock()
    client.set_task_type("work", timeout="1 minute", max_attempts=2, batch_size=50)
    tasks = chance.choice([40, 1030, 4100])
    published: PublishedStage = client.published_stage(tasks, "work")
    received: list[Message] = published.messages
    tokens = [uuid4() for _ in range(4)]
    job_id = published.job_id
    for _ in range(60):
        if client.stage(job_id).status != "open":
            break
        some = chance.sample(received, min(len(received), chance.randrange(1, 400)))
        token = chance.choice(tokens)
        operation = chance.choice(["start", "start", "complete", "complete", "heartbeat", "time"])
        if operation == "start":
            client.start_all(some, token)
        elif operation == "complete":
            client.complete_tasks([message.task_id for message in some], token)
        elif operation == "heartbeat":
            client.heartbeat_tasks([message.task_id for message in some], token)
        else:
            client.advance(timedelta(seconds=chance.choice([10, 61, 100])))
            client.maintain(chance.choice([5, 1000]))
            received += client.publish()
        assert_counters_equal_rows(client, job_id)
    while client.stage(job_id).status == "open":
        client.start_all(received, tokens[0])
        client.complete_tasks([message.task_id for message in received], tokens[0])
        client.advance(timedelta(minutes=2))
        client.maintain()
        client.maintain()
        received += client.publish()
    assert_counters_equal_rows(client, job_id)
    ends = counted(client, job_id)
    assert ends["completed"] + ends["failed"] == tasks
    expected = "completed_with_errors" if ends["failed"] else "completed"
    assert client.stage(job_id).status == expected
    assert client.due_advances() == [(job_id, 1)]
    for table in ("running_attempts", "waiting_retries"):
        assert client.count(table) == 0
    assert client.count("failed_tasks") == ends["failed"]
