"""What a plan's function leaves in the session is never run as whoever advances the job."""

from __future__ import annotations

import psycopg
import pytest

from tests.client import Client
from tests.conftest import CALLER
from tests.plans.functions import create_function

PLAN = [{"name": "t", "task_type": "tile", "tasks": "gis.tiles"}]
ONE = "return query select jsonb_build_object('n', 1);"

#: What is there for the session when the function has returned, and runs gis.look() later.
LEFT = {
    "a cursor": ("declare c cursor for select gis.look()", "the cursor c"),
    "a cursor that outlives the transaction": (
        "declare c cursor with hold for select gis.look()",
        "the cursor c",
    ),
    "a type that is called like one of PostgreSQL's": (
        "create domain pg_temp.uuid as pg_catalog.uuid check (gis.look() = 1)",
        "the temporary type",
    ),
    "a view that is called like one of ours": (
        "create temporary view jobs as select gis.look()",
        "the temporary view",
    ),
    "a table that is called like one of ours": (
        "create temporary table jobs (n integer default gis.look()) on commit drop",
        "the temporary table",
    ),
}


@pytest.fixture
def look(team: Client) -> None:
    """A function, and a trigger's, that write down as whom they were run."""
    team.execute("create table gis.seen (who text)")
    team.execute("grant insert on gis.seen to public")
    team.execute("grant usage on schema gis to public")
    for name, returns, result in (("look", "integer", "1"), ("look_too", "trigger", "null")):
        team.execute(
            f"create function gis.{name}() returns {returns} language plpgsql as $$ begin"
            f" insert into gis.seen values (current_user); return {result}; end $$"
        )


@pytest.mark.parametrize("case", LEFT)
def test_what_would_be_run_later_is_refused(
    client: Client, team: Client, look: None, case: str
) -> None:
    statement, says = LEFT[case]
    create_function(team, "gis.tiles", f"execute '{statement}'; {ONE}")
    team.define_job_type(PLAN)
    job_id = team.submit_job()
    with client.transaction():
        assert client.advance_job(job_id).status == "failed"
        # As a client does that knows nothing of it.
        client.value("select %s::uuid", job_id)
        client.execute("select from stagebus.jobs")
    error = client.job(job_id).error
    assert error.startswith(f"SB142: function gis.tiles left {says}")
    assert client.column("select who from gis.seen") == []
    assert client.column("select name from pg_cursors where name = 'c'") == []
    assert client.value("select count(*) from pg_class where relnamespace = pg_my_temp_schema()"
                        " and relname = 'jobs'") == 0  # fmt: skip


def test_what_is_closed_and_dropped_in_the_function_is_fine(client: Client, team: Client) -> None:
    body = "create temporary table part as select 1 as n;"
    body += " return query select jsonb_build_object('n', n) from part; drop table part;"
    body += " execute 'declare c cursor for select 1'; execute 'close c';"
    create_function(team, "gis.tiles", body)
    team.define_job_type(PLAN)
    # What the caller has is the caller's.
    client.execute("create temporary table mine (n integer)")
    with client.transaction():
        client.execute("declare mine cursor for select 1")
        assert client.advance_job(team.submit_job()).tasks == 1
        assert client.value("fetch mine") == 1


def test_a_deferred_trigger_has_no_rights_of_whoever_advances(
    client: Client, team: Client, look: None
) -> None:
    """Before PostgreSQL 18 it is run as whoever is there when it fires, at the commit."""
    team.execute("create table gis.bait (n integer)")
    team.execute(
        "create constraint trigger late after insert on gis.bait deferrable initially deferred"
        " for each row execute function gis.look_too()"
    )
    create_function(team, "gis.tiles", f"insert into gis.bait values (1); {ONE}")
    team.define_job_type(PLAN)
    assert client.advance_job(team.submit_job()).tasks == 1
    (who,) = client.column("select who from gis.seen")
    assert who in (CALLER, "stagebus_nobody")


def test_a_deferred_constraint_that_fails_is_an_error_of_the_function(
    client: Client, team: Client
) -> None:
    team.execute("create table gis.parent (n integer primary key)")
    team.execute(
        "create table gis.child (n integer references gis.parent deferrable initially deferred)"
    )
    create_function(team, "gis.tiles", f"insert into gis.child values (1); {ONE}")
    team.define_job_type(PLAN)
    job_id = team.submit_job()
    assert client.advance_job(job_id).status == "failed"
    assert client.job(job_id).error.startswith("23503: ")


@pytest.mark.parametrize("then", [ONE, "raise division_by_zero;"])
def test_a_statement_that_it_prepares_is_not_there_for_the_client(
    client: Client, team: Client, look: None, then: str
) -> None:
    create_function(
        team,
        "gis.tiles",
        "if exists (select from pg_prepared_statements where name = 'mine') then"
        " execute 'deallocate mine'; end if;"
        " execute 'prepare mine as select gis.look()'; execute 'prepare \"another\" as select 1';"
        f" {then}",
    )
    team.define_job_type(PLAN)
    client.execute("prepare mine as select 7")
    client.execute("prepare kept as select 8")
    client.advance_job(team.submit_job())
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        client.execute("execute mine")
    assert client.value("execute kept") == 8
    assert client.column("select name from pg_prepared_statements") == ["kept"]
    assert client.column("select who from gis.seen") == []
