"""seal_stage: where a stage is cut into batches, which the task type says."""

from __future__ import annotations

import pytest

from tests.client import Client


def cut(client: Client, task_type: str, tasks: int) -> list[tuple[int, int]]:
    """The ranges of the batches of a new stage, in the order of their claims."""
    job_id = client.create_job()
    summary = client.create_stage_tasks(job_id, 1, task_type, tasks)
    batches = client.batches(job_id)
    assert summary.batches == len(batches) == client.stage(job_id).batches
    for batch in batches:
        assert batch.task_count == batch.last_index - batch.first_index + 1
        assert batch.published_through == batch.first_index - 1
        assert (batch.state, batch.dispatch, batch.claim_epoch) == ("pending_queue", 1, 0)
        assert not batch.scattered
    return [(batch.first_index, batch.last_index) for batch in batches]


@pytest.mark.parametrize("boundary", ["chunk", "by_stage"])
def test_batches_cover_the_stage_without_gaps(client: Client, boundary: str) -> None:
    client.set_task_type("work", boundary=boundary, batch_size=7)
    for tasks in (1, 6, 7, 8, 14, 15, 9_999, 10_000, 10_001, 20_000, 20_001):
        ranges = cut(client, "work", tasks)
        size = 7 if boundary == "chunk" else 10_000
        assert ranges == [
            (first, min(first + size - 1, tasks)) for first in range(1, tasks + 1, size)
        ]


def test_each_task_type_has_its_own_size(client: Client) -> None:
    assert len(cut(client, "h3_hexagon", 25_000)) == 3
    assert len(cut(client, "process_raster", 2_500)) == 25
    client.set_task_type("plain")
    assert len(cut(client, "plain", 2_500)) == 3


def test_the_size_at_the_seal_counts(client: Client) -> None:
    client.set_task_type("work", batch_size=5)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 10, seal=False)
    client.set_task_type("work", batch_size=2)
    assert client.seal_stage(job_id).batches == 5
    client.set_task_type("work", batch_size=10)
    assert len(client.batches(job_id)) == 5


def test_batches_go_to_the_destination_of_their_task_type(client: Client) -> None:
    client.set_destination("heavy", entity="heavy-tasks")
    client.set_task_type("work", destination="heavy")
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", 10)
    assert [batch.destination for batch in client.batches(job_id)] == ["heavy"]
    assert client.claim().entity == "heavy-tasks"
