"""Every role x every function, and nothing for PUBLIC."""

from __future__ import annotations

from tests.client import Client
from tests.sql_style import INLINED

EVERYONE = {"producer", "bridge", "worker", "operator", "monitor"}
PRODUCER = {"producer"}
BRIDGE = {"bridge"}
WORKER = {"worker"}

#: Who may call what; a function that is not here is for the owner alone.
MAY_EXECUTE: dict[str, set[str]] = {
    "api_version": EVERYONE,
    "create_job": PRODUCER,
    "open_stage": PRODUCER,
    "append_tasks": PRODUCER,
    "append_numbered_tasks": PRODUCER,
    "seal_stage": PRODUCER,
    "publish_stage": PRODUCER,
    "publication": {"producer", "operator"},
    "withdraw_stage": {"producer", "operator"},
    "begin_stage": PRODUCER,
    "summarise_stage": PRODUCER,
    "raise_error": PRODUCER,
    "create_stage_tasks": PRODUCER,
    "estimate_stage_tasks": {"producer", "operator"},
    "create_stage_tasks_from_array": PRODUCER,
    "create_stage_tasks_from_query": PRODUCER,
    "define_job_type": {"producer", "operator"},
    "explain_plan": {"producer", "operator"},
    "submit_job": PRODUCER,
    "advance_job": {"producer", "bridge", "operator"},
    "due_jobs": {"bridge", "operator"},
    "stage_results_by_name": {"producer", "operator"},
    "finish_job": {"producer", "operator"},
    "stage_results": {"producer", "operator"},
    "clock": {"producer", "operator", "monitor"},
    "depth_of_destination": {"producer", "operator", "monitor"},
    "leased_batches": {"producer", "operator", "monitor"},
    "why_stuck": {"producer", "operator", "monitor"},
    "doctor": {"operator", "monitor"},
    "findings_of_server": {"operator", "monitor"},
    "findings_of_settings": {"operator", "monitor"},
    "findings_of_work": {"operator", "monitor"},
    "report_bridge": BRIDGE,
    "forget_bridge": {"bridge", "operator"},
    "check_writes": BRIDGE,
    "claim_batches": BRIDGE,
    "batch_messages": BRIDGE,
    "extend_lease": BRIDGE,
    "record_send": BRIDGE,
    "finish_batch": BRIDGE,
    "release_batch": BRIDGE,
    "fail_batch": BRIDGE,
    "maintain": {"bridge", "operator"},
    "start_task": WORKER,
    "start_tasks": WORKER,
    "heartbeat_task": WORKER,
    "heartbeat_tasks": WORKER,
    "complete_task": WORKER,
    "complete_tasks": WORKER,
    "fail_task": WORKER,
    "fail_tasks": WORKER,
    "working_orders": {"operator"},
    "work_order": {"bridge", "operator"},
    "fail_order_step": BRIDGE,
    "fail_unsendable_task": BRIDGE,
    "dead_letter_queues": BRIDGE,
    "record_dead_letters": BRIDGE,
    "pause_destination": {"operator"},
    "resume_destination": {"operator"},
    "set_priority": {"operator"},
    "set_rate_limit": {"operator"},
    "set_limit": {"operator"},
    "retry_tasks": {"operator"},
    "redrive": {"operator"},
    "retry_batch": {"operator"},
    "hold_batch": {"operator"},
    "unhold_batch": {"operator"},
    "cancel_stage": {"operator"},
    "cancel_job": {"operator"},
    "set_stage": {"operator"},
    "stop_order": {"operator"},
    "undo_order": {"operator"},
    "recount_stage": {"operator"},
    "verify_job": {"operator"},
    "repair_job": {"operator"},
    "reconcile": {"operator"},
    "set_retention": {"operator"},
    "stop_retention": {"operator"},
    "retention_status": {"operator", "monitor"},
    "drop_expired": {"bridge", "operator"},
    "archive_job": {"operator"},
    "mark_archived": {"operator"},
    "set_task_type": {"operator"},
    "set_destination": {"operator"},
}

#: Every view is for these, to read.
MAY_READ_VIEWS = {"producer", "operator", "monitor"}

ROLES = sorted(EVERYONE)


def test_each_role_may_call_exactly_what_the_table_says(client: Client) -> None:
    rows = client.rows(
        "select p.proname, r.role, has_function_privilege('stagebus_' || r.role, p.oid, 'execute')"
        " from pg_proc as p cross join unnest(%s::text[]) as r (role)"
        " where p.pronamespace = 'stagebus'::regnamespace",
        ROLES,
    )
    assert rows
    wrong = [
        (function, role, "allowed" if allowed else "refused")
        for function, role, allowed in rows
        if allowed != (role in MAY_EXECUTE.get(function, set()))
    ]
    assert wrong == []
    assert {function for function, *_ in rows} >= set(MAY_EXECUTE), "the table names no ghosts"


def test_each_role_may_only_read_and_only_views(client: Client) -> None:
    rows = client.rows(
        "select c.relnamespace::regnamespace::text, c.relname, r.role, v.verb,"
        " has_table_privilege('stagebus_' || r.role, c.oid, v.verb)"
        " from pg_class as c cross join unnest(%s::text[]) as r (role)"
        " cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate',"
        " 'references', 'trigger']) as v (verb)"
        " where c.relnamespace in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"
        " and c.relkind in ('r', 'p', 'v', 'm')",
        ROLES,
    )
    wrong = [
        (schema, relation, role, verb)
        for schema, relation, role, verb, allowed in rows
        if allowed != (schema == "stagebus" and verb == "select" and role in MAY_READ_VIEWS)
    ]
    assert wrong == []


def test_public_has_nothing(client: Client) -> None:
    granted = client.rows(
        "select 'function', p.oid::regprocedure::text from pg_proc as p,"
        " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a"
        " where p.pronamespace in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"
        " and a.grantee = 0"
        " union all select 'relation', c.oid::regclass::text from pg_class as c,"
        " aclexplode(c.relacl) as a"
        " where c.relnamespace in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"
        " and a.grantee = 0"
        " union all select 'schema', n.nspname from pg_namespace as n, aclexplode(n.nspacl) as a"
        " where n.nspname in ('stagebus', 'stagebus_data') and a.grantee = 0"
        " union all select 'type', t.oid::regtype::text from pg_type as t"
        " left join pg_class as c on c.oid = t.typrelid,"
        " aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) as a"
        " where t.typnamespace in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"
        # The types of rows and of arrays follow their own.
        " and t.typelem = 0 and coalesce(c.relkind, 'c') = 'c' and a.grantee = 0"
    )
    assert granted == []


def test_only_the_owner_reaches_the_tables_schema(client: Client) -> None:
    may = client.rows(
        "select r.role from unnest(%s::text[]) as r (role)"
        " where has_schema_privilege('stagebus_' || r.role, 'stagebus_data', 'usage')",
        ROLES,
    )
    assert may == []


def test_everything_belongs_to_the_owner(client: Client) -> None:
    others = client.rows(
        "select p.oid::regprocedure::text from pg_proc as p"
        " where p.pronamespace = 'stagebus'::regnamespace"
        " and p.proowner <> 'stagebus_owner'::regrole and p.proname <> 'call_plan_function'"
        " union all select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"
        " and c.relowner <> 'stagebus_owner'::regrole"
    )
    assert others == []


def test_every_search_path_is_pinned_but_of_a_callers_query_and_of_what_is_inlined(
    client: Client,
) -> None:
    paths = dict(
        client.rows(
            "select p.proname, (select s.setting from unnest(p.proconfig) as s (setting)"
            " where s.setting like 'search_path=%%') from pg_proc as p"
            " where p.pronamespace = 'stagebus'::regnamespace"
        )
    )
    for name in ("create_stage_tasks_from_query", *INLINED):
        assert paths.pop(name) is None
    assert set(paths.values()) == {"search_path=stagebus_data, stagebus, pg_temp"}


def test_the_function_that_runs_a_callers_query_is_security_invoker(client: Client) -> None:
    rows = client.rows(
        "select p.prosecdef from pg_proc as p where p.proname = 'create_stage_tasks_from_query'"
    )
    assert rows == [(False,)]


def test_every_function_and_view_has_a_comment(client: Client) -> None:
    bare = client.rows(
        "select p.oid::regprocedure::text from pg_proc as p"
        " where p.pronamespace = 'stagebus'::regnamespace"
        " and obj_description(p.oid, 'pg_proc') is null"
        " union all select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace = 'stagebus'::regnamespace and c.relkind = 'v'"
        " and obj_description(c.oid, 'pg_class') is null"
    )
    assert bare == []


def test_the_roles_cannot_log_in_and_have_no_powers(client: Client) -> None:
    mighty = client.rows(
        "select rolname from pg_roles where rolname like 'stagebus\\_%%'"
        " and rolname = any(%s) and (rolcanlogin or rolsuper or rolcreatedb or rolcreaterole"
        " or rolreplication or rolbypassrls)",
        [f"stagebus_{role}" for role in (*ROLES, "owner")],
    )
    assert mighty == []
