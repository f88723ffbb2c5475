"""A plan's functions are its owner's code: with its owner's rights, and never with more."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.conftest import CALLER
from tests.plans.functions import create_function, returning

ME = CALLER
GROUP = f"{CALLER}_group"
PLAN = [{"name": "t", "task_type": "tile", "tasks": "gis.tiles"}]
ONE = "return query select jsonb_build_object('n', 1);"


def error_of(client: Client, session: Client) -> str:
    """Submits a job, which cannot advance; what is on the job then."""
    job_id = session.submit_job()
    assert session.advance_job(job_id).status == "failed"
    job = client.job(job_id)
    assert job.failing_stage == "t"
    assert job.why == "stage t cannot be made from gis.tiles"
    assert client.rows("select * from stagebus.stages where job_id = %s", job_id) == []
    # Nobody else is harmed: another job of another plan goes on in the same session.
    client.define_job_type([{"name": "a", "task_type": "tile", "count": 2}], "another")
    other = session.submit_job("another")
    assert session.advance_job(other).status == "advanced"
    error: str = job.error
    return error


REFUSED = {
    "not there": (None, "there is no function"),
    "security invoker": (
        "create function gis.tiles(uuid, jsonb) returns setof jsonb language sql"
        " set search_path = gis, pg_temp as $$ select '{}'::jsonb $$",
        "security definer",
    ),
    "without a path": (
        "create function gis.tiles(uuid, jsonb) returns setof jsonb language sql"
        " security definer as $$ select '{}'::jsonb $$",
        "pg_temp last",
    ),
    "pg_temp not named": (
        "create function gis.tiles(uuid, jsonb) returns setof jsonb language sql"
        " security definer set search_path = gis as $$ select '{}'::jsonb $$",
        "pg_temp last",
    ),
    "pg_temp first": (
        "create function gis.tiles(uuid, jsonb) returns setof jsonb language sql"
        " security definer set search_path = pg_temp, gis as $$ select '{}'::jsonb $$",
        "pg_temp last",
    ),
    "a schema that ends like it": (
        "create function gis.tiles(uuid, jsonb) returns setof jsonb language sql"
        " security definer set search_path = gis, my_pg_temp as $$ select '{}'::jsonb $$",
        "pg_temp last",
    ),
    "one row": (
        "create function gis.tiles(uuid, jsonb) returns jsonb language sql"
        " security definer set search_path = gis, pg_temp as $$ select '{}'::jsonb $$",
        "setof jsonb",
    ),
    "other rows": (
        "create function gis.tiles(uuid, jsonb) returns setof text language sql"
        " security definer set search_path = gis, pg_temp as $$ select '{}'::text $$",
        "setof jsonb",
    ),
    "other arguments": (
        "create function gis.tiles(text, jsonb) returns setof jsonb language sql"
        " security definer set search_path = gis, pg_temp as $$ select '{}'::jsonb $$",
        "there is no function",
    ),
    "a procedure": (
        "create procedure gis.tiles(uuid, jsonb) language sql as $$ select '{}'::jsonb $$",
        "setof jsonb",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_function_that_a_plan_may_not_call_is_refused_at_definition(
    client: Client, team: Client, case: str
) -> None:
    statement, says = REFUSED[case]
    if statement:
        team.execute(statement)
    with client.refused("SB142") as caught:
        team.define_job_type(PLAN)
    diag = caught.value.diag
    assert says in f"{diag.message_primary}. {diag.message_detail}"
    assert "gis" in str(diag.message_hint) or "docs/plans.md" in str(diag.message_hint)


@pytest.mark.parametrize("name", ["tiles", "a.b.c", "gis.tiles()", "gis.", "", "gis.ti les", "1"])
def test_a_function_is_named_with_its_schema_and_nothing_else(
    client: Client, team: Client, name: str
) -> None:
    with client.refused("SB142"):
        team.define_job_type([{"name": "t", "task_type": "tile", "tasks": name}])


def test_a_name_that_needs_quotes_is_found_and_called(client: Client, team: Client) -> None:
    name = '"gis"."Tiles; drop"'
    returning(team, "select '{}'::jsonb", name)
    team.define_job_type([{"name": "t", "task_type": "tile", "tasks": name}])
    assert team.advance_job(team.submit_job()).tasks == 1


def test_what_the_calling_role_may_not_execute_is_refused_and_the_grants_are_named(
    client: Client, team: Client
) -> None:
    create_function(team, "gis.tiles", ONE)
    team.execute("revoke all on function gis.tiles from public")
    team.execute("revoke all on schema gis from stagebus_nobody")
    with client.refused("SB142") as caught:
        team.define_job_type(PLAN)
    for grant in str(caught.value.diag.message_hint).split(";")[:2]:
        team.execute(grant)
    assert team.define_job_type(PLAN) == 1
    assert team.advance_job(team.submit_job()).tasks == 1


def test_a_function_of_another_role_is_refused(client: Client, team: Client) -> None:
    create_function(client, "gis.tiles", ONE)
    with client.refused("SB142") as caught:
        team.define_job_type(PLAN)
    assert "rights of its owner postgres" in str(caught.value.diag.message_detail)


def test_functions_of_two_roles_are_refused(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", ONE)
    create_function(client, "gis.more", ONE)
    with client.refused("SB142") as caught:
        client.define_job_type([*PLAN, PLAN[0] | {"name": "m", "tasks": "gis.more"}])
    assert "belongs to the owner of the plan" in str(caught.value.diag.message_detail)


def test_a_function_of_the_owner_of_stagebus_is_refused(client: Client, team: Client) -> None:
    client.execute("grant all on schema gis to stagebus_owner")
    create_function(client, "gis.tiles", ONE)
    client.execute("alter function gis.tiles owner to stagebus_owner")
    with client.refused("SB142") as caught:
        client.define_job_type(PLAN)
    assert "not that of stagebus" in str(caught.value.diag.message_detail)


def test_it_runs_as_its_owner_whoever_advances_the_job(client: Client, team: Client) -> None:
    returning(
        team,
        "select jsonb_build_object('current', current_user, 'path',"
        " current_setting('search_path'))",
    )
    team.define_job_type(PLAN)
    job_id = team.submit_job()
    assert client.advance_job(job_id).tasks == 1
    assert client.task(f"{job_id}-s1-1").parameters == {"current": ME, "path": "gis, pg_temp"}


ALTERED = {
    "security invoker": (
        "alter function gis.tiles(uuid, jsonb) security invoker",
        "It is security definer.",
    ),
    "without a path": (
        "alter function gis.tiles(uuid, jsonb) reset search_path",
        "Its search_path is pinned",
    ),
    "another's": (
        "alter function gis.tiles(uuid, jsonb) owner to postgres",
        f"It belongs to the owner of the plan, {ME}, not to postgres.",
    ),
    "stagebus' own": (
        "alter function gis.tiles(uuid, jsonb) owner to stagebus_owner",
        "Its owner is not that of stagebus.",
    ),
    "gone": ("drop function gis.tiles(uuid, jsonb)", "there is no function gis.tiles"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_a_function_that_was_altered_since_is_not_called(
    client: Client, team: Client, case: str
) -> None:
    statement, says = ALTERED[case]
    create_function(team, "gis.tiles", ONE)
    team.define_job_type(PLAN)
    client.execute(statement)
    assert says in error_of(client, team)


def test_an_invoker_function_would_have_no_rights_at_all(client: Client, team: Client) -> None:
    """The second line of defence: one altered between the look and the call gains nothing."""
    client.execute("create table public.secret as select 1 as n")
    client.execute("revoke all on public.secret from public")
    create_function(
        team,
        "gis.tiles",
        "return query select to_jsonb(current_user::text) union all"
        " select to_jsonb(has_table_privilege('public.secret', 'select')) union all"
        " select to_jsonb(has_schema_privilege('stagebus_data', 'usage'));",
        attributes="security invoker",
    )
    answers = client.column(
        "select * from stagebus.call_plan_function('gis.tiles', gen_random_uuid(), '{}')"
    )
    assert answers == ["stagebus_nobody", False, False]


def test_the_calling_role_has_no_rights(client: Client) -> None:
    member_of = client.column(
        "select roleid::regrole::text from pg_auth_members"
        " where member = 'stagebus_nobody'::regrole"
    )
    owned = client.column("select proname from pg_proc where proowner = 'stagebus_nobody'::regrole")
    attributes = client.row(
        "select rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls"
        " from pg_roles where rolname = 'stagebus_nobody'"
    )
    schemas = client.row(
        "select has_schema_privilege('stagebus_nobody', 'stagebus', 'usage') as code,"
        " has_schema_privilege('stagebus_nobody', 'stagebus', 'create') as making,"
        " has_schema_privilege('stagebus_nobody', 'stagebus_data', 'usage') as tables"
    )
    assert member_of == []
    assert owned == ["call_plan_function"]
    assert not any(attributes)
    assert not any(schemas)


def test_one_that_raises(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "raise division_by_zero;")
    team.define_job_type(PLAN)
    assert error_of(client, team).startswith("22012: ")


def test_one_that_raises_a_code_of_ours(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "raise exception 'meanwhile' using errcode = 'SB146';")
    team.define_job_type(PLAN)
    assert error_of(client, team) == "SB146: meanwhile"


def test_one_that_raises_what_would_have_it_tried_at_once_does_not_spin(
    client: Client, team: Client
) -> None:
    create_function(team, "gis.tiles", "raise exception 'meanwhile' using errcode = 'SB123';")
    team.define_job_type(PLAN)
    assert error_of(client, team) == "SB123: meanwhile"


def test_one_that_raises_an_assertion(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "assert false, 'never';")
    team.define_job_type(PLAN)
    assert error_of(client, team) == "P0004: never"


NO_OBJECTS = {
    "null": "null::jsonb",
    "JSON null": "'null'::jsonb",
    "a number": "'7'::jsonb",
    "an array": "'[{}]'::jsonb",
    "a text": "'\"x\"'::jsonb",
}


@pytest.mark.parametrize("case", NO_OBJECTS)
@pytest.mark.parametrize("grouped", [False, True])
def test_one_that_returns_no_object(client: Client, team: Client, case: str, grouped: bool) -> None:
    create_function(
        team,
        "gis.tiles",
        "return query select '{\"z\": 1}'::jsonb from generate_series(1, 11000);"
        f" return next {NO_OBJECTS[case]};".replace("return next", "return query select"),
    )
    team.define_job_type([PLAN[0] | ({"group_by": "z"} if grouped else {})])
    error = error_of(client, team)
    assert error.startswith("SB110: the parameters of ")
    assert ("task 11001" in error) is not grouped


def test_one_that_loops_for_ever_ends_with_the_statement(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "loop end loop;")
    team.define_job_type({"stages": PLAN, "timeout": "1 second"})
    assert client.value("select timeout::text from stagebus.plans") == "00:00:01"
    client.execute("set statement_timeout = '300ms'")
    team.execute("set statement_timeout = '300ms'")
    assert error_of(client, team).startswith("57014: ")


def test_one_that_tries_to_set_the_role(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "set role stagebus_owner; " + ONE)
    team.define_job_type(PLAN)
    assert error_of(client, team).startswith("42501: ")


def test_one_that_tries_to_set_the_role_by_a_function(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "perform set_config('role', 'stagebus_owner', true); " + ONE)
    team.define_job_type(PLAN)
    assert error_of(client, team).startswith("42501: ")


def test_one_that_tries_to_set_the_session_s_authorization(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "set session authorization postgres; " + ONE)
    team.define_job_type(PLAN)
    assert error_of(client, team).startswith("42501: ")


FORBIDDEN = {
    "a table of ours": "select 1 from stagebus_data.jobs",
    "a table of another": "select 1 from public.secret",
    "a function of ours": "select stagebus.end_job(p_job_id, 'completed')",
    "the calling function": "select stagebus.call_plan_function('gis.tiles', p_job_id, '{}')",
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_one_that_reads_what_its_owner_may_not(client: Client, team: Client, case: str) -> None:
    client.execute("create table public.secret as select 1 as n")
    client.execute("revoke all on public.secret from public")
    create_function(team, "gis.tiles", f"perform 1 from ({FORBIDDEN[case]}) as x; {ONE}")
    team.define_job_type(PLAN)
    assert error_of(client, team).startswith("42501: permission denied")


def test_one_that_ends_its_own_transaction(client: Client, team: Client) -> None:
    create_function(team, "gis.tiles", "commit; " + ONE)
    team.define_job_type(PLAN)
    assert error_of(client, team).startswith("2D000: ")


def test_one_whose_operator_or_table_is_shadowed_in_the_session_still_means_its_own(
    client: Client, team: Client
) -> None:
    team.execute("create table gis.region as select 'alps' as name")
    returning(team, "select to_jsonb(r) from region as r")
    team.define_job_type(PLAN)
    client.execute("create temporary table region as select 'nowhere' as name")
    client.execute("grant select on region to public")
    job_id = team.submit_job()
    assert client.advance_job(job_id).tasks == 1
    assert client.task(f"{job_id}-s1-1").parameters == {"name": "alps"}


def test_the_name_of_a_function_is_never_run_as_sql(client: Client, team: Client) -> None:
    client.execute("create table public.kept (n int)")
    returning(team, "select '{}'::jsonb", 'gis."x(null,null); drop table public.kept; --"')
    team.define_job_type(
        [{"name": "t", "task_type": "tile",
          "tasks": 'gis."x(null,null); drop table public.kept; --"'}]
    )  # fmt: skip
    assert team.advance_job(team.submit_job()).tasks == 1
    assert client.value("select to_regclass('public.kept') is not null")


def test_a_group_of_roles_may_own_a_plan_s_functions(client: Client, team: Client) -> None:
    client.execute(f"drop role if exists {GROUP}")
    client.execute(f"create role {GROUP}")
    try:
        client.execute(f"grant {GROUP} to {ME}")
        client.execute(f"grant all on schema gis to {GROUP}")
        create_function(team, "gis.tiles", ONE)
        team.execute(f"alter function gis.tiles owner to {GROUP}")
        team.define_job_type(PLAN)
        assert client.value("select owner from stagebus.plans") == GROUP
        assert team.advance_job(team.submit_job()).tasks == 1
    finally:
        client.execute(f"drop owned by {GROUP}")
        client.execute(f"drop role {GROUP}")


def test_one_that_sets_the_path_of_the_functions_around_it_is_refused_before_it_matters(
    client: Client, team: Client
) -> None:
    """Without the look after each call, this one makes its owner's code run as stagebus_owner."""
    team.execute("create table gis.trap (who text)")
    team.execute("grant all on gis.trap to public")
    team.execute("grant usage on schema gis to public")
    team.execute(
        "create function gis.append_tasks(uuid, integer, jsonb[]) returns integer language sql as"
        " $$ insert into gis.trap values (current_user); select 1 $$"
    )
    team.execute(
        "create function gis.set_config(text, text, boolean) returns text language sql as"
        " $$ insert into gis.trap values (current_user); select '' $$"
    )
    team.execute(
        "create function gis.current_setting(text) returns text language sql as"
        " $$ insert into gis.trap values (current_user); select '' $$"
    )
    create_function(
        team,
        "gis.tiles",
        "perform pg_catalog.set_config('search_path', 'gis, pg_catalog, stagebus_data, stagebus',"
        " false); return query select '{}'::jsonb;",
    )
    team.define_job_type(PLAN)
    path = client.value("show search_path")
    job_id = team.submit_job()
    assert client.advance_job(job_id).status == "failed"
    assert client.column("select who from gis.trap") == []
    assert client.value("show search_path") == path
    assert client.job(job_id).error.startswith(
        "SB142: function gis.tiles changed the session's search_path"
    )


CHANGES = {
    "statement_timeout": "perform set_config('statement_timeout', '0', false)",
    "TimeZone": "set time zone 'Pacific/Auckland'",
    "synchronous_commit": "perform set_config('synchronous_commit', 'local', true)",
    "standard_conforming_strings": "set local standard_conforming_strings = off",
    "search_path": "reset all",
}


@pytest.mark.parametrize("setting", CHANGES)
def test_one_that_changes_a_setting_is_refused(client: Client, team: Client, setting: str) -> None:
    client.execute("set statement_timeout = '1min'")
    team.execute("set statement_timeout = '1min'")
    create_function(team, "gis.tiles", f"{CHANGES[setting]}; {ONE}")
    team.define_job_type(PLAN)
    assert f"changed the session's {setting}\n" in error_of(client, team)


def test_one_may_have_settings_of_its_own(client: Client, team: Client) -> None:
    create_function(
        team,
        "gis.tiles",
        "set local work_mem = '123MB'; return query select to_jsonb(t) from"
        " (select current_setting('work_mem') as work_mem, current_setting('jit') as jit) as t;",
        attributes="security definer set search_path = gis, pg_temp set work_mem = '1MB'"
        " set jit = off",
    )
    team.define_job_type(PLAN)
    job_id = team.submit_job()
    assert team.advance_job(job_id).tasks == 1
    assert client.task(f"{job_id}-s1-1").parameters == {"work_mem": "123MB", "jit": "off"}
