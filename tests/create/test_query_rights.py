"""A caller's query runs with the caller's rights: no less, and never more."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from tests.client import Client
from tests.conftest import CALLER


@pytest.fixture
def job_id(caller: Client) -> UUID:
    return caller.create_job()


def parameters_of_tasks(client: Client) -> list[dict[str, object]]:
    return client.column("select parameters from stagebus_data.tasks order by task_index")


def test_a_function_in_the_query_runs_as_the_caller(
    client: Client, caller: Client, job_id: UUID
) -> None:
    client.execute(
        "create function public.who() returns jsonb language plpgsql as $$ begin"
        " return jsonb_build_object('current', current_user, 'session', session_user); end $$"
    )
    query = "select public.who() from generate_series(1, 2)"
    caller.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    who = {"current": CALLER, "session": CALLER}
    assert parameters_of_tasks(client) == [who, who]


def test_a_function_in_a_later_chunk_runs_as_the_caller_too(
    client: Client, caller: Client, job_id: UUID
) -> None:
    query = "select jsonb_build_object('who', current_user) from generate_series(1, 20002)"
    caller.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert client.column("select distinct parameters ->> 'who' from stagebus_data.tasks") == [
        CALLER
    ]


def test_a_table_that_only_the_caller_may_read_is_read(
    client: Client, caller: Client, job_id: UUID
) -> None:
    client.execute("create table public.mine as select 7 as n")
    client.execute("revoke all on public.mine from public")
    client.execute(f"grant select on public.mine to {CALLER}")
    assert not client.value("select has_table_privilege('stagebus_owner', 'public.mine', 'select')")
    query = "select to_jsonb(mine) from public.mine"
    assert caller.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query).tasks == 1
    assert parameters_of_tasks(client) == [{"n": 7}]


@pytest.mark.parametrize("form", ["table", "view", "function", "temporary view"])
def test_a_table_that_only_the_owner_may_read_is_not(
    client: Client, caller: Client, job_id: UUID, form: str
) -> None:
    client.execute("create table public.theirs as select 7 as n")
    client.execute("grant select on public.theirs to stagebus_owner")
    client.execute("create view public.seen with (security_invoker) as table public.theirs")
    client.execute("grant select on public.seen to public")
    client.execute(
        "create function public.told() returns jsonb language sql as"
        " 'select to_jsonb(t) from public.theirs as t'"
    )
    query = {
        "table": "select to_jsonb(t) from public.theirs as t",
        "view": "select to_jsonb(t) from public.seen as t",
        "function": "select public.told()",
        "temporary view": "select to_jsonb(t) from pg_temp.peek as t",
    }[form]
    if form == "temporary view":
        caller.execute("create temp view peek as table public.theirs")
        caller.execute("grant select on peek to public")
    before = client.contents()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        caller.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert client.contents() == before


def test_the_tables_of_stagebus_are_not_readable_by_the_query(caller: Client, job_id: UUID) -> None:
    for query in (
        "select to_jsonb(j) from stagebus_data.jobs as j",
        "select jsonb_build_object('id', stagebus.new_job_id())",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            caller.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)


def test_the_callers_own_objects_do_not_come_before_ours(
    client: Client, caller: Client, job_id: UUID
) -> None:
    """What the caller puts in front of pg_catalog, or in pg_temp, changes nothing."""
    client.execute(f"create schema trap authorization {CALLER}")
    for function in ("count(jsonb)", "format(text, text)", "to_json(text)", "clock()"):
        caller.execute(
            f"create function trap.{function} returns text language plpgsql as"
            " $$ begin raise exception 'trapped'; end $$"
        )
    caller.execute(
        "create function trap.differ(bigint, integer) returns boolean language plpgsql as"
        " $$ begin raise exception 'trapped'; end $$"
    )
    caller.execute(
        "create operator trap.<> (leftarg = bigint, rightarg = integer, procedure = trap.differ)"
    )
    for table in ("jobs", "stages", "tasks", "batches", "task_types", "test_clock"):
        caller.execute(f"create temp table {table} (trapped integer)")
    caller.execute("set search_path = trap, pg_temp, pg_catalog, stagebus")
    query = "select jsonb_build_object('n', n) from generate_series(1, 3) as n"
    assert caller.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query).tasks == 3
    assert client.task_states(job_id) == {"pending_queue": 3}
