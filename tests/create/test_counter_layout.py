"""seal_stage: the tree of counters, task → slot → group → stage, has room for every task."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.client import Client
from tests.counter_tree import slot_of

COUNTS = [
    *(1, 2, 63, 64, 65, 127, 128, 129),
    *(4032, 4095, 4096, 4097, 4098, 4352, 4353),
    *(20479, 20480, 20481, 21504, 21505, 86015, 86016, 86017, 90000),
]


@pytest.mark.parametrize("grown", [False, True], ids=["in one call", "in two calls"])
def test_every_task_counts_in_one_slot_and_every_slot_in_one_group(
    client: Client, grown: bool
) -> None:
    for count in COUNTS:
        job_id = client.create_job()
        if grown:
            client.create_stage_tasks(job_id, task_count=(count + 1) // 2, seal=False)
            client.append_tasks(job_id, 1, [{}] * (count // 2))
            client.seal_stage(job_id)
        else:
            client.create_stage_tasks(job_id, task_count=count)
        slots = Counter(slot_of(i) for i in range(1, count + 1))
        groups = Counter(slot // 64 for slot in slots)
        assert slots == dict(
            client.rows(
                "select slot_no, open_tasks from stagebus_data.counter_slots where job_id = %s",
                job_id,
            )
        ), count
        assert groups == dict(
            client.rows(
                "select group_no, open_slots from stagebus_data.counter_groups where job_id = %s",
                job_id,
            )
        ), count
        assert client.stage_row(job_id).open_groups == len(groups)


def test_no_row_of_the_tree_takes_more_than_64_updates(client: Client) -> None:
    for count in (1024, 20_480, 90_000):
        job_id = client.create_job()
        client.create_stage_tasks(job_id, task_count=count)
        assert client.value(
            "select max(open_tasks) <= 64 from stagebus_data.counter_slots where job_id = %s",
            job_id,
        )
        assert client.value(
            "select max(open_slots) <= 64 from stagebus_data.counter_groups where job_id = %s",
            job_id,
        )


def test_the_functions_that_place_a_task_agree_with_the_layout(client: Client) -> None:
    client.create_stage_tasks(client.create_job(), task_count=90_000)
    assert client.rows(
        "select stagebus.slot_of(task_index), count(*)::integer from stagebus_data.tasks"
        " group by 1 order by 1"
    ) == client.rows("select slot_no, open_tasks from stagebus_data.counter_slots order by 1")
    assert client.rows(
        "select stagebus.group_of(slot_no), count(*)::integer"
        " from stagebus_data.counter_slots group by 1 order by 1"
    ) == client.rows("select group_no, open_slots from stagebus_data.counter_groups order by 1")
