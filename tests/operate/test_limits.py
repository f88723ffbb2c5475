"""set_limit: what a role may ask for at most."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest

from tests.client import FORMS, Client
from tests.conftest import CALLER
from tests.plans.functions import returning


def set_limit(client: Client, what: str, value: int | None, **options: str) -> None:
    named = "".join(f", {option} => %s" for option in options)
    client.execute(f"select stagebus.set_limit(%s, %s{named})", what, value, *options.values())


def test_what_is_set_at_first_is_far_from_work(client: Client, caller: Client) -> None:
    shown = "select what, role, value from stagebus.limits order by what"
    assert caller.rows(shown) == [
        ("job_parameter_bytes", None, 1_048_576),
        ("stage_parameter_bytes", None, 1_048_576),
        ("stage_tasks", None, 100_000_000),
    ]
    job_id = caller.create_job()
    with client.refused("SB127"):
        caller.create_stage_tasks(job_id, task_count=100_000_001)


@pytest.mark.parametrize("form", FORMS)
def test_a_stage_has_no_more_tasks_than_its_limit(client: Client, form: str) -> None:
    set_limit(client, "stage_tasks", 3)
    job_id = client.create_job()
    assert client.create_stage(form, job_id, seal=False).tasks == 3
    with client.refused("SB127") as caught:
        client.create_stage(form, job_id)
    diag = caught.value.diag
    assert diag.message_primary == f"stage 1 of job {job_id} would have 6 tasks"
    assert "The limit stage_tasks of role 'postgres' is 3" in str(diag.message_detail)
    assert client.seal_stage(job_id).tasks == 3


def test_the_hint_is_the_call_that_allows_it(client: Client, caller: Client) -> None:
    set_limit(client, "stage_tasks", 3)
    job_id = caller.create_job()
    with client.refused("SB127") as caught:
        caller.create_stage_tasks(job_id, task_count=4)
    client.execute("set search_path = stagebus")
    client.execute(str(caught.value.diag.message_hint).partition(": ")[2].rstrip("."))
    assert caller.create_stage_tasks(job_id, task_count=4).tasks == 4


def test_a_query_is_stopped_at_the_chunk_that_goes_beyond(client: Client) -> None:
    client.execute("create sequence public.read")
    set_limit(client, "stage_tasks", 5)
    query = "select jsonb_build_object('n', nextval('public.read')) from generate_series(1, 100000)"
    job_id = client.create_job()
    with client.refused("SB127"):
        client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert client.value("select last_value from public.read") < 20_000


def test_parameters_have_no_more_bytes_than_their_limits(client: Client) -> None:
    set_limit(client, "job_parameter_bytes", 13)
    set_limit(client, "stage_parameter_bytes", 10)
    job_id = client.create_job(parameters={"k": "1234"})
    with client.refused("SB127") as caught:
        client.create_job(parameters={"k": "12345"})
    assert caught.value.diag.message_primary == "the job's parameters have 14 bytes"
    with client.refused("SB127") as caught:
        client.open_stage(job_id, parameters={"k": "12"})
    assert caught.value.diag.message_primary == "the parameters of stage 1 have 11 bytes"
    client.open_stage(job_id, parameters={"k": "1"})


def test_a_role_has_no_more_jobs_in_flight_than_its_limit(client: Client, caller: Client) -> None:
    set_limit(client, "jobs_in_flight", 2)
    first = caller.create_job()
    running = caller.create_job(dedupe_key="again")
    caller.open_stage(running)
    with client.refused("SB127") as caught:
        caller.create_job()
    assert f"role '{CALLER}' has 2 jobs" in str(caught.value.diag.message_primary)
    # Those that there are, if the limit came later, and a limit that would do.
    set_limit(client, "jobs_in_flight", 1)
    with client.refused("SB127") as caught:
        caller.create_job()
    assert f"role '{CALLER}' has 2 jobs" in str(caught.value.diag.message_primary)
    assert "set_limit('jobs_in_flight', 3, " in str(caught.value.diag.message_hint)
    set_limit(client, "jobs_in_flight", 2)
    # The same job again is no further one, and another role has jobs of its own.
    assert caller.create_job(dedupe_key="again") == running
    client.create_job()
    caller.finish_job(first)
    caller.create_job()


def test_a_role_of_which_none_are_wanted_makes_none(client: Client, caller: Client) -> None:
    set_limit(client, "jobs_in_flight", 0, for_role=CALLER)
    with client.refused("SB127"):
        caller.create_job()
    client.create_job()


def test_the_role_is_who_logged_in_also_after_set_role(client: Client, caller: Client) -> None:
    set_limit(client, "jobs_in_flight", 0, for_role=CALLER)
    caller.execute("set role stagebus_producer")
    with client.refused("SB127"):
        caller.create_job()


def test_a_role_s_own_limit_is_before_that_of_all(client: Client, caller: Client) -> None:
    set_limit(client, "jobs_in_flight", 0)
    set_limit(client, "jobs_in_flight", 1, for_role=CALLER)
    caller.create_job()
    with client.refused("SB127"):
        client.create_job()
    set_limit(client, "jobs_in_flight", None, for_role=CALLER)
    with client.refused("SB127"):
        caller.create_job()
    set_limit(client, "jobs_in_flight", None)
    caller.create_job()


def test_the_tasks_of_a_plan_count_for_whoever_submitted_the_job(
    client: Client, caller: Client
) -> None:
    set_limit(client, "stage_tasks", 2, for_role=CALLER)
    client.define_job_type([{"name": "a", "task_type": "h3_hexagon", "count": 3}])
    theirs, ours = caller.submit_job(), client.submit_job()
    assert client.advance_job(ours).status == "advanced"
    assert client.advance_job(theirs).status == "failed"
    assert client.job(theirs).error.startswith(f"SB127: stage 1 of job {theirs} would have 3 tasks")
    set_limit(client, "stage_tasks", None, for_role=CALLER)
    assert client.advance_job(theirs).status == "advanced"


def bytes_of_tasks(client: Client) -> int:
    """Also of those whose transaction was rolled back, until they are vacuumed."""
    found: int = client.value(
        "select sum(pg_relation_size(inhrelid)) from pg_inherits"
        " where inhparent = 'stagebus_data.tasks'::regclass"
    )
    return found


def test_tasks_beyond_the_limit_are_not_stored_before_they_are_refused(client: Client) -> None:
    set_limit(client, "stage_tasks", 2)
    job_id, before = client.create_job(), bytes_of_tasks(client)
    with client.refused("SB127") as caught:
        client.create_stage_tasks_from_array(job_id, 1, "h3_hexagon", [{"n": 1}] * 20_000)
    assert "would have 20000 tasks" in str(caught.value.diag.message_primary)
    assert bytes_of_tasks(client) < before + 50_000


def test_a_plan_s_function_is_stopped_at_the_limit(client: Client, caller: Client) -> None:
    client.execute(f"create schema gis authorization {CALLER}")
    client.execute("grant usage on schema gis to stagebus_nobody")
    query = "select jsonb_build_object('n', n) from generate_series(1, 20000) as n"
    plan = [{"name": "a", "task_type": "h3_hexagon", "tasks": returning(caller, query)}]
    caller.define_job_type(plan)
    set_limit(client, "stage_tasks", 2)
    job_id, before = caller.submit_job(), bytes_of_tasks(client)
    assert client.advance_job(job_id).status == "failed"
    assert bytes_of_tasks(client) < before + 50_000
    error = caller.job(job_id).error
    assert error.startswith(f"SB127: stage 1 of job {job_id} would have 3 tasks or more")
    assert "set_limit('stage_tasks', …, " in error
    set_limit(client, "stage_tasks", 20_000)
    assert client.advance_job(job_id).status == "advanced"
    assert client.stage(job_id).tasks == 20_000


def test_each_group_of_a_plan_s_tasks_has_the_limit(client: Client, caller: Client) -> None:
    client.execute(f"create schema gis authorization {CALLER}")
    client.execute("grant usage on schema gis to stagebus_nobody")
    query = "select jsonb_build_object('z', n / 3) from generate_series(0, 4) as n"
    tiles = {"name": "a", "task_type": "h3_hexagon", "tasks": returning(caller, query)}
    caller.define_job_type([tiles | {"group_by": "z"}])
    set_limit(client, "stage_tasks", 2)
    job_id = caller.submit_job()
    assert client.advance_job(job_id).status == "failed"
    error = caller.job(job_id).error
    assert error.startswith(f"SB127: stage 1 of job {job_id} would have 3 tasks or more")
    set_limit(client, "stage_tasks", 3)
    assert client.advance_job(job_id).note == "a 0: 3 tasks, a 1: 2 tasks"


def test_two_sessions_at_the_limit_at_once_may_pass_it_by_what_is_not_committed(
    client: Client,
) -> None:
    """A limit is no count that everyone waits for: it holds again for the next one."""
    set_limit(client, "jobs_in_flight", 1)
    other = client.session()
    made = set[UUID]()
    with client.transaction(), other.transaction():
        made |= {client.create_job(), other.create_job()}
    assert len(made) == 2
    with client.refused("SB127"):
        other.create_job()


def test_a_limit_is_looked_up_along_an_index(client: Client) -> None:
    client.execute(
        "insert into stagebus_data.jobs (job_id, job_type, created_at, created_by)"
        " select gen_random_uuid(), 'tiles', now(), case when n % 1000 > 0 then 'somebody else'"
        " else 'postgres' end from generate_series(1, 20000) as n"
    )
    client.execute("vacuum analyze stagebus_data.jobs")
    set_limit(client, "jobs_in_flight", 10)
    # What a session has read in its own transaction, with nothing before it.
    session = client.session()
    with session.transaction(roll_back=True):
        with pytest.raises(psycopg.Error, match="has 20 jobs"), session.connection.transaction():
            session.execute("select stagebus.check_jobs_in_flight('postgres')")
        read = session.value(
            "select sum(pg_stat_get_xact_blocks_fetched(c)) from unnest(array["
            "'stagebus_data.jobs', 'stagebus_data.jobs_in_flight']::regclass[]) as c"
        )
        assert 0 < read < 50


@pytest.mark.parametrize(
    ("what", "value", "role"),
    [
        ("tasks", 1, "public"),
        ("stage_tasks", -1, "public"),
        ("stage_tasks", 1_000_000_000, "public"),
        ("stage_tasks", 1, "nobody who is there"),
    ],
)
def test_what_is_no_limit_is_refused(client: Client, what: str, value: int, role: str) -> None:
    with client.refused("SB116"):
        set_limit(client, what, value, for_role=role)


def test_a_group_has_no_limit_since_nobody_logs_in_as_it(client: Client, caller: Client) -> None:
    with client.refused("SB116") as caught:
        set_limit(client, "jobs_in_flight", 0, for_role="stagebus_producer")
    assert caught.value.diag.message_primary == "role 'stagebus_producer' does not log in"
    caller.create_job()
    # One that was set before can be taken away.
    set_limit(client, "jobs_in_flight", None, for_role="stagebus_producer")


def test_the_limit_of_a_role_that_is_gone_can_be_taken_away(client: Client, caller: Client) -> None:
    client.execute("insert into stagebus_data.limits values ('stage_tasks', 'gone', 1)")
    set_limit(client, "stage_tasks", None, for_role="gone")
    assert client.column("select role from stagebus.limits where role is not null") == []
