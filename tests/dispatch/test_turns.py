"""Whose turn it is: jobs share what is published, whatever they have waiting."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from tests.client import Client

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
def small(client: Client) -> Client:
    """A stopped clock, and a task type whose batches have ten tasks."""
    client.set_task_type("work", batch_size=10)
    client.stop_clock()
    return client


def create(client: Client, tasks: int) -> UUID:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "work", tasks)
    return job_id


def set_priority(client: Client, job_id: UUID, priority: int | None) -> int:
    moved: int = client.value("select stagebus.set_priority(%s, %s)", job_id, priority)
    return moved


def claimed(client: Client, count: int) -> list[UUID]:
    """The jobs of the next batches, each claimed by itself; a second passes before each."""
    jobs = []
    for _ in range(count):
        client.advance(SECOND)
        (claim,) = client.claim_batches(1, lease=DAY, start=1)
        jobs.append(claim.job_id)
    return jobs


def turn_of_tasks(client: Client) -> int:
    turn: int = client.value(
        "select turn from stagebus_data.destinations where destination = 'tasks'"
    )
    return turn


def test_the_batches_of_a_stage_are_claimed_in_order(small: Client) -> None:
    create(small, 95)
    found = [c.last_index for start in (0, 1, 1, 0, 1) for c in small.claim_batches(2, start=start)]
    assert found == [*range(10, 100, 10), 95]


def test_a_small_job_does_not_wait_for_a_large_one(small: Client) -> None:
    large = create(small, 1000)
    assert claimed(small, 20) == [large] * 20
    little = create(small, 10)
    # It begins where the large one was a second ago.
    assert little in claimed(small, 2)
    assert claimed(small, 79) == [large] * 79


def test_the_smaller_of_two_jobs_comes_first(small: Client) -> None:
    create(small, 8)
    smallest = create(small, 3)
    assert claimed(small, 1) == [smallest]


def test_of_equals_the_older_comes_first(small: Client) -> None:
    jobs = [create(small, 5) for _ in range(5)]
    assert claimed(small, 5) == jobs


def test_two_large_jobs_share(small: Client) -> None:
    jobs = [create(small, 1000), create(small, 1000)]
    assert claimed(small, 40) == jobs * 20


def test_a_large_job_that_comes_later_shares_from_then_on(small: Client) -> None:
    first = create(small, 1000)
    claimed(small, 50)
    second = create(small, 1000)
    shares = Counter(claimed(small, 40))
    assert abs(shares[first] - shares[second]) <= 2


def test_shares_are_of_tasks_not_of_batches(small: Client) -> None:
    small.set_task_type("tiny", batch_size=1)
    large = create(small, 1000)
    tiny = small.create_job()
    small.create_stage_tasks(tiny, 1, "tiny", 100)
    shares = Counter(claimed(small, 55))
    assert abs(shares[tiny] - 10 * shares[large]) <= 10


def test_small_jobs_that_keep_coming_do_not_starve_a_large_one(small: Client) -> None:
    large = create(small, 1000)
    jobs: list[UUID] = []
    for _ in range(50):
        create(small, 1)
        jobs += claimed(small, 1)
    # Ten of one task each for each batch of ten; or twenty, since what is made within the second
    # begins at the same turn.
    assert jobs.count(large) in (2, 3, 4, 5)


def test_a_look_at_everything_may_take_the_oldest_first(small: Client) -> None:
    oldest = create(small, 10)
    smallest = create(small, 1)
    first = set()
    # By chance, once in 2 ** 57 runs it would be otherwise.
    for _ in range(300):
        with small.transaction(roll_back=True):
            first.add(small.claim().job_id)
    assert first == {oldest, smallest}


def test_what_is_committed_late_is_found_by_the_next_quick_look(small: Client) -> None:
    create(small, 1000)
    claimed(small, 3)
    late = small.session()
    with late.transaction():
        job_id = create(late, 1)
        # The turn moves on once in the second that it takes.
        small.advance(SECOND)
        small.claim_batches(50, start=1)
    assert small.claim_batches(1, start=1)[0].job_id == job_id


def test_what_is_committed_very_late_is_found_by_a_look_at_everything(small: Client) -> None:
    create(small, 2000)
    claimed(small, 3)
    late = small.session()
    with late.transaction():
        job_ids = [create(late, 1) for _ in range(10)]
        claimed(small, 20)
    assert not {c.job_id for c in small.claim_batches(2, start=1)} & set(job_ids)
    found = [c.job_id for c in small.claim_batches(3)]
    # One of the three may be the oldest that waits. From there on claims find the others.
    assert sum(job_id in job_ids for job_id in found) >= 2
    assert {c.job_id for c in small.claim_batches(7, start=1)} <= set(job_ids)


def test_a_claim_waits_for_nobody_who_has_the_destination_locked(small: Client) -> None:
    create(small, 30)
    other = small.session()
    with other.transaction():
        other.execute("select from stagebus_data.destinations for update")
        assert len(claimed(small, 2)) == 2
    assert turn_of_tasks(small) == 0
    claimed(small, 1)
    assert turn_of_tasks(small) > 0


def test_a_turn_that_changed_meanwhile_is_not_noted(small: Client) -> None:
    small.execute("select stagebus.note_turn('tasks', 0, 500, stagebus.clock())")
    small.execute("select stagebus.note_turn('tasks', 0, 900, stagebus.clock())")
    assert turn_of_tasks(small) == 500


def test_the_row_of_a_destination_is_written_once_a_second_at_most(small: Client) -> None:
    create(small, 1000)
    rows = set()
    for _ in range(30):
        small.advance(SECOND / 10)
        small.claim_batches(1, start=1)
        rows.add(small.value("select ctid from stagebus_data.destinations where turn > 0"))
    assert len(rows) == 3


def test_a_retry_is_made_at_the_turn_of_its_time(small: Client) -> None:
    small.set_task_type("work", batch_size=10, retry_delay=timedelta(0))
    published = small.published_stage(10, "work")
    small.advance(SECOND)
    create(small, 1000)
    claimed(small, 20)
    turn = turn_of_tasks(small)
    message = published.messages[0]
    assert small.start(message, UUID(int=1)).verdict == "run"
    small.fail_task(message.task_id, UUID(int=1), "once")
    small.advance(SECOND)
    assert small.gather_retries() == 1
    retry = small.row("select * from stagebus_data.batches where scattered")
    assert retry.turn == turn + 16


def test_each_step_of_priority_doubles_the_share(small: Client) -> None:
    jobs = [create(small, 2000) for _ in range(3)]
    for job_id, priority in zip(jobs, (6, 4, 5), strict=True):
        assert set_priority(small, job_id, priority) == 200
    shares = Counter(claimed(small, 70))
    assert [round(shares[job_id] / 10) for job_id in jobs] == [4, 1, 2]


def test_the_priority_of_a_job_that_runs_counts_from_then_on(small: Client) -> None:
    jobs = [create(small, 2000), create(small, 2000)]
    claimed(small, 40)
    assert set_priority(small, jobs[1], 8) == 180
    # What the other had waiting is not moved, so it is its turn first.
    shares = Counter(claimed(small, 90))
    assert shares[jobs[1]] in range(78, 82)
    assert small.value("select priority from stagebus.jobs where job_id = %s", jobs[1]) == 8


def test_later_stages_and_retries_have_the_priority_of_their_job(small: Client) -> None:
    job_id = small.create_job()
    assert set_priority(small, job_id, 9) == 0
    small.create_stage_tasks(job_id, 1, "work", 25)
    turns = small.column("select turn from stagebus_data.batches order by first_index")
    assert turns == [10, 20, 25]


def test_a_priority_moves_only_what_waits(small: Client) -> None:
    job_id = create(small, 40)
    small.claim_batches(2)
    assert set_priority(small, job_id, 0) == 2
    rows = small.rows("select state, turn from stagebus_data.batches order by first_index")
    turn = turn_of_tasks(small)
    assert [row.turn for row in rows] == [160, 320, turn + 5120, turn + 10240]


@pytest.mark.parametrize("priority", [-1, 10, None])
def test_a_priority_is_0_to_9(small: Client, priority: int | None) -> None:
    job_id = create(small, 1)
    with small.refused("SB116"):
        set_priority(small, job_id, priority)


def test_a_priority_is_of_a_job_that_exists(small: Client) -> None:
    with small.refused("SB101"):
        set_priority(small, UUID(int=1), 5)


@pytest.mark.parametrize("seed", range(3))
def test_every_batch_is_claimed_in_the_end_whatever_is_made_and_set(
    small: Client, seed: int
) -> None:
    """Against a model: the jobs' shares while two wait, and what was claimed, once each."""
    chance = random.Random(seed)
    jobs: list[UUID] = []
    seen: list[UUID] = []
    for _ in range(60):
        small.advance(SECOND * chance.choice([0, 0.3, 1, 3]))
        match chance.randrange(5):
            case 0:
                jobs.append(create(small, chance.choice([1, 7, 30, 120])))
            case 1 if jobs:
                set_priority(small, chance.choice(jobs), chance.randrange(10))
            case 2:
                for claim in small.claim_batches(chance.randrange(1, 6), lease=DAY, start=1):
                    seen.append(claim.batch_id)
                    if chance.random() < 0.2:
                        assert small.release_batch(claim)
                        seen.remove(claim.batch_id)
            case _:
                found = small.claim_batches(chance.randrange(1, 6), lease=DAY, start=1)
                seen += [claim.batch_id for claim in found]
    waiting = "select count(*) from stagebus_data.batches where state = 'pending_queue'"
    made = set(small.column("select batch_id from stagebus_data.batches"))
    # Somebody keeps making smaller ones, faster than they are claimed.
    for _ in range(20 * small.value(waiting) + 200):
        small.advance(SECOND / 100)
        create(small, 1)
        create(small, 1)
        seen += [claim.batch_id for claim in small.claim_batches(1, lease=DAY)]
        if made <= set(seen):
            break
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
