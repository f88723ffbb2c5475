"""Whatever is passed for whichever argument of whichever function: never a raw error.

Each argument of each function that a role may call is given each hostile value of its type, the
others being right. The call works, or raises an error of ours, whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.client import Client
from tests.right_values import parameters, right_values, usual_arguments
from tests.roles.test_matrix import MAY_EXECUTE

#: What only bridges call, with what the database told them: a null is a defect of theirs.
BRIDGES_OWN = {
    "check_writes",
    "report_bridge",
    "record_send",
    "extend_lease",
    "finish_batch",
    "release_batch",
    "fail_batch",
    "fail_unsendable_task",
    "batch_messages",
    "claim_batches",
    "record_dead_letters",
}
#: Shown to producers since their own functions call it; it raises what it is told to.
RAISES = {"raise_error"}

#: Functions that lock rows and then read what others have committed meanwhile.
READ_COMMITTED_ONLY = {
    "advance_job", "cancel_job", "cancel_stage", "complete_task", "complete_tasks", "drop_expired",
    "fail_task", "fail_tasks", "finish_job", "heartbeat_task", "heartbeat_tasks", "hold_batch",
    "maintain", "publish_stage", "redrive", "repair_job", "retry_batch", "retry_tasks",
    "set_priority", "set_stage", "start_task", "start_tasks", "stop_order", "undo_order",
    "unhold_batch", "withdraw_stage", "work_order",
}  # fmt: skip

TRIED = sorted(set(MAY_EXECUTE) - BRIDGES_OWN - RAISES)

LONG = "x" * 100_000
TEXTS = [
    None, "", " ", "%", "_", "\\", "%\\", "'; drop table jobs; --", '"', "ÿ🜁\u202e", "{}", "null",
    "-1", "0", "100%", "101%", "1e400%", "NaN", LONG, "error", "skip", "failed", "cancelled",
]  # fmt: skip
JSONS = [
    None, Jsonb(None), Jsonb([]), Jsonb("text"), Jsonb(1), Jsonb({}), Jsonb({"": None}),
    Jsonb({"k" * 5000: 1}), Jsonb({"index": {"deep": [1, 2]}}), Jsonb({"n": 10**300}),
]  # fmt: skip
INTERVALS = [
    None, timedelta(0), timedelta(seconds=-1), timedelta(microseconds=1), timedelta(days=400_000),
]  # fmt: skip
NUMBERS = [None, -1, 0, 1, 2, 32_767, 32_768, 2**31 - 1, -(2**31)]
UUIDS = [None, UUID(int=0), UUID(int=2**128 - 1), uuid4()]

HOSTILE: dict[str, list[Any]] = {
    "text": TEXTS,
    "uuid": UUIDS,
    "integer": NUMBERS,
    "bigint": [*NUMBERS, 2**63 - 1, -(2**63)],
    "boolean": [None, True, False],
    "double precision": [None, -1.0, 0.0, 1e-300, 0.001, 1e9, 1e300, math.inf, -math.inf, math.nan],
    "jsonb": JSONS,
    "interval": INTERVALS,
    "timestamp with time zone": [None, "-infinity", "infinity", "epoch", "294276-12-31"],
    "text[]": [None, [], [None], TEXTS, [LONG], ["a"] * 1000],
    "integer[]": [None, [], [None], [-1], [0], NUMBERS],
    "jsonb[]": [None, [], [None], [Jsonb(None)], JSONS, [Jsonb({})] * 1000],
}


@pytest.fixture
def right(client: Client) -> dict[str, Any]:
    return right_values(client)


def calls(client: Client, function: str, right: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usual = usual_arguments(client, function, right)
    yield usual
    for each in parameters(client, function):
        for value in HOSTILE[each.kind]:
            yield usual | {each.name: value}


@pytest.mark.parametrize("function", TRIED)
def test_no_value_of_any_argument_gets_a_raw_error(
    client: Client, right: dict[str, Any], function: str
) -> None:
    kinds = {each.name: each.kind for each in parameters(client, function)}
    raw = []
    for arguments in calls(client, function, right):
        named = ", ".join(f"{name} => %s::{kinds[name]}" for name in arguments)
        try:
            with client.transaction(roll_back=True):
                client.execute("set local statement_timeout = '20s'")
                client.execute(f"select stagebus.{function}({named})", *arguments.values())
        except psycopg.Error as error:
            # What a caller's own query raises comes through.
            if arguments.get("p_query") == right["p_query"] or "p_query" not in arguments:
                raw += [f"{why} <- {shorten(arguments)}" for why in what_is_raw(error)]
    assert raw == []


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_what_decides_on_rows_of_others_refuses_another_isolation_level(
    client: Client, right: dict[str, Any], isolation: str
) -> None:
    raw, refused = list[str](), set[str]()
    for function in TRIED:
        kinds = {each.name: each.kind for each in parameters(client, function)}
        arguments = next(calls(client, function, right))
        named = ", ".join(f"{name} => %s::{kinds[name]}" for name in arguments)
        try:
            with client.transaction(isolation, roll_back=True):
                client.execute(f"select stagebus.{function}({named})", *arguments.values())
        except psycopg.Error as error:
            raw += [f"{function}: {why}" for why in what_is_raw(error)]
            refused |= {function} if error.sqlstate == "SB115" else set()
    assert raw == []
    assert refused == READ_COMMITTED_ONLY


def what_is_raw(error: psycopg.Error) -> list[str]:
    whole = error.diag.message_detail and error.diag.message_hint
    if error.sqlstate is not None and error.sqlstate.startswith("SB") and whole:
        return []
    return [f"{error.sqlstate}: {str(error).splitlines()[0][:120]}"]


def shorten(arguments: dict[str, Any]) -> dict[str, str]:
    return {name: str(value)[:40] for name, value in arguments.items()}
