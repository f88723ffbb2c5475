"""A job with a plan: which stages are made when, with which tasks, and how the job ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.client import Client
from tests.plans.functions import create_function, returning

Plan = dict[str, Any]


def stage(name: str, count: Any = 1, **keys: Any) -> Plan:
    return {"name": name, "task_type": "h3_hexagon", "count": count} | keys


def test_a_submitted_job_is_made_by_the_first_advance_and_ends_with_its_last_stage(
    client: Client,
) -> None:
    client.define_job_type([stage("a", 3), stage("b", 2)])
    job_id = client.submit_job(parameters={"region": "alps"})
    assert client.job(job_id).status == "created"
    assert client.due_jobs() == [job_id]
    assert client.plan_progress(job_id) == {"a": "waits", "b": "waits"}

    done = client.advance_job(job_id)
    assert tuple(done) == (job_id, "advanced", "running", 1, 3, "a: 3 tasks")
    assert client.due_jobs() == []
    assert client.advance_job(job_id).status == "nothing to make"
    assert client.stage(job_id, 1).parameters == {"region": "alps"}

    client.end_stage_of(job_id, 1)
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "b: 2 tasks"
    assert client.plan_progress(job_id) == {"a": "completed", "b": "open"}
    client.end_stage_of(job_id, 2)
    assert tuple(client.advance_job(job_id))[1:4] == ("nothing to make", "completed", 0)
    assert client.due_jobs() == []
    assert client.job(job_id).status == "completed"


def test_progress_has_the_order_of_the_plan_before_anything_has_begun(client: Client) -> None:
    names = ["z", "a", "m", "b", "y"]
    client.define_job_type([stage(name) for name in names])
    job_id = client.submit_job()
    assert list(client.plan_progress(job_id)) == names
    client.advance_job(job_id)
    assert list(client.plan_progress(job_id)) == names


def test_a_job_keeps_the_version_that_it_began_with(client: Client) -> None:
    client.define_job_type([stage("a"), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.define_job_type([stage("a"), stage("c", 5)])
    client.end_stage_of(job_id, 1)
    assert client.advance_job(job_id).note == "b: 1 tasks"
    assert client.job(job_id).plan_version == 1
    assert client.job(client.submit_job()).plan_version == 2


def test_a_stage_waits_for_all_that_it_names_and_others_run_beside_it(client: Client) -> None:
    client.define_job_type(
        [stage("a"), stage("b", after=[]), stage("c", after=["a", "b"]), stage("d", after=["a"])]
    )
    job_id = client.submit_job()
    assert client.advance_job(job_id).stages == 2
    client.end_stage_of(job_id, 1)
    assert client.advance_job(job_id).note == "d: 1 tasks"
    client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).note == "c: 1 tasks"
    client.end_stage_of(job_id, 3)
    assert client.advance_job(job_id).job_status == "running"
    client.end_stage_of(job_id, 4)
    assert client.advance_job(job_id).job_status == "completed"


def test_counts_are_computed_from_parameters_and_from_earlier_stages(client: Client) -> None:
    client.define_job_type(
        [
            stage("a", "$.parameters.width * $.parameters.height"),
            stage("b", "$.stages.a.completed + $.stages.a.failed * 10"),
        ]
    )
    job_id = client.submit_job(parameters={"width": 3, "height": 2})
    assert client.advance_job(job_id).note == "a: 6 tasks"
    client.end_stage_of(job_id, 1, failing=2)
    assert client.advance_job(job_id).note == "b: 24 tasks"


def test_a_stage_without_tasks_is_over_at_once_and_the_next_begins(client: Client) -> None:
    client.define_job_type([stage("a", 0), stage("b", "$.parameters.n"), stage("c", 2)])
    job_id = client.submit_job(parameters={"n": 0})
    assert client.advance_job(job_id).note == "a: 0 tasks, b: 0 tasks, c: 2 tasks"
    assert client.due_jobs() == []
    client.end_stage_of(job_id, 3)
    client.advance_job(job_id)
    assert client.job(job_id).status == "completed"


def test_a_job_of_nothing_ends_in_one_advance(client: Client) -> None:
    client.define_job_type([stage("a", 0), stage("z", 0, final=True)])
    job_id = client.submit_job()
    assert tuple(client.advance_job(job_id))[1:4] == ("advanced", "completed", 2)
    assert client.due_jobs() == []


def test_a_condition_skips_a_stage_and_the_next_goes_on_after_it(client: Client) -> None:
    client.define_job_type(
        [
            stage("a", 2),
            stage("repair", 1, skip_when="$.stages.a.failed == 0"),
            stage("report", 1, skip_when="$.parameters.quiet == true"),
        ]
    )
    job_id = client.submit_job(parameters={"quiet": False})
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1)
    assert client.advance_job(job_id).note == "repair: skipped, report: 1 tasks"
    assert client.plan_progress(job_id) == {
        "a": "completed",
        "repair": "skipped",
        "report": "open",
    }
    assert client.stage(job_id, 2).skipped
    client.end_stage_of(job_id, 3)
    client.advance_job(job_id)
    assert client.job(job_id).status == "completed"


def test_the_tasks_of_a_function_are_its_objects_in_order(client: Client, team: Client) -> None:
    tiles = returning(
        team,
        "select jsonb_build_object('x', x, 'of', p_parameters ->> 'region', 'job', p_job_id)"
        " from generate_series(1, (p_parameters ->> 'tiles')::int) as x",
    )
    team.define_job_type(
        [{"name": "t", "task_type": "tile", "tasks": tiles, "parameters": {"zoom": 5}}]
    )
    job_id = team.submit_job(parameters={"region": "alps", "tiles": 25_001})
    assert team.advance_job(job_id).tasks == 25_001
    task = client.task(f"{job_id}-s1-25001")
    assert task.parameters == {
        "region": "alps",
        "tiles": 25_001,
        "zoom": 5,
        "x": 25_001,
        "of": "alps",
        "job": str(job_id),
    }
    assert client.value(
        "select bool_and((parameters ->> 'x')::int = task_index) from stagebus_data.tasks"
    )
    assert client.recount(job_id) == []
    assert client.stage(job_id).batches == 251


def test_a_function_reads_the_results_of_an_earlier_stage_by_its_name(
    client: Client, team: Client
) -> None:
    merge = returning(
        team,
        "select jsonb_build_object('sum', sum((r.result -> 'n')::int), 'of', count(*))"
        " from stagebus.stage_results_by_name(p_job_id, 'a') as r",
    )
    team.define_job_type([stage("a", 4), {"name": "m", "task_type": "tile", "tasks": merge}])
    job_id = team.submit_job()
    team.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1, result={"n": 5})
    team.advance_job(job_id)
    assert client.task(f"{job_id}-s2-1").parameters == {"sum": 15, "of": 3}


def test_a_stage_per_group_of_tasks(client: Client, team: Client) -> None:
    tiles = returning(
        team,
        "select jsonb_build_object('zoom', 'z' || n % 3, 'n', n)"
        " from generate_series(1, 20000) as n",
    )
    team.define_job_type(
        [
            {"name": "t", "task_type": "tile", "tasks": tiles, "group_by": "zoom"},
            stage("after", 1),
        ]
    )
    job_id = team.submit_job()
    done = team.advance_job(job_id)
    assert done.note == "t z1: 6667 tasks, t z2: 6667 tasks, t z0: 6666 tasks"
    rows = client.rows(
        "select stage, name, group_value, tasks from stagebus.stages where job_id = %s"
        " order by stage",
        job_id,
    )
    assert [tuple(row) for row in rows] == [
        (1, "t", "z1", 6667),
        (3, "t", "z2", 6667),
        (4, "t", "z0", 6666),
    ]
    for number in (1, 3):
        client.end_stage_of(job_id, number)
        assert client.advance_job(job_id).stages == 0
    client.end_stage_of(job_id, 4)
    assert client.advance_job(job_id).note == "after: 1 tasks"
    assert client.stage(job_id, 2).name == "after"


def test_no_object_at_all_makes_an_empty_stage_also_with_groups(
    client: Client, team: Client
) -> None:
    nothing = returning(team, "select '{}'::jsonb where false")
    team.define_job_type(
        [
            {"name": "a", "task_type": "tile", "tasks": nothing},
            {"name": "b", "task_type": "tile", "tasks": nothing, "group_by": "zoom"},
        ]
    )
    job_id = team.submit_job()
    assert team.advance_job(job_id).note == "a: 0 tasks, b: 0 tasks"
    assert client.job(job_id).status == "completed"


def test_what_waits_for_a_failed_stage_never_begins_and_the_rest_runs_to_its_end(
    client: Client,
) -> None:
    client.define_job_type(
        [
            stage("a", 2, tolerated_failures="0"),
            stage("b"),
            stage("c", after=[]),
            stage("d"),
        ]
    )
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    assert client.stage(job_id, 1).status == "failed"
    assert client.advance_job(job_id).job_status == "running"
    client.end_stage_of(job_id, 3)
    assert client.advance_job(job_id).note == "d: 1 tasks"
    client.end_stage_of(job_id, 4)
    assert client.advance_job(job_id).job_status == "failed"
    assert client.plan_progress(job_id) == {
        "a": "failed",
        "b": "never began",
        "c": "completed",
        "d": "completed",
    }


def test_a_tolerated_failure_lets_the_job_go_on_and_it_completes_with_errors(
    client: Client,
) -> None:
    client.define_job_type([stage("a", 4, tolerated_failures="50%"), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=2)
    client.advance_job(job_id)
    client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).job_status == "completed_with_errors"


def test_a_failure_that_waits_keeps_the_job_until_an_operator_acts(client: Client) -> None:
    client.define_job_type([stage("a", tolerated_failures="0", on_failure="wait"), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    assert client.advance_job(job_id).job_status == "running"
    assert client.due_jobs() == []
    client.order("set_stage", job_id, 1, tolerated_failures="1")
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "b: 1 tasks"


def test_a_failure_that_waited_fails_the_job_once_it_is_told_to(client: Client) -> None:
    client.define_job_type([stage("a", tolerated_failures="0", on_failure="wait"), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    client.advance_job(job_id)
    client.order("set_stage", job_id, 1, on_failure="fail_job")
    assert client.job(job_id).status == "running"
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).job_status == "failed"


ENDS = {"completed": 0, "failed": 1}


@pytest.mark.parametrize("ends", ENDS)
def test_the_final_stage_runs_however_the_others_ended(client: Client, ends: str) -> None:
    client.define_job_type(
        [stage("a", tolerated_failures="0"), stage("b"), stage("tidy", 2, final=True)]
    )
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=ENDS[ends])
    if ends == "completed":
        client.advance_job(job_id)
        client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).note == "tidy: 2 tasks"
    assert client.job(job_id).status == "running"
    client.end_stage_of(job_id, 3)
    assert client.advance_job(job_id).job_status == ends


def test_the_final_stage_runs_after_a_cancelling_too(client: Client) -> None:
    client.define_job_type([stage("a", 3), stage("b"), stage("tidy", final=True)])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.order("cancel_job", job_id)
    client.work_orders()
    assert client.job(job_id).status == "running"
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "tidy: 1 tasks"
    client.work_orders()
    assert client.stage(job_id, 3).status == "open"
    client.end_stage_of(job_id, 3)
    assert client.job(job_id).status == "cancelled"
    assert client.plan_progress(job_id) == {
        "a": "cancelled",
        "b": "never began",
        "tidy": "completed",
    }
    assert client.due_jobs() == []


def test_a_job_that_was_never_advanced_is_cancelled_at_once(client: Client) -> None:
    client.define_job_type([stage("a", 3)])
    job_id = client.submit_job()
    client.order("cancel_job", job_id)
    assert client.job(job_id).status == "cancelled"
    assert client.due_jobs() == []
    assert client.advance_job(job_id).job_status == "cancelled"
    assert client.plan_progress(job_id) == {"a": "never began"}


def test_a_cancelled_job_that_is_taken_back_goes_on(client: Client) -> None:
    client.define_job_type([stage("a", 3), stage("b")])
    job_id = client.submit_job()
    order = client.order("cancel_job", job_id)
    client.orders("undo_order", order.order_id)
    assert client.due_jobs() == [job_id]
    assert client.advance_job(job_id).note == "a: 3 tasks"


def test_a_cancelled_stage_is_over_and_the_job_goes_on(client: Client) -> None:
    client.define_job_type([stage("a", 3), stage("b", "$.stages.a.cancelled")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.order("cancel_stage", job_id, 1)
    client.work_orders()
    assert client.advance_job(job_id).note == "b: 3 tasks"
    client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).job_status == "completed_with_errors"


def test_a_retry_reopens_a_failed_stage_and_the_job_goes_on_after_it(client: Client) -> None:
    client.define_job_type([stage("a", tolerated_failures="0"), stage("b")])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    assert client.advance_job(job_id).job_status == "failed"
    client.order("retry_tasks", job_id, 1, "failed")
    client.work_orders()
    assert client.job(job_id).status == "running"
    assert not client.stage(job_id, 1).repair
    client.gather_retries()
    token = uuid4()
    nonce = client.stage_row(job_id).nonce
    assert client.start_task(f"{job_id}-s1-1", 2, nonce, token).verdict == "run"
    client.complete_task(f"{job_id}-s1-1", token)
    assert client.advance_job(job_id).note == "b: 1 tasks"


def test_a_retry_of_a_stage_that_others_went_past_is_a_repair_and_the_job_waits_for_it(
    client: Client,
) -> None:
    client.define_job_type([stage("a", 2), stage("b"), stage("c", after=["a", "b"])])
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    client.advance_job(job_id)
    client.order("retry_tasks", job_id, 1, "failed")
    client.work_orders()
    assert client.stage(job_id, 1).repair
    client.end_stage_of(job_id, 2)
    assert client.advance_job(job_id).stages == 0, "c waits for a, which runs again"
    client.gather_retries()
    token = uuid4()
    client.start_task(f"{job_id}-s1-1", 2, client.stage_row(job_id).nonce, token)
    client.complete_task(f"{job_id}-s1-1", token)
    assert client.advance_job(job_id).note == "c: 1 tasks"


def test_stages_of_a_parallel_branch_do_not_make_a_retry_a_repair(client: Client) -> None:
    client.define_job_type(
        [stage("a", tolerated_failures="0", on_failure="wait"), stage("b", after=[]), stage("c")]
    )
    job_id = client.submit_job()
    client.advance_job(job_id)
    client.end_stage_of(job_id, 2)
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    client.advance_job(job_id)
    client.order("retry_tasks", job_id, 1, "failed")
    client.work_orders()
    assert not client.stage(job_id, 1).repair


def test_a_failed_advance_is_on_the_job_tried_again_later_and_over_once_it_is_mended(
    client: Client, team: Client
) -> None:
    now = client.stop_clock()
    tiles = create_function(
        team,
        "gis.tiles",
        "raise exception 'no tiles today' using detail = 'it rains', hint = 'wait';",
    )
    team.define_job_type([stage("a", 2), {"name": "t", "task_type": "tile", "tasks": tiles}])
    job_id = team.submit_job()
    assert team.advance_job(job_id).status == "advanced"
    client.end_stage_of(job_id, 1)
    done = team.advance_job(job_id)
    assert (done.status, done.job_status, done.note) == ("failed", "running", "no tiles today")
    job = client.job(job_id)
    assert (job.failing_stage, job.why, job.error, job.failed_advances) == (
        "t",
        "stage t cannot be made from gis.tiles",
        "P0001: no tiles today\nit rains\nwait",
        1,
    )
    assert job.next_advance_at == now + timedelta(seconds=1)
    assert client.plan_progress(job_id) == {"a": "completed", "t": "cannot be made"}
    assert client.due_jobs() == []
    waits = []
    for _ in range(11):
        now = client.now()
        client.at(client.job(job_id).next_advance_at)
        assert client.due_jobs() == [job_id]
        client.advance_job(job_id)
        waits.append((client.now() - now).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]

    returning(team, "select '{}'::jsonb")
    assert team.advance_job(job_id).status == "advanced", "by hand it is tried at once"
    job = client.job(job_id)
    assert (job.failing_stage, job.why, job.error, job.failed_advances) == (None,) * 4
    assert job.next_advance_at is None


def test_what_a_failed_advance_had_made_is_undone(client: Client, team: Client) -> None:
    bad = create_function(team, "gis.tiles", "raise 'no';")
    team.define_job_type([stage("a", 2), {"name": "t", "task_type": "tile", "tasks": bad,
                                          "after": []}])  # fmt: skip
    job_id = team.submit_job()
    before = client.contents()
    assert team.advance_job(job_id).status == "failed"
    assert client.job(job_id).status == "created"
    after = client.contents()
    assert {table for table in before if before[table] != after[table]} == {"job_advances"}


FAULTY_COUNTS = {
    "not there": ("$.parameters.n", {}),
    "a text": ("$.parameters.n", {"n": "7"}),
    "negative": ("$.parameters.n - 10", {"n": 7}),
    "a fraction": ("$.parameters.n / 2", {"n": 7}),
    "too high": ("$.parameters.n", {"n": 1_000_000_000}),
    "null": ("$.parameters.n", {"n": None}),
}


@pytest.mark.parametrize("case", FAULTY_COUNTS)
def test_a_count_that_is_none_fails_the_advance(client: Client, case: str) -> None:
    path, parameters = FAULTY_COUNTS[case]
    client.define_job_type([stage("a", path)])
    job_id = client.submit_job(parameters=parameters)
    assert client.advance_job(job_id).status == "failed"
    job = client.job(job_id)
    assert job.failing_stage == "a"
    assert job.error.startswith("SB145: the count of stage a is ")


def test_a_path_that_raises_fails_the_advance(client: Client) -> None:
    client.define_job_type([stage("a", "7 / $.parameters.n")])
    job_id = client.submit_job(parameters={"n": 0})
    assert client.advance_job(job_id).status == "failed"
    assert client.job(job_id).error.startswith("22012: ")


def test_a_condition_that_is_neither_true_nor_false_fails_the_advance(client: Client) -> None:
    client.define_job_type([stage("a", skip_when="$.parameters.n")])
    job_id = client.submit_job(parameters={"n": "yes"})
    client.advance_job(job_id)
    job = client.job(job_id)
    assert job.error.startswith("SB145: skip_when of stage a is neither")
    assert job.why == (
        'stage a cannot be made from its skip_when $."parameters"."n" and its count 1'
    )


def test_a_group_needs_its_parameter_in_every_task(client: Client, team: Client) -> None:
    tiles = returning(team, """values ('{"zoom": 1}'::jsonb), ('{"zoom": [1]}')""")
    team.define_job_type([{"name": "t", "task_type": "tile", "tasks": tiles, "group_by": "zoom"}])
    job_id = team.submit_job()
    team.advance_job(job_id)
    assert client.job(job_id).error.startswith("SB145: a task of stage t has no usable 'zoom'")


def test_the_same_dedupe_key_submits_once(client: Client) -> None:
    client.define_job_type([stage("a")])
    first = client.submit_job(dedupe_key="today")
    client.advance_job(first)
    assert client.submit_job(dedupe_key="today") == first
    assert client.due_jobs() == []


def test_a_job_type_without_a_plan_is_refused_and_names_those_that_have_one(
    client: Client,
) -> None:
    client.define_job_type([stage("a")], "tile_pyramid")
    with client.refused("SB143") as caught:
        client.submit_job("tile_pyramit")
    assert "tile_pyramid" in str(caught.value.diag.message_detail)


@pytest.mark.parametrize("parameters", [[], 7, "x"])
def test_parameters_are_an_object(client: Client, parameters: Any) -> None:
    client.define_job_type([stage("a")])
    with client.refused("SB109"):
        client.submit_job(parameters=parameters)


def test_a_job_without_a_plan_cannot_be_advanced(client: Client) -> None:
    job_id = client.create_job()
    with client.refused("SB143"):
        client.advance_job(job_id)
    with client.refused("SB101"):
        client.advance_job(uuid4())
    with client.refused("SB101"):
        client.advance_job(None)


def test_a_job_with_a_plan_takes_no_other_stages_and_ends_by_itself(client: Client) -> None:
    client.define_job_type([stage("a")])
    job_id = client.submit_job()
    with client.refused("SB144"):
        client.open_stage(job_id)
    with client.refused("SB144"):
        client.finish_job(job_id)


def test_a_job_without_a_plan_is_due_to_its_controller_and_to_nobody_else(client: Client) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 1)
    client.end_stage_of(job_id, 1)
    assert client.job(job_id).due_after_stage == 1
    assert client.due_jobs() == []
