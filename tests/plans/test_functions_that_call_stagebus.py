"""A plan's function may call the functions of producers, and gains nothing by whoever advances."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.plans.functions import create_function

ONE = "return query select '{}'::jsonb;"
CHILD = [{"name": "a", "task_type": "tile", "count": 1}]


def test_two_that_submit_jobs_with_keys_are_called_in_one_advance(
    client: Client, team: Client
) -> None:
    team.define_job_type(CHILD, "child")
    for name in ("first", "second"):
        submit = f"perform stagebus.submit_job('child', dedupe_key => p_job_id || '{name}'); "
        create_function(team, f"gis.{name}", submit + ONE)
    team.define_job_type(
        [
            {"name": name, "task_type": "tile", "tasks": f"gis.{name}", "after": []}
            for name in ("first", "second")
        ]
    )
    job_id = team.submit_job()
    done = team.advance_job(job_id)
    assert (done.status, done.stages) == ("advanced", 2), client.job(job_id).error
    assert client.value("select count(*) from stagebus.jobs where dedupe_key is not null") == 2


DEFINE = (
    "perform stagebus.define_job_type('month_end', jsonb_build_object('stages', jsonb_build_array("
    "jsonb_build_object('name', 'ours', 'task_type', 'tile', 'count', 1))));"
)


@pytest.mark.parametrize("caught", [False, True])
def test_one_cannot_define_a_plan_as_whoever_advances_its_job(
    client: Client, team: Client, caught: bool
) -> None:
    client.define_job_type(CHILD, "month_end")
    body = f"begin {DEFINE} exception when others then null; end;" if caught else DEFINE
    create_function(team, "gis.tiles", f"{body} {ONE}")
    team.define_job_type([{"name": "t", "task_type": "tile", "tasks": "gis.tiles"}])
    job_id = team.submit_job()
    assert client.advance_job(job_id).status == ("advanced" if caught else "failed")
    if not caught:
        error = client.job(job_id).error
        assert error.startswith("SB142: a plan's function cannot define a plan\n")
    assert client.column("select version from stagebus.plans where job_type = 'month_end'") == [1]
