"""Nothing that a caller puts before ours is run by what runs as the owner; each call is tried."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.client import Client
from tests.conftest import CALLER
from tests.right_values import parameters, right_values, usual_arguments
from tests.roles.test_matrix import MAY_EXECUTE, ROLES
from tests.roles.traps import set_casts, set_traps


@pytest.fixture
def attacker(client: Client, caller: Client) -> Client:
    """A session of a role that may call everything, and owns nothing of ours."""
    for role in ROLES:
        client.execute(f"grant stagebus_{role} to {CALLER}")
    return caller


def qualified(kind: str) -> str:
    """A type's name that means PostgreSQL's, whatever the path."""
    name, array, _ = kind.partition("[]")
    spelled = {
        "timestamp with time zone": "timestamptz", "integer": "int4", "bigint": "int8",
        "boolean": "bool", "double precision": "float8",
    }  # fmt: skip
    return f"pg_catalog.{spelled.get(name, name)}{array}"


def outcome(session: Client, call: str, values: list[Any]) -> str:
    """What became of a call that is rolled back: done, or the error's code and message."""
    try:
        with session.transaction(roll_back=True):
            session.execute("set local statement_timeout = '20s'")
            session.execute(call, *values)
    except psycopg.Error as error:
        return f"{error.sqlstate}: {error.diag.message_primary}"
    return "done"


def calls(client: Client) -> dict[str, tuple[str, list[Any]]]:
    """A call of each function that works."""
    right = right_values(client)
    made = {}
    for function in sorted(MAY_EXECUTE):
        kinds = {each.name: qualified(each.kind) for each in parameters(client, function)}
        arguments = usual_arguments(client, function, right)
        named = ", ".join(f"{name} => %s::{kinds[name]}" for name in arguments)
        made[function] = (f"select stagebus.{function}({named})", list(arguments.values()))
    return made


def test_no_call_meets_what_its_caller_put_before_ours(client: Client, attacker: Client) -> None:
    made = calls(client)
    before = {function: outcome(attacker, *call) for function, call in made.items()}
    assert Counter(result == "done" for result in before.values())[True] > 60, before
    set_traps(client, attacker, CALLER)
    assert (
        client.value("select count(*) from pg_proc where pronamespace = 'trap'::regnamespace") > 500
    )
    after = {function: outcome(attacker, *call) for function, call in made.items()}
    assert after == before


def test_no_view_does(client: Client, attacker: Client) -> None:
    right_values(client)
    views = client.column(
        "select c.relname from pg_class as c"
        " where c.relnamespace = 'stagebus'::regnamespace and c.relkind = 'v'"
    )
    set_traps(client, attacker, CALLER)
    for view in views:
        assert attacker.column(f"select v from stagebus.{view} as v") is not None


def test_the_traps_catch_a_function_without_a_path(client: Client, attacker: Client) -> None:
    """Else the two before prove nothing."""
    made = calls(client)
    set_traps(client, attacker, CALLER)
    client.execute(
        "do $$ declare v_function regprocedure; begin"
        " for v_function in select p.oid from pg_proc as p"
        " where p.pronamespace = 'stagebus'::regnamespace and p.prosecdef"
        " loop execute format('alter function %s reset search_path', v_function); end loop; end $$"
    )
    after = Counter(outcome(attacker, *call) for call in made.values())
    assert after["P0001: trapped as stagebus_owner"] > 25, after
    assert after["done"] < 20, after


def test_casts_of_the_caller_s_own_run_as_the_caller(client: Client, attacker: Client) -> None:
    right = right_values(client)
    set_casts(client, attacker, CALLER)
    notices: list[str] = []
    attacker.connection.add_notice_handler(
        lambda notice: notices.append(str(notice.message_primary))
    )
    for function in sorted(MAY_EXECUTE):
        kinds = {each.name: each.kind for each in parameters(client, function)}
        arguments = usual_arguments(client, function, right)
        own = {
            name
            for name, value in arguments.items()
            if kinds[name] in ("text", "uuid", "jsonb", "integer", "bigint") and value is not None
        }
        named = ", ".join(
            f"{name} => row(%s)::bait.mine" if name in own else f"{name} => %s::{kinds[name]}"
            for name in arguments
        )
        values = [text_of(value) if name in own else value for name, value in arguments.items()]
        result = outcome(attacker, f"select stagebus.{function}({named})", values)
        assert result == "done" or result.startswith("SB"), (function, result)
    assert Counter(notices).keys() == {f"cast as {CALLER}"}
    assert len(notices) > 100


def text_of(value: Any) -> str:
    return "{}" if isinstance(value, Jsonb) else str(value)
