"""Sixteen sessions finish the tasks of thousands of small stages, in the same order at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from uuid import UUID

import pytest

from tests.client import PATIENCE, Client, Listener
from tests.life import looking

STAGES, TASKS, SESSIONS = 3_000, 4, 16
TOKEN = UUID(int=1)

_CREATE = """
do $$
declare
    v_job_id uuid;
begin
    for i in 1..1000 loop
        v_job_id := stagebus.create_job('small');
        perform stagebus.create_stage_tasks(v_job_id, 1, 'small', 4);
    end loop;
end;
$$;
"""

_START = """
select count(*)
from (
    select array_agg(stagebus.task_id(t.job_id, t.stage, t.task_index)) as ids,
        array_agg(1) as attempts, array_agg(s.nonce) as nonces
    from stagebus_data.tasks as t
    join stagebus_data.stages as s using (job_id, stage)
) as message
cross join lateral stagebus.start_tasks(ids, attempts, nonces, %s) as started
where started.verdict = 'run'
"""


@pytest.mark.starts_first
def test_each_of_many_stages_ends_exactly_once(client: Client) -> None:
    client.set_task_type("small", job_messages=True)
    for _ in range(STAGES // 1000):
        client.execute(_CREATE)
    jobs: list[UUID] = client.column("select job_id from stagebus_data.jobs order by job_id")
    assert client.value(_START, TOKEN) == STAGES * TASKS
    listener = Listener(client, "stagebus_jobs")

    # Four sessions share a stage, and come to its last tasks together.
    meetings = [Barrier(TASKS) for _ in range(SESSIONS // TASKS)]

    def work(number: int) -> int:
        """One task of each stage of its group."""
        group, index = divmod(number, TASKS)
        done = 0
        with closing(Client(client.url)) as session:
            for nth, job_id in enumerate(jobs[group :: len(meetings)]):
                meetings[group].wait(PATIENCE)
                task_id = f"{job_id}-s1-{index + 1}"
                if nth % 7 == 0:
                    done += session.fail_task(task_id, TOKEN, retry=False) == "failed"
                else:
                    done += session.complete_task(task_id, TOKEN) == "completed"
        return done

    with ThreadPoolExecutor(SESSIONS) as threads:
        assert sum(threads.map(work, range(SESSIONS))) == STAGES * TASKS

    ends = dict(client.rows("select state, count(*) from stagebus_data.stages group by state"))
    failed = len(meetings) * len(range(0, STAGES // len(meetings), 7))
    assert ends == {"completed": STAGES - failed, "completed_with_errors": failed}
    assert client.due_advances() == [(job_id, 1) for job_id in jobs]
    assert Counter(payload for _, payload in listener.heard()) == {str(j): 1 for j in jobs}
    told = client.column("select job_id from stagebus_data.job_messages order by job_id")
    assert told == jobs
    assert looking.miscounts(client) == []
