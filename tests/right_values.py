"""For each argument of each function a value with which the functions work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from psycopg.types.json import Jsonb

from tests.client import MINUTE, Client

#: What a bridge calls with what it has claimed.
CLAIMED = (
    "batch_messages", "extend_lease", "record_send", "finish_batch", "release_batch", "fail_batch",
    "fail_unsendable_task",
)  # fmt: skip

#: Where the job that works is another one than that whose tasks run.
JOB = {
    "advance_job": "planned",
    "append_tasks": "filling",
    "append_numbered_tasks": "filling",
    "seal_stage": "filling",
    "publish_stage": "unpublished",
    "publication": "provisional",
    "withdraw_stage": "provisional",
    "mark_archived": "ended",
    "hold_batch": "held",
    "unhold_batch": "held",
    "retry_batch": "held",
    **dict.fromkeys(CLAIMED, "claimed"),
}


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str


def parameters(client: Client, function: str) -> list[Parameter]:
    rows = client.rows(
        "select a.name, format_type(a.kind, null) as kind from pg_proc as p"
        " cross join lateral unnest("
        "  p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]),"
        "  coalesce(p.proargmodes, array_fill('i'::\"char\", array[p.pronargs::integer])))"
        " as a (name, kind, mode)"
        " where p.pronamespace = 'stagebus'::regnamespace and p.proname = %s and a.mode = 'i'",
        function,
    )
    return [Parameter(*row) for row in rows]


def right_values(client: Client) -> dict[str, Any]:
    """A value for each parameter; and further jobs, for the functions in JOB."""
    client.set_task_type("work", batch_size=2, max_attempts=1)
    published = client.published_stage(6, "work", {"n": 1})
    job_id = published.job_id
    token = uuid4()
    client.start_all(published.messages[:4], token)
    client.fail_task(published.task_ids[3], token)
    claimed = client.create_job()
    client.create_stage_tasks(claimed, 1, "work", 2)
    (claim,) = [each for each in client.claim_batches(100) if each.job_id == claimed]
    client.open_stage(filling := client.create_job(), 1, "work")
    client.append_numbered_tasks(filling, 1, 3)
    held = client.create_job()
    client.create_stage_tasks(held, 1, "work", 2)
    batch_id = client.batches(held)[0].batch_id
    order = client.order("cancel_job", filling)
    client.open_stage(unpublished := client.create_job(), 1, "work")
    client.append_numbered_tasks(unpublished, 1, 3)
    published_so = client.provisional_stage(3, "work").job_id
    first = published.messages[0]
    plan = {"stages": [{"name": "a", "task_type": "work", "count": 1}]}
    client.define_job_type(plan, "tiles")
    planned = client.submit_job("tiles")
    client.finish_job(ended := client.create_job())
    return {
        "p_job_id": job_id, "p_stage": 1, "p_task_type": "work", "p_batch_id": batch_id,
        "p_job_type": "tiles", "p_task_count": 3, "p_tasks": [Jsonb({"k": 1}), Jsonb({"k": 2})],
        "p_query": "select '{\"k\": 1}'::jsonb", "p_parameters": Jsonb({"n": 1}),
        "p_if_exists": "error", "p_order_id": order.order_id, "p_limit": 10,
        "p_task_id": first.task_id, "p_task_ids": [first.task_id], "p_token": token,
        "p_attempt": 1, "p_attempts": [1], "p_nonce": first.nonce, "p_nonces": [first.nonce],
        "p_error": "why", "p_errors": ["why"], "p_destination": "tasks", "p_priority": 7,
        "p_per_second": 10.0, "p_what": "stage_tasks", "p_value": 1000, "results": [Jsonb({})],
        "p_plan": Jsonb(plan), "p_name": "a", "planned": planned,
        "filling": filling, "held": held, "unpublished": unpublished, "provisional": published_so,
        "ended": ended,
        "claimed": claimed, "claimed_batch": claim.batch_id, "p_bridge_id": client.bridge_id,
        "p_host": "here", "p_pid": 7, "p_version": "0", "p_code_digest": "", "p_lease": MINUTE,
        "p_from": 0, "p_claim_epoch": claim.claim_epoch, "p_after_index": 0, "p_first_index": 1,
        "p_last_index": 2, "p_messages": 2, "p_bytes": 200, "p_duration": timedelta(seconds=1),
        "p_outcome": "accepted", "p_delay": timedelta(0), "p_reason": None,
        "p_destination_is": None, "p_max_attempts": 10, "p_task_index": 1,
        "p_job_ids": [claimed], "p_batch_ids": [claim.batch_id],
        "p_claim_epochs": [claim.claim_epoch], "p_published_through": [0], "p_sends": [0],
        "p_settled": [False], "p_sequence_numbers": [1], "p_message_ids": [first.message_id],
        "p_reasons": ["why"], "p_descriptions": ["how"], "p_delivery_counts": [10],
        "p_enqueued_at": [client.now()], "p_body_bytes": [100], "p_sqlstate": "SB116",
        "p_message": "what", "p_detail": "why", "p_hint": "how", "p_keep": timedelta(days=30),
    }  # fmt: skip


def usual_arguments(client: Client, function: str, right: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call that works, by name; options are left out."""
    given = parameters(client, function)
    usual = {each.name: right[each.name] for each in given if each.name in right}
    if function in JOB:
        usual["p_job_id"] = right[JOB[function]]
    if function in CLAIMED:
        usual["p_batch_id"] = right["claimed_batch"]
    if function == "record_send":
        usual["p_error"] = None
    missing = [each.name for each in given if each.name.startswith("p_") and each.name not in usual]
    assert missing == [], f"there is no value for these of {function}"
    return usual
