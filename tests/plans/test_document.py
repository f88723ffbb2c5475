"""What docs/plans.md tells a producer to type works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from tests.client import Client

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "plans.md"


def test_the_statements_of_the_page_work_as_they_stand(client: Client) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    job = re.compile(r" as job \\gset\n.*", re.DOTALL)
    assert job.search(block)
    client.execute(job.sub(";", block))
    (job_id,) = client.due_jobs()
    assert client.advance_job(job_id).note == "render: 16 tasks"
    client.end_stage_of(job_id, 1, result={"area": 7})
    assert client.advance_job(job_id).note == "merge: 16 tasks"
    assert client.task(f"{job_id}-s2-3").parameters == {"tiles": 16, "of": 3, "area": 7}
    client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).note == "tidy: 1 tasks"
