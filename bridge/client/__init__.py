"""Typed calls of the functions in SQL, for a controller or a worker in Python.

    job_id = call(connection, create_job("tiles", {"zoom": 5}))
    call(connection, create_stage_tasks(job_id, 1, "render", 1_000_000))
    job_id = await call_async(connection, create_job("tiles"))
    job_id = call(connection, submit_job("tile_pyramid", {"box": [5.5, 43.5, 16.5, 48.5]}))

Each function makes a `Call`: its SQL, its arguments, and what becomes of its rows. `call` and
`call_async` run it over a psycopg connection of the caller's, in the caller's transaction. An error
of stagebus is raised as its class in `bridge.client.refusals`: `except JobEnded:`. One task or a
million go through the same call. Parameters and results are JSON whose numbers keep their value
(exact_json). What each function does, locks and raises is said by its comment in SQL:
`\\df+ stagebus.*` in psql. `publish_and_wait` and `wait_for_publication` alone make connections of
their own.
"""

from bridge.client.call import Call, Parameters, call, call_async
from bridge.client.operator import (
    Order,
    Repair,
    cancel_job,
    cancel_stage,
    hold_batch,
    redrive,
    repair_job,
    retry_batch,
    retry_tasks,
    set_stage,
    stop_order,
    undo_order,
    unhold_batch,
    work_order,
)
from bridge.client.plans import (
    Advance,
    PlannedStage,
    StageResult,
    advance_job,
    define_job_type,
    explain_plan,
    stage_results_by_name,
    submit_job,
)
from bridge.client.producer import (
    Estimate,
    Publication,
    StageSummary,
    create_job,
    create_stage_tasks,
    create_stage_tasks_from_array,
    create_stage_tasks_from_query,
    estimate_stage_tasks,
    finish_job,
    publication,
    publish_stage,
    seal_stage,
    stage_results,
    withdraw_stage,
)
from bridge.client.publishing import (
    publish_and_wait,
    publish_and_wait_async,
    wait_for_publication,
    wait_for_publication_async,
)
from bridge.client.worker import (
    FailedTask,
    StartedTask,
    complete_tasks,
    fail_tasks,
    heartbeat_tasks,
    start_tasks,
)

__all__ = [
    "Advance",
    "Call",
    "Estimate",
    "FailedTask",
    "Order",
    "Parameters",
    "PlannedStage",
    "Publication",
    "Repair",
    "StageResult",
    "StageSummary",
    "StartedTask",
    "advance_job",
    "call",
    "call_async",
    "cancel_job",
    "cancel_stage",
    "complete_tasks",
    "create_job",
    "create_stage_tasks",
    "create_stage_tasks_from_array",
    "create_stage_tasks_from_query",
    "define_job_type",
    "estimate_stage_tasks",
    "explain_plan",
    "fail_tasks",
    "finish_job",
    "heartbeat_tasks",
    "hold_batch",
    "publication",
    "publish_and_wait",
    "publish_and_wait_async",
    "publish_stage",
    "redrive",
    "repair_job",
    "retry_batch",
    "retry_tasks",
    "seal_stage",
    "set_stage",
    "stage_results",
    "stage_results_by_name",
    "start_tasks",
    "stop_order",
    "submit_job",
    "undo_order",
    "unhold_batch",
    "wait_for_publication",
    "wait_for_publication_async",
    "withdraw_stage",
    "work_order",
]
