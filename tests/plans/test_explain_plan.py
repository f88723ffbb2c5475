"""What a plan would make, without making it."""

from __future__ import annotations

from tests.client import Client
from tests.plans.functions import create_function

STAGES = [
    {"name": "a", "task_type": "tile", "count": "$.parameters.n"},
    {"name": "b", "task_type": "tile", "count": "$.stages.a.completed"},
    {"name": "c", "task_type": "tile", "tasks": "gis.tiles", "group_by": "z", "after": []},
    {"name": "d", "task_type": "tile", "count": 7, "skip_when": "$.parameters.n < 1000"},
    {"name": "e", "task_type": "tile", "count": 7, "skip_when": "$.stages.a.failed == 0",
     "after": ["a", "c"]},
    {"name": "z", "task_type": "tile", "count": 1, "final": True},
]  # fmt: skip


def test_counts_and_conditions_are_shown_where_the_parameters_decide_them(
    client: Client, team: Client
) -> None:
    create_function(team, "gis.tiles", "raise exception 'it was called';")
    team.define_job_type(STAGES)
    before = client.contents()
    rows = team.explain_plan(parameters={"n": 120})
    assert client.contents() == before
    assert [tuple(row) for row in rows] == [
        (1, "a", "tile", "", '$."parameters"."n"', 120, 2, False, None),
        (2, "b", "tile", "a", '$."stages"."a"."completed"', None, None, False, None),
        (3, "c", "tile", "", "gis.tiles(), a stage for each 'z'", None, None, False, None),
        (4, "d", "tile", "c", "7", 0, 0, True, None),
        (5, "e", "tile", "a, c", "7", 7, 1, None, None),
        (6, "z", "tile", "all others, however they end", "1", 1, 1, False, None),
    ]


def test_what_would_fail_is_said_beside_its_stage(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "raise exception 'it was called';")
    team.define_job_type(STAGES)
    client.execute("drop function gis.tiles")
    notes = {row.name: row.note for row in team.explain_plan() if row.note}
    assert notes == {
        "a": "the count of stage a is not there",
        "c": "there is no function gis.tiles(uuid, jsonb)",
    }


def test_batches_are_counted_as_they_are_cut(client: Client) -> None:
    client.set_task_type("whole", batch_size=3, boundary="by_stage")
    client.set_task_type("packed", batch_size=3, atomic=True)
    types = ("whole", "packed", "h3_hexagon")
    client.define_job_type(
        [{"name": each, "task_type": each, "count": 10_001, "after": []} for each in types]
    )
    told = {row.name: row.batches for row in client.explain_plan()}
    job_id = client.submit_job()
    client.advance_job(job_id)
    made = client.rows("select name, batches from stagebus.stages where job_id = %s", job_id)
    assert told == dict(made) | {"packed": None}


def test_more_tasks_than_a_role_may_have_are_noted(client: Client) -> None:
    client.execute("select stagebus.set_limit('stage_tasks', 10)")
    client.define_job_type([{"name": "a", "task_type": "h3_hexagon", "count": 11}])
    (row,) = client.explain_plan()
    assert (row.tasks, row.note) == (
        11,
        "stage a would have 11 tasks, more than role 'postgres' may have",
    )


def test_a_job_type_without_a_plan_and_parameters_that_are_no_object_are_refused(
    client: Client,
) -> None:
    with client.refused("SB143"):
        client.explain_plan("none")
    client.define_job_type([{"name": "a", "task_type": "h3_hexagon", "count": 1}])
    with client.refused("SB109"):
        client.explain_plan(parameters=[])
