"""Defects of sql/15_plan: when a stage is made, and with whose rights."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

ADVANCING = "tests/plans/test_advance_job.py"
AT_ONCE = "tests/plans/test_advancing_at_once.py"
RETRIES = "tests/plans/test_retries_of_earlier_stages.py"
FUNCTIONS = "tests/plans/test_plan_functions.py"

MUTANTS = (
    Mutant(
        "a-failed-stage-is-over",
        "sql/15_plan/ready_stages.sql",
        "where s.ended_at is null or s.state = 'failed')\n",
        "where s.ended_at is null)\n",
        "what waits for a stage begins after it has failed",
        (
            f"{ADVANCING}::test_what_waits_for_a_failed_stage_never_begins_and_the_rest_runs_to_its_end",
        ),
    ),
    Mutant(
        "a-stage-begins-after-the-first-of-those-it-waits-for",
        "sql/15_plan/ready_stages.sql",
        "            left join stages as s on s.job_id = p_job_id and s.name = w.name\n",
        "            join stages as s on s.job_id = p_job_id and s.name = w.name\n",
        "a stage begins although one that it waits for has not even begun",
        (f"{ADVANCING}::test_a_stage_waits_for_all_that_it_names_and_others_run_beside_it",),
    ),
    Mutant(
        "only-what-is-named-in-after-is-waited-for",
        "sql/15_plan/stages_before.sql",
        "        exit when v_more is null;\n",
        "        exit;\n",
        "a stage counts the results of one that is about to run again, and is made with none",
        (
            f"{RETRIES}::test_a_stage_waits_for_the_retry_of_one_that_it_waits_for"
            "_by_way_of_another",
        ),
    ),
    Mutant(
        "what-ended-meanwhile-is-taken-too",
        "sql/15_plan/advance_job.sql",
        "d.job_id = p_job_id and (d.ctid = any (v_due) or d.stage = any (v_stages));",
        "d.job_id = p_job_id;",
        "the end of a stage that nobody looked at is forgotten, and its job never goes on",
        (f"{AT_ONCE}::test_stages_end_while_another_of_their_job_is_made_and_nobody_waits",),
    ),
    Mutant(
        "a-reopened-stage-is-relied-on",
        "sql/15_plan/lock_advanced_job.sql",
        "            where s.stage is null or stagebus.being_retried(s.job_id, s.stage))\n",
        "            where stagebus.being_retried(s.job_id, s.stage))\n",
        "the stage after one that runs again is made, and never sees what comes of it",
        (f"{AT_ONCE}::test_a_stage_that_is_reopened_while_the_next_is_made_has_that_undone",),
    ),
    Mutant(
        "a-stage-whose-retry-was-just-ordered-is-relied-on",
        "sql/15_plan/lock_advanced_job.sql",
        "            where s.stage is null or stagebus.being_retried(s.job_id, s.stage))\n",
        "            where s.stage is null)\n",
        "the stage after one that is to run again begins, though its operator was told otherwise",
        (f"{RETRIES}::test_a_retry_that_is_ordered_while_the_next_stage_is_made_has_that_undone",),
    ),
    Mutant(
        "a-stage-that-ended-twice-is-as-it-was",
        "sql/15_plan/lock_advanced_job.sql",
        "                and format('%s %s', s.stage, s.ended_at) = r.seen\n",
        "                and s.stage::text = split_part(r.seen, ' ', 1)\n",
        "a stage was made of counts that were taken back meanwhile",
        (f"{RETRIES}::test_a_retry_that_is_ordered_while_the_next_stage_is_made_has_that_undone",),
    ),
    Mutant(
        "a-cancelled-job-gets-another-stage",
        "sql/15_plan/lock_advanced_job.sql",
        "    if v_job.cancelling <> p_job.cancelling\n        or ",
        "    if ",
        "a stage of a job that was cancelled meanwhile is published",
        (f"{AT_ONCE}::test_a_cancelling_that_is_not_over_yet_has_what_is_being_made_undone_too",),
    ),
    Mutant(
        "a-group-has-no-limit",
        "sql/15_plan/make_grouped_stages.sql",
        "        order by g.tasks desc\n",
        "        order by g.tasks\n",
        "a plan's function fills the disk, since one of its groups is small",
        ("tests/operate/test_limits.py::test_each_group_of_a_plan_s_tasks_has_the_limit",),
    ),
    Mutant(
        "a-plan-s-function-defines-plans",
        "sql/15_plan/define_job_type.sql",
        "    if v_callers like '%call_plan_function(text,uuid,jsonb)%' then\n",
        "    if false then\n",
        "a team's function changes the plan of any team whose member advances its job",
        (
            "tests/plans/test_functions_that_call_stagebus.py"
            "::test_one_cannot_define_a_plan_as_whoever_advances_its_job",
        ),
    ),
    Mutant(
        "a-cancelled-job-is-not-tidied-up",
        "sql/40_workers/end_cancelled_job.sql",
        "    if not exists (select from stagebus.final_stage(p_job_id)) then\n",
        "    if true then\n",
        "the final stage does not run after a cancelling",
        (f"{ADVANCING}::test_the_final_stage_runs_after_a_cancelling_too",),
    ),
    Mutant(
        "a-stage-that-others-waited-for-reopens-its-job",
        "sql/50_operate/went_past.sql",
        "            and (ps.waits_for is null or s.name = any (ps.waits_for))\n",
        "            and ps.waits_for is null\n",
        "a retry of a stage that its job has gone past is taken for its first end",
        (
            f"{ADVANCING}::test_a_retry_of_a_stage_that_others_went_past_is_a_repair"
            "_and_the_job_waits_for_it",
        ),
    ),
    Mutant(
        "the-path-stays-the-functions",
        "sql/15_plan/call_plan_function.sql",
        "    perform pg_catalog.set_config("
        "'search_path', 'stagebus_data, stagebus, pg_temp', true);\n",
        "    return;\n",
        "a plan's function has our code call its own functions, as stagebus_owner",
        (
            f"{FUNCTIONS}::test_one_that_sets_the_path_of_the_functions_around_it_is_refused"
            "_before_it_matters",
        ),
    ),
    Mutant(
        "a-function-that-changed-hands-is-called",
        "sql/15_plan/check_plan_function.sql",
        "        when v_function.owner <> p_owner\n",
        "        when false\n",
        "a plan runs with the rights of a role that never defined it",
        (f"{FUNCTIONS}::test_a_function_that_was_altered_since_is_not_called",),
    ),
    Mutant(
        "anyone-s-function-may-be-planned",
        "sql/15_plan/owner_of_plan.sql",
        "    if not pg_has_role(session_user, v_owner::name, 'member') then\n",
        "    if false then\n",
        "whoever defines a plan gets the rights of any function's owner",
        (f"{FUNCTIONS}::test_a_function_of_another_role_is_refused",),
    ),
)
