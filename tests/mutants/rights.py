"""Defects of who may do what, and of the indexes in migrations/ that hot calls rely on."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MATRIX = "tests/roles/test_matrix.py"
PLANS = "tests/dispatch/test_plans.py"
LEFTOVERS = "tests/plans/test_plan_function_leftovers.py"

MUTANTS = (
    Mutant(
        "a-function-of-the-owner-follows-the-callers-search-path",
        "sql/40_workers/heartbeat_task.sql",
        "set search_path = stagebus_data, stagebus, pg_temp\n",
        "",
        "whoever calls it runs functions of its own as the owner",
        (
            f"{MATRIX}::test_every_search_path_is_pinned_but_of_a_callers_query_and_of_what_is_inlined",
        ),
    ),
    Mutant(
        "the-callers-temporary-tables-come-first",
        "sql/30_settle/finish_batch.sql",
        "set search_path = stagebus_data, stagebus, pg_temp\n",
        "set search_path = stagebus_data, stagebus\n",
        "a temporary table named batches is looked at before ours",
        (
            f"{MATRIX}::test_every_search_path_is_pinned_but_of_a_callers_query_and_of_what_is_inlined",
        ),
    ),
    Mutant(
        "everyone-may-call-everything",
        "sql/90_roles/grants.sql",
        "revoke all on all functions in schema stagebus from public;\n",
        "",
        "any login that reaches the schema cancels jobs",
        (f"{MATRIX}::test_public_has_nothing",),
    ),
    Mutant(
        "workers-may-settle-batches",
        "sql/90_roles/grants.sql",
        "    stagebus.fail_task(text, uuid, text, boolean)\nto stagebus_worker;\n",
        "    stagebus.fail_task(text, uuid, text, boolean),\n"
        "    stagebus.finish_batch(uuid, uuid, integer)\nto stagebus_worker;\n",
        "a worker's login can mark as queued what was never sent",
        (f"{MATRIX}::test_each_role_may_call_exactly_what_the_table_says",),
    ),
    Mutant(
        "a-callers-query-runs-as-the-owner",
        "sql/10_create/create_stage_tasks_from_query.sql",
        "security invoker\n",
        "security definer\n",
        "a producer reads every table of stagebus, and more",
        ("tests/create/test_query_rights.py::test_a_function_in_the_query_runs_as_the_caller",),
    ),
    Mutant(
        "a-plan-s-function-may-leave-a-cursor",
        "sql/15_plan/call_plan_function.sql",
        "        from pg_settings as s\n"
        "        union all\n"
        "        select format('left the cursor %s=%s', c.name, c.creation_time)"
        " from pg_cursors as c\n",
        "        from pg_settings as s\n",
        "a cursor with hold is read at the commit, as whoever advances the job",
        (f"{LEFTOVERS}::test_what_would_be_run_later_is_refused",),
    ),
    Mutant(
        "what-a-plan-s-function-prepares-stays-after-an-error",
        "sql/15_plan/advance_job.sql",
        "        when others or query_canceled or assert_failure then\n"
        "            perform stagebus.forget_statements(v_known);\n",
        "        when others or query_canceled or assert_failure then\n",
        "a client that executes its own statement runs another's",
        (f"{LEFTOVERS}::test_a_statement_that_it_prepares_is_not_there_for_the_client",),
    ),
    Mutant(
        "the-limit-of-all-is-before-a-role-s-own",
        "sql/10_create/limit_of.sql",
        "order by l.role = 'public'\n",
        "order by l.role <> 'public'\n",
        "no role can be allowed more than the others, or less",
        ("tests/operate/test_limits.py::test_a_role_s_own_limit_is_before_that_of_all",),
    ),
    Mutant(
        "a-limit-is-that-of-whoever-advances",
        "sql/10_create/check_stage_tasks.sql",
        "(select j.created_by from jobs as j where j.job_id = p_stage.job_id)",
        "session_user",
        "the bridge's limit counts for every plan, and a team's for none",
        (
            "tests/operate/test_limits.py"
            "::test_the_tasks_of_a_plan_count_for_whoever_submitted_the_job",
        ),
    ),
    Mutant(
        "waiting-batches-are-indexed-by-seq-alone",
        "migrations/0004.batches-and-sends.sql",
        "on stagebus_data.batches (destination, seq) where state = 'pending_queue';\n",
        "on stagebus_data.batches (seq) where state = 'pending_queue';\n",
        "a claim walks over the batches of every paused destination",
        (f"{PLANS}::test_a_creation_looks_for_one_waiting_batch",),
    ),
    Mutant(
        "leases-have-no-index",
        "migrations/0004.batches-and-sends.sql",
        "on stagebus_data.batches (lease_until) where lease_until is not null;\n",
        "on stagebus_data.batches (seq) where lease_until is not null;\n",
        "every claim looks at every lease that holds",
        (f"{PLANS}::test_a_claim_does_not_look_at_leases_that_hold",),
    ),
    Mutant(
        "tasks-are-indexed-by-state",
        "migrations/0003.jobs-stages-tasks.sql",
        "-- Only for a stage that names the parameter which tells its tasks apart.\n",
        "create index if not exists tasks_by_state\n"
        "    on stagebus_data.tasks (job_id, state);\n\n"
        "-- Only for a stage that names the parameter which tells its tasks apart.\n",
        "every start and completion writes an index entry, and no update is HOT",
        ("tests/workers/test_hot_updates.py",),
    ),
)
