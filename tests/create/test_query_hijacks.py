"""A caller's query that tries to become the owner: each way is tried, and stays the caller."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.client import Client
from tests.conftest import CALLER

WHO = "jsonb_build_object('current', current_user, 'session', session_user)"
ME = {"current": CALLER, "session": CALLER}


@pytest.fixture
def login(client: Client, caller: Client) -> Iterator[Client]:
    """A session in which the caller has logged in, and owns the schema `mine`."""
    client.execute(f"create schema mine authorization {CALLER}")
    with Client(make_conninfo(client.url, user=CALLER)) as session:
        session.execute(
            "create function mine.who() returns jsonb language plpgsql as"
            f" $$ begin return {WHO}; end $$"
        )
        yield session


def parameters_of_tasks(client: Client) -> list[object]:
    return client.column("select distinct parameters from stagebus_data.tasks")


#: Each makes what the query after it uses.
AS_THE_CALLER = {
    "a cursor that the query's function fetches": (
        "create function mine.fetched() returns jsonb language plpgsql as $$"
        " declare c refcursor := 'bait'; r jsonb; begin fetch c into r; return r; end $$",
        "select mine.fetched()",
    ),
    "a temporary function": (
        f"create function pg_temp.f() returns jsonb language sql as $$ select {WHO} $$",
        "select pg_temp.f()",
    ),
    "a temporary view": (
        "create temporary view peek as select mine.who() as who",
        "select who from pg_temp.peek",
    ),
    "an operator": (
        "create function mine.say(jsonb, jsonb) returns jsonb language sql as"
        " 'select mine.who()';"
        "create operator mine.|| (leftarg = jsonb, rightarg = jsonb, procedure = mine.say)",
        "select '{}'::jsonb operator(mine.||) '{}'::jsonb from generate_series(1, 20002)",
    ),
    "an implicit cast of the row to jsonb": (
        "create type mine.kind as enum ('a');"
        "create function mine.turn(mine.kind) returns jsonb language sql as 'select mine.who()';"
        "create cast (mine.kind as jsonb) with function mine.turn(mine.kind) as implicit;"
        "create function mine.turn_too(mine.kind) returns json language sql as"
        " 'select mine.who()::json';"
        "create cast (mine.kind as json) with function mine.turn_too(mine.kind) as implicit",
        "select 'a'::mine.kind from generate_series(1, 20002)",
    ),
    "a check of a domain": (
        "create function mine.agree(jsonb) returns boolean language plpgsql as"
        f" $$ begin if current_user <> '{CALLER}' then raise 'as %', current_user; end if;"
        " return true; end $$;"
        "create domain mine.checked as jsonb check (mine.agree(value))",
        "select mine.who()::mine.checked from generate_series(1, 20002)",
    ),
    "a row's policy": (
        "create table mine.guarded as select 1 as n;"
        "alter table mine.guarded force row level security, enable row level security;"
        "create function mine.may() returns boolean language plpgsql as"
        f" $$ begin return current_user = '{CALLER}'; end $$;"
        "create policy own on mine.guarded using (mine.may())",
        "select mine.who() from mine.guarded",
    ),
    "a function of its own that runs as its definer": (
        "create function mine.definer() returns jsonb language plpgsql security definer as"
        f" $$ begin return {WHO}; end $$",
        "select mine.definer()",
    ),
}


@pytest.mark.parametrize("case", AS_THE_CALLER)
def test_it_runs_as_the_caller(client: Client, login: Client, case: str) -> None:
    making, query = AS_THE_CALLER[case]
    login.execute(making)
    job_id = login.create_job()
    with login.transaction():
        login.execute("declare bait cursor for select mine.who()")
        login.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert parameters_of_tasks(client) == [ME]


#: Where PostgreSQL says no; each is a body of a function in the query.
REFUSED = {
    "set role": "set role stagebus_owner; return '{}'",
    "set role by a function": "perform set_config('role', 'stagebus_owner', true); return '{}'",
    "set session authorization": "set session authorization postgres; return '{}'",
    "a file of the server": "return to_jsonb(pg_read_file('PG_VERSION'))",
    "a function of ours": "perform stagebus.new_job_id(); return '{}'",
    "the clock": "insert into stagebus_data.test_clock values (true, 'epoch'); return '{}'",
    "altering ours": "alter function stagebus.clock() owner to current_user; return '{}'",
    "replacing ours": "create or replace function stagebus.clock() returns timestamptz"
    " language sql as 'select now()'; return '{}'",
    "a trigger on ours": "create trigger t before insert on stagebus_data.tasks"
    " for each row execute function suppress_redundant_updates_trigger(); return '{}'",
}  # fmt: skip


@pytest.mark.parametrize("security", ["invoker", "definer"])
def test_what_the_caller_may_not_is_refused_in_its_query_too(
    client: Client, login: Client, security: str
) -> None:
    job_id = login.create_job()
    before = client.contents()
    for case, body in REFUSED.items():
        login.execute(
            "create or replace function mine.tries() returns jsonb language plpgsql"
            f" security {security} as $$ begin {body}; end $$"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", "select mine.tries()")
        assert client.contents() == before, case


def test_a_role_that_the_query_sets_is_one_of_the_caller_s(client: Client, login: Client) -> None:
    login.execute(
        "create function mine.lesser() returns jsonb language plpgsql as"
        f" $$ begin set local role stagebus_producer; return {WHO}; end $$"
    )
    job_id = login.create_job()
    login.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", "select mine.lesser()")
    assert parameters_of_tasks(client) == [{"current": "stagebus_producer", "session": CALLER}]
