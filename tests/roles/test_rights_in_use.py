"""The privileges as the roles meet them, beyond what the matrix reads from the catalog."""

from __future__ import annotations

import psycopg
import pytest

from tests.client import Client
from tests.conftest import CALLER
from tests.roles.test_matrix import MAY_EXECUTE, ROLES

#: For the owner alone: the parts that the other functions are made of.
INTERNAL = {
    "account_for_tasks",
    "add_job",
    "add_stage",
    "advance_after_retry",
    "begin_cancelling",
    "begin_order",
    "begin_removal",
    "begin_withdrawal",
    "being_retried",
    "call_plan_function",
    "causes_before_publishing",
    "causes_in_advancing",
    "causes_in_batches",
    "causes_in_publishing",
    "causes_in_working",
    "check_jobs_in_flight",
    "check_keep",
    "check_limit",
    "check_message_size",
    "check_nesting",
    "check_plan",
    "check_plan_function",
    "check_plan_order",
    "check_plan_stage",
    "check_results",
    "check_stage_tasks",
    "confirm_stage",
    "count_ended_tasks",
    "count_reopened_tasks",
    "count_sends",
    "current_dispatch",
    "cut_atomic_batches",
    "cut_batches",
    "digits_up_to",
    "drop_partition",
    "end_attempts",
    "end_cancelled_job",
    "end_job",
    "end_lost_attempts",
    "end_order",
    "end_overdue_stages",
    "end_stage",
    "ends_that_are_due",
    "ensure_partition",
    "fail_advance",
    "final_stage",
    "final_stage_fails",
    "first_job_id_at",
    "forget_statements",
    "gather_retries",
    "go_on_with_job",
    "group_of",
    "group_value_of",
    "hint_bridges",
    "holds_back",
    "is_removal_due",
    "is_task_id",
    "job_id_of",
    "job_message",
    "judged_messages",
    "keep_counts",
    "last_end_of_job",
    "latest_plan",
    "lay_out_stage",
    "limit_of",
    "lock_advanced_job",
    "lock_batch",
    "lock_counters",
    "lock_filling_stage",
    "lock_order",
    "lock_stage",
    "lock_tasks",
    "make_due",
    "make_grouped_stages",
    "make_planned_stage",
    "measure_many_tasks",
    "message_bytes",
    "message_frame",
    "message_head",
    "message_head_bytes",
    "messages_on_queue",
    "misplaced_tasks",
    "new_job_id",
    "next_stage_number",
    "note_turn",
    "nothing_is_stuck",
    "nothing_runs",
    "number_tasks",
    "numbered_bytes",
    "open_for_work",
    "open_tasks",
    "owner_of_plan",
    "pack_sends",
    "parse_message_ids",
    "parse_task_ids",
    "plan_context",
    "plan_function_name",
    "places_of_tasks",
    "planned_before",
    "planned_count",
    "planned_end_state",
    "planned_skip",
    "planned_waits_for",
    "publish_again",
    "publish_job_message",
    "queued_batches",
    "ready_stages",
    "record_unreported_send",
    "remove_rows",
    "remove_stage",
    "reopen_job",
    "reopen_stage",
    "repair_counters",
    "repair_ends",
    "repair_tasks",
    "report_advance",
    "report_order",
    "report_publication",
    "republish_unstarted",
    "require_kept_job",
    "require_planned_job",
    "require_read_committed",
    "result_limit",
    "retryable_tasks",
    "running_in_batch",
    "skip_stage",
    "slot_of",
    "stage_end_state",
    "stage_of",
    "stages_before",
    "take_task_keys",
    "take_turns",
    "task_id",
    "task_index_of",
    "task_weeks",
    "turns_per_task",
    "unstarted_places",
    "unstarted_tasks",
    "went_past",
    "withdraw_overdue_stage",
    "withdraw_overdue_stages",
    "withdraw_provisional",
    "work_cancelling",
    "work_retry_batch",
    "work_retry_tasks",
    "work_withdrawal",
}


def test_every_function_is_in_one_of_the_two_lists_and_has_one_signature(client: Client) -> None:
    names = client.column(
        "select proname from pg_proc where pronamespace = 'stagebus'::regnamespace"
    )
    assert sorted(names) == sorted([*MAY_EXECUTE, *INTERNAL])


def test_a_granted_function_works_and_others_are_refused(client: Client) -> None:
    published = client.published_stage()
    calls = {
        "producer": lambda session: session.create_stage_tasks(session.create_job()),
        "bridge": lambda session: session.claim_batches(1),
        "worker": lambda session: session.start_all(published.messages, session.bridge_id),
        "operator": lambda session: session.set_task_type("new"),
        "monitor": lambda session: session.progress(published.job_id),
    }
    for role in ROLES:
        session = client.session(f"stagebus_{role}")
        for audience, call in calls.items():
            reads = audience == "monitor" and role in ("producer", "operator")
            if role == audience or reads:
                call(session)
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    call(session)
        assert session.value("select stagebus.api_version()") >= 1


def test_a_role_without_a_grant_can_do_nothing(client: Client, caller: Client) -> None:
    client.execute(f"revoke stagebus_producer from {CALLER}")
    for query in (
        "select stagebus.api_version()",
        "select stagebus.create_job('tiles')",
        "select * from stagebus.jobs",
        "select * from stagebus_data.jobs",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            caller.execute(query)


def test_no_role_is_a_member_of_another(client: Client) -> None:
    assert client.rows(
        "select m.member::regrole, m.roleid::regrole from pg_auth_members as m"
        " where m.member::regrole::text = any(%s)",
        [f"stagebus_{role}" for role in (*ROLES, "owner", "nobody")],
    ) == [("stagebus_owner", "stagebus_nobody")]


def test_no_role_may_use_a_sequence_or_make_objects(client: Client) -> None:
    for role in ROLES:
        assert client.row(
            "select has_schema_privilege(r.name, 'stagebus', 'create') as a,"
            " has_schema_privilege(r.name, 'stagebus_data', 'create') as b,"
            " bool_or(has_sequence_privilege(r.name, c.oid, 'usage, select, update')) as c"
            " from pg_class as c cross join (select 'stagebus_' || %s as name) as r"
            " where c.relnamespace = 'stagebus_data'::regnamespace and c.relkind = 'S'"
            " group by r.name",
            role,
        ) == (False, False, False)


@pytest.mark.parametrize("definer", [True, False])
def test_only_functions_that_need_the_owners_rights_have_them(
    client: Client, definer: bool
) -> None:
    """What a role may call runs as the owner; the parts run as whoever came that far."""
    names = set(
        client.column(
            "select proname from pg_proc where pronamespace = 'stagebus'::regnamespace"
            " and prosecdef = %s",
            definer,
        )
    )
    if definer:
        sweeps = {"end_lost_attempts", "gather_retries", "republish_unstarted"}
        sweeps |= {"ensure_partition", "end_overdue_stages", "withdraw_overdue_stages"}
        assert names <= {*MAY_EXECUTE, *sweeps, "call_plan_function"}
    else:
        pure = {"api_version", "raise_error", "create_stage_tasks_from_query"}
        # What the server shows depends on who asks.
        pure |= {"doctor", "findings_of_server", "findings_of_settings"}
        assert names & set(MAY_EXECUTE) == pure
