"""bridge.client: every call over a real connection, blocking and not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

import bridge.client as calls
from bridge.client import Call, call, call_async
from bridge.client.refusals import (
    BY_CODE,
    JobHasPlan,
    JobNotFound,
    NoPlan,
    PlanCycle,
    PlanFunctionRefused,
    PlanRefused,
    StageNotFound,
    StageNotPublished,
)
from bridge.errors import CallRefused
from tests.client import Client
from tests.plans.functions import returning
from tests.roles.test_matrix import MAY_EXECUTE

T = TypeVar("T")
Run = Callable[[Call[T]], T]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, client: Client, database_url: str) -> Any:
    if request.param == "sync":
        return lambda what: call(client.connection, what)

    async def once(what: Call[T]) -> T:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as apart:
            return await call_async(apart, what)

    return lambda what: asyncio.run(once(what))


def test_a_job_from_its_creation_to_its_end(client: Client, run: Any) -> None:
    exact = Decimal("0.12345678901234567890")
    job_id = run(calls.create_job("tiles", {"zoom": 5}, dedupe_key="once"))
    assert run(calls.create_job("tiles", {"zoom": 5}, dedupe_key="once")) == job_id
    summary = run(calls.create_stage_tasks(job_id, 1, "h3_hexagon", 2, {"n": exact}, seal=False))
    assert summary[:4] == (job_id, 1, 2, 0)
    assert run(calls.seal_stage(job_id, 1)).batches == 1
    asked = [(m.task_id, m.attempt, m.nonce) for m in client.publish()]
    token = uuid4()
    started = run(calls.start_tasks(asked, token, "me"))
    assert [(task.verdict, task.parameters) for task in started] == [
        ("run", {"n": exact, "index": 1}),
        ("run", {"n": exact, "index": 2}),
    ]
    first, second = (task.task_id for task in started)
    assert all(until for _, until in run(calls.heartbeat_tasks([first, second], token)))
    assert run(calls.complete_tasks([first], token, [{"n": exact}])) == [(first, "completed")]
    (failed,) = run(calls.fail_tasks([second], token, ["no luck"], retry=False))
    assert failed == (second, "failed", None)
    assert run(calls.stage_results(job_id, 1)) == [(1, {"n": exact})]
    assert run(calls.finish_job(job_id)) == "completed_with_errors"


def test_stages_from_an_array_and_from_a_query(run: Any) -> None:
    job_id = run(calls.create_job("tiles"))
    tasks = [{"k": "a"}, {"k": "b"}, {"k": "a"}]
    summary = run(
        calls.create_stage_tasks_from_array(
            job_id, 1, "h3_hexagon", tasks, seal=False, task_key="k", on_conflict="skip"
        )
    )
    assert summary.tasks == 2
    query = "select jsonb_build_object('k', 'c')"
    summary = run(calls.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query, task_key="k"))
    assert summary.tasks == 3


def test_orders(client: Client, run: Any) -> None:
    job_id = run(calls.create_job("tiles"))
    run(calls.create_stage_tasks(job_id, 1, "process_raster", 150))
    batch_id = client.batches(job_id)[0].batch_id
    held = run(calls.hold_batch(job_id, batch_id, reason="wait"))
    assert (held.action, held.status, held.tasks_done) == ("hold_batch", "done", 100)
    assert [order.action for order in run(calls.undo_order(held.order_id))] == ["unhold_batch"]
    client.publish()
    dry = run(calls.retry_batch(job_id, batch_id, dry_run=True))
    assert (dry.order_id, dry.status, dry.tasks) == (None, "dry run", 100)
    assert run(calls.set_stage(job_id, 1, tolerated_failures="5%")).status == "done"
    order = run(calls.cancel_stage(job_id, 1))
    while (order := run(calls.work_order(order.order_id, 40))).status == "working":
        pass
    assert (order.status, order.tasks_done) == ("done", 150)
    again = run(calls.retry_tasks(job_id, 1, status="cancelled", parameters={"index": 7}))
    assert again.tasks == 1
    assert run(calls.stop_order(again.order_id)).status == "stopped"
    assert run(calls.cancel_job(job_id)).tasks == 0
    with pytest.raises(CallRefused, match="It takes a batch that is held") as caught:
        run(calls.unhold_batch(job_id, batch_id))
    assert caught.value.code == "SB120"


def test_an_estimate_and_a_repair(client: Client, run: Any) -> None:
    told = run(calls.estimate_stage_tasks("process_raster", 150, {"n": 1}, job_type="tiles"))
    job_id = run(calls.create_job("tiles"))
    made = run(calls.create_stage_tasks(job_id, 1, "process_raster", 150, {"n": 1}))
    assert told == (150, made.bytes, 2, 2, None)
    sample = [{"n": 1}, {"n": 11}]
    assert run(calls.estimate_stage_tasks("process_raster", 2, sample_parameters=sample)).tasks == 2
    assert run(calls.repair_job(job_id)) == []
    client.execute("update stagebus_data.stages set completed = 1")
    (shown,) = run(calls.repair_job(job_id))
    assert (shown.stage, shown.order_id) == (1, None)
    (done,) = run(calls.repair_job(job_id, dry_run=False, reason="a test"))
    assert done[:3] == shown[:3]
    assert done.order_id is not None
    assert run(calls.repair_job(job_id)) == []


def test_a_stage_is_published_and_withdrawn(client: Client, run: Any) -> None:
    job_id = run(calls.create_job("tiles"))
    run(calls.create_stage_tasks(job_id, 1, "h3_hexagon", 2, seal=False))
    told = run(calls.publish_stage(job_id, 1, timedelta(seconds=30)))
    assert (told.status, told.tasks, told.batches, told.queued_batches) == ("waiting", 2, 1, 0)
    assert run(calls.publication(job_id, 1, told.nonce)) == told
    withdrawn = run(calls.withdraw_stage(job_id, 1, reason="a test", nonce=told.nonce))
    assert (withdrawn.status, withdrawn.reason) == ("withdrawn", "a test")
    assert run(calls.work_order(withdrawn.order_id)).status == "done"
    with pytest.raises(StageNotFound):
        run(calls.seal_stage(job_id, 1))
    run(calls.create_stage_tasks(job_id, 1, "h3_hexagon", 2))
    with pytest.raises(StageNotPublished):
        run(calls.publication(job_id, 1, "0000000000"))


def test_a_plan_from_its_definition_to_the_end_of_a_job(client: Client, run: Any) -> None:
    client.execute("create schema gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    merge = returning(
        client,
        "select jsonb_build_object('z', r.task_index, 'm', r.result)"
        " from stagebus.stage_results_by_name(p_job_id, 'a') as r",
    )
    plan = {
        "stages": [
            {"name": "a", "task_type": "h3_hexagon", "count": "$.parameters.n"},
            {"name": "b", "task_type": "h3_hexagon", "tasks": merge, "group_by": "z"},
            {"name": "c", "task_type": "h3_hexagon", "count": 1, "skip_when": "1 == 1"},
        ]
    }
    assert run(calls.define_job_type("tiles", plan)) == 1
    assert run(calls.define_job_type("tiles", plan)) == 1
    assert run(calls.explain_plan("tiles", {"n": 2})) == [
        (1, "a", "h3_hexagon", "", '$."parameters"."n"', 2, 1, False, None),
        (2, "b", "h3_hexagon", "a", "gis.tiles(), a stage for each 'z'", None, None, False, None),
        (3, "c", "h3_hexagon", "b", "1", 0, 0, True, None),
    ]
    assert run(calls.explain_plan("tiles"))[0].note == "the count of stage a is not there"

    job_id = run(calls.submit_job("tiles", {"n": 2}, dedupe_key="once"))
    assert run(calls.submit_job("tiles", {"n": 2}, dedupe_key="once")) == job_id
    done = run(calls.advance_job(job_id))
    assert done == (job_id, "advanced", "running", 1, 2, "a: 2 tasks")
    assert run(calls.advance_job(job_id)).status == "nothing to make"
    client.end_stage_of(job_id, 1, result={"n": 5})
    assert run(calls.stage_results_by_name(job_id, "a")) == [
        (1, None, 1, {"n": 5}),
        (1, None, 2, {"n": 5}),
    ]
    assert run(calls.advance_job(job_id)).note == "b 1: 1 tasks, b 2: 1 tasks"
    client.end_stage_of(job_id, 2)
    client.end_stage_of(job_id, 4)
    assert run(calls.stage_results_by_name(job_id, "b")) == [(2, "1", 1, None), (4, "2", 1, None)]
    assert run(calls.advance_job(job_id)).job_status == "completed"


def test_a_plan_that_cannot_go_on_says_so_without_an_exception(client: Client, run: Any) -> None:
    stages = [{"name": "a", "task_type": "h3_hexagon", "count": "$.parameters.n"}]
    run(calls.define_job_type("tiles", {"stages": stages}))
    job_id = run(calls.submit_job("tiles"))
    failed = run(calls.advance_job(job_id))
    assert failed[1:] == ("failed", "created", None, 0, "the count of stage a is not there")
    assert client.job(job_id).error.startswith("SB145: ")


def plan_of(*stages: dict[str, Any]) -> Call[int]:
    given = [{"name": "a", "task_type": "h3_hexagon", "count": 1} | stage for stage in stages]
    return calls.define_job_type("tiles", {"stages": given})


REFUSED = {
    PlanRefused: plan_of({"count": "many"}),
    PlanCycle: plan_of({"after": ["b"]}, {"name": "b"}),
    NoPlan: calls.submit_job("none"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_of_a_plan_has_a_class_of_its_own(run: Any, kind: type) -> None:
    with pytest.raises(kind):
        run(REFUSED[kind])


def test_a_plan_s_function_that_is_not_there_is_refused(run: Any) -> None:
    stage = {"name": "a", "task_type": "h3_hexagon", "tasks": "gis.none"}
    with pytest.raises(PlanFunctionRefused, match="there is no function gis"):
        run(calls.define_job_type("tiles", {"stages": [stage]}))


def test_the_stages_of_a_job_with_a_plan_are_nobody_else_s(run: Any) -> None:
    run(plan_of({}))
    job_id = run(calls.submit_job("tiles"))
    with pytest.raises(JobHasPlan):
        run(calls.create_stage_tasks(job_id, 1, "h3_hexagon", 1))
    with pytest.raises(JobHasPlan):
        run(calls.finish_job(job_id))


def test_a_refusal_names_its_code_the_rule_and_the_way_out(run: Any) -> None:
    with pytest.raises(JobNotFound) as caught:
        run(calls.finish_job(UUID(int=0)))
    refused: CallRefused = caught.value
    assert refused.code == "SB101"
    assert f"job {UUID(int=0)} does not exist" in refused.message
    assert refused.detail
    assert refused.hint
    assert f"`{refused.code}`" in DOCUMENT.read_text("utf-8")


def test_there_is_an_exception_for_each_code_of_the_document() -> None:
    documented = re.findall(r"^\| `(SB\d{3})` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert sorted(BY_CODE) == documented


def test_another_error_of_the_server_stays_what_it_is(run: Any) -> None:
    job_id = run(calls.create_job("tiles"))
    with pytest.raises(psycopg.errors.UndefinedTable):
        run(calls.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", "select * from nothing"))


def test_there_is_a_call_for_each_function_for_many_and_for_no_other() -> None:
    """One task goes through the call for many; stages are filled by the forms that open them."""
    audiences = {"producer", "worker", "operator"}
    functions = {name for name, roles in MAY_EXECUTE.items() if roles & audiences}
    parts = {
        "api_version", "append_numbered_tasks", "append_tasks", "begin_stage", "open_stage",
        "raise_error", "summarise_stage",
    }  # fmt: skip
    one_task = {"start_task", "heartbeat_task", "complete_task", "fail_task"}
    settings = {
        "set_task_type", "set_destination", "pause_destination", "resume_destination",
        "set_retention", "stop_retention", "set_priority", "set_rate_limit",
        "set_limit",
    }  # fmt: skip
    upkeep = {
        "due_jobs", "maintain", "working_orders", "recount_stage", "reconcile", "drop_expired",
        "retention_status", "archive_job", "mark_archived",
    }  # fmt: skip
    asked = {
        "clock", "depth_of_destination", "doctor", "findings_of_server", "findings_of_settings",
        "findings_of_work", "forget_bridge", "leased_batches", "verify_job", "why_stuck",
    }  # fmt: skip
    waiting = {
        "publish_and_wait", "publish_and_wait_async", "wait_for_publication",
        "wait_for_publication_async",
    }  # fmt: skip
    made = {name for name in calls.__all__ if re.fullmatch(r"[a-z_]+", name)}
    others = parts | one_task | settings | upkeep | asked
    assert made - {"call", "call_async"} - waiting == functions - others
