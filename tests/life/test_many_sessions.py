"""Sixteen sessions at once: the last tasks of thousands of stages, and anything legal on a few."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.client import Client, Message
from tests.life.test_races import drain

SESSIONS = 16
STAGES = 10_000
#: Of the random actions; `make soak` gives them a minute.
SECONDS = float(os.environ.get("STAGEBUS_SOAK_SECONDS", "8"))
TOKEN = UUID(int=1)

#: Stages of one to five tasks, a job each, published, in the server.
SMALL_STAGES = """
do $$
declare
    v_batch record;
begin
    for v_stage in 1..{stages} loop
        perform stagebus.create_stage_tasks(
            stagebus.create_job('small'), 1, 'h3_hexagon', 1 + v_stage % 5);
    end loop;
    loop
        for v_batch in select * from stagebus.claim_batches(
            gen_random_uuid(), 1000, interval '1 hour')
        loop
            perform stagebus.finish_batch(v_batch.job_id, v_batch.batch_id, v_batch.claim_epoch);
        end loop;
        exit when not found;
    end loop;
end;
$$
"""

RECOUNT = (
    "select s.job_id, r.what, r.counted, r.found from stagebus_data.stages as s"
    " cross join lateral stagebus.recount_stage(s.job_id, s.stage) as r"
)


def test_sixteen_workers_end_ten_thousand_small_stages_once_each(client: Client) -> None:
    client.execute(SMALL_STAGES.format(stages=STAGES))
    tasks = client.rows(
        "select t.task_id, s.nonce from stagebus.tasks as t"
        " join stagebus_data.stages as s using (job_id, stage)"
    )
    random.Random(7).shuffle(tasks)
    ids, nonces = [task.task_id for task in tasks], [task.nonce for task in tasks]

    def work(session: Client, number: int) -> Counter[str]:
        chance, verdicts = random.Random(number), Counter[str]()
        mine, asked = ids[number::SESSIONS], nonces[number::SESSIONS]
        while mine:
            size = chance.choice([1, 1, 5, 20])
            some, mine = mine[:size], mine[size:]
            session.rows(
                "select * from stagebus.start_tasks(%s, %s, %s, %s)",
                some,
                [1] * len(some),
                asked[: len(some)],
                TOKEN,
            )
            asked = asked[size:]
            if size == 1:
                verdicts[session.complete_task(some[0], TOKEN)] += 1
            else:
                verdicts.update(session.complete_tasks(some, TOKEN))
        return verdicts

    sessions = [client.session() for _ in range(SESSIONS)]
    with ThreadPoolExecutor(SESSIONS) as pool:
        verdicts = sum(pool.map(work, sessions, range(SESSIONS)), Counter[str]())
    assert verdicts == {"completed": len(ids)}
    assert client.column("select distinct status from stagebus.stages") == ["completed"]
    assert client.count("due_advances") == STAGES
    assert client.rows(RECOUNT) == []


def test_sixteen_sessions_that_do_anything_legal_never_deadlock(client: Client) -> None:
    client.set_task_type(
        "work", batch_size=7, timeout="2 seconds", max_attempts=3, retry_delay="0.1 seconds",
        start_timeout="10 seconds", job_messages=True,
    )  # fmt: skip
    jobs = [client.create_job() for _ in range(6)]
    sessions = [client.session() for _ in range(SESSIONS)]
    give_up = time.monotonic() + SECONDS
    with ThreadPoolExecutor(SESSIONS) as pool:
        said = list(
            pool.map(
                lambda numbered: anything(numbered[1], numbered[0], jobs, give_up),
                enumerate(sessions),
            )
        )
    done = sum(said, Counter[str]())
    assert not {code for code in done if code.startswith("raw")}, done
    assert done["ok"] > SECONDS * 20, done
    assert client.rows(RECOUNT) == []
    client.stop_clock()
    client.advance(timedelta(hours=1))
    drain(client, str(done))


def anything(session: Client, seed: int, jobs: list[UUID], give_up: float) -> Counter[str]:
    chance, done = random.Random(seed), Counter[str]()
    while time.monotonic() < give_up:
        name, *arguments = action(session, chance, chance.choice(jobs))
        try:
            own = {"publish_some": publish_some, "work_some": work_some}.get(name)
            if own is None:
                getattr(session, name)(*arguments)
            else:
                own(session, *arguments)
            done["ok"] += 1
        except psycopg.Error as error:
            ours = (error.sqlstate or "").startswith("SB")
            done[str(error.sqlstate) if ours else f"raw {error.sqlstate}: {error}"] += 1
    return done


def publish_some(session: Client, chance: random.Random) -> None:
    """A bridge that ends its claims in every way, or leaves them."""
    for claim in session.claim_batches(chance.choice([1, 5]), timedelta(seconds=2)):
        messages = session.batch_messages(claim, claim.published_through, 5)
        if messages and chance.random() < 0.8:
            outcome = chance.choice(["accepted", "accepted", "unknown"])
            first, last = messages[0].task_index, messages[-1].task_index
            error = None if outcome == "accepted" else "no answer"
            session.record_send(claim, first, last, outcome, error)
        ends = [session.finish_batch, session.finish_batch, session.release_batch]
        if chance.random() < 0.9:
            chance.choice([*ends, session.fail_batch])(claim)


def work_some(session: Client, chance: random.Random, job_id: UUID, stage: int) -> None:
    """A worker that received some of what is on the queue; it may fail, or die."""
    messages = [
        Message(*row)
        for row in session.rows(
            "select m.* from stagebus.batches as b"
            " cross join lateral stagebus.batch_messages(b.job_id, b.batch_id, 0, 50) as m"
            " where b.job_id = %s and b.stage = %s and b.status = 'queued' and b.kind = 'tasks'",
            job_id,
            stage,
        )
    ]
    some = chance.sample(messages, min(len(messages), chance.choice([1, 10])))
    token = uuid4()
    session.start_all(some, token)
    ids = [message.task_id for message in some]
    fate = chance.random()
    if fate < 0.6:
        session.complete_tasks(ids, token)
    elif fate < 0.85:
        session.fail_tasks(ids, token, ["why"] * len(ids), chance.random() < 0.8)


def action(session: Client, chance: random.Random, job_id: UUID) -> tuple[Any, ...]:
    """The name of a method of Client, and what to call it with."""
    stages = session.column("select stage from stagebus.stages where job_id = %s", job_id)
    stage = chance.choice(stages) if stages else 1
    batches = session.column(
        "select batch_id from stagebus.batches where job_id = %s and stage = %s", job_id, stage
    )
    orders = session.column("select order_id from stagebus.orders")
    what = chance.choices(
        ["fill", "seal", "bridge", "work", "maintain", "batch", "tasks", "order", "stage", "end"],
        [6, 4, 12, 20, 4, 4, 3, 12, 2, 1],
    )[0]
    if what == "fill":
        return ("create_stage_tasks", job_id, len(stages) + 1, "work", 40, None, False)
    if what == "seal":
        return ("seal_stage", job_id, len(stages) or 1)
    if what == "bridge":
        return ("publish_some", chance)
    if what == "work":
        return ("work_some", chance, job_id, stage)
    if what == "maintain":
        return ("maintain", 50)
    if what == "batch" and batches:
        function = chance.choice(["hold_batch", "unhold_batch", "retry_batch"])
        more = [chance.random() < 0.5] if function == "retry_batch" else []
        return ("order", function, job_id, chance.choice(batches), *more)
    if what == "tasks":
        status = chance.choice(["failed", "cancelled", "retry_wait"])
        return ("order", "retry_tasks", job_id, stage, status)
    if what == "order" and orders:
        # Mostly those at work.
        order = max(orders) - min(int(chance.expovariate(0.3)), max(orders) - 1)
        function = chance.choices(["work_order", "stop_order", "undo_order"], [10, 1, 1])[0]
        return ("orders", function, order, *([15] if function == "work_order" else []))
    if what == "stage":
        return ("order", chance.choice(["cancel_stage", "set_stage"]), job_id, stage)
    if what == "end":
        return chance.choice([("order", "cancel_job", job_id), ("finish_job", job_id)])
    return ("progress", job_id, stage) if stages else ("job", job_id)
