"""Of 100,000 tasks at once the same is asked as of few, by several processes."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.client import Client

#: Of many sizes, and a good part of them long enough to be looked at for nesting.
TASK = "jsonb_build_object('n', n, 'pad', repeat('é', n %% 190), 'list', '[[[]]]'::jsonb)"

CREATE = """
select bytes from stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon', array(
    select case n when {at} then {odd} else {task} end
    from generate_series({first}, {last}) as n order by n), '{{"a": 1}}', false)
"""


def create(
    client: Client, job_id: UUID, last: int, first: int = 1, odd: str = "null", at: int = 0
) -> int:
    query = CREATE.format(task=TASK, first=first, last=last, odd=odd, at=at)
    return int(client.value(query, job_id))


def test_their_bytes_are_those_of_several_calls(client: Client) -> None:
    at_once, in_two = client.create_job(), client.create_job()
    size = create(client, at_once, 100_000)
    create(client, in_two, 50_000)
    assert create(client, in_two, 100_000, first=50_001) == size
    create(client, at_once, 200_000, first=100_001)
    create(client, in_two, 150_000, first=100_001)
    create(client, in_two, 200_000, first=150_001)
    assert client.seal_stage(at_once).bytes == client.seal_stage(in_two).bytes > 2 * size


@pytest.mark.parametrize(
    ("code", "odd"),
    [
        ("SB110", "'5'::jsonb"),
        ("SB110", "null"),
        ("SB111", "jsonb_build_object('pad', repeat('x', 300000))"),
        ("SB118", "jsonb_build_object('n', (repeat('[', 61) || repeat(']', 61))::jsonb)"),
    ],
)
def test_one_that_may_not_be_is_found_among_them(client: Client, code: str, odd: str) -> None:
    job_id = client.create_job()
    create(client, job_id, 3)
    with client.refused(code) as caught:
        create(client, job_id, 120_003, first=4, odd=odd, at=87_654)
    assert "task 87654" in str(caught.value.diag.message_primary)
    assert client.seal_stage(job_id).tasks == 3


def test_without_a_free_process_it_is_asked_alone(client: Client) -> None:
    size = create(client, client.create_job(), 100_000)
    client.execute("set max_parallel_workers = 0")
    assert create(client, client.create_job(), 100_000) == size
