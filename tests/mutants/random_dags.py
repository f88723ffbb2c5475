"""Defects of plans that jobs of random plans come upon, or a cancelling that is taken back."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RANDOM = "tests/plans/random_dags/test_random_dags.py"
BY_HAND = f"{RANDOM}::test_advanced_by_hand_from_three_sessions"
CROWD = f"{RANDOM}::test_advanced_by_six_threads_at_once"
TAKING_BACK = "tests/plans/test_taking_back.py"

MUTANTS = (
    Mutant(
        "a-failed-stage-is-over-if-nobody-is-asked",
        "sql/15_plan/ready_stages.sql",
        "s.state = 'failed')\n",
        "s.state = 'failed' and s.on_failure = 'wait')\n",
        "a stage begins although one that it waits for has failed",
        (BY_HAND, CROWD),
    ),
    Mutant(
        "a-stage-without-tasks-is-acted-on-and-nobody-looks-behind-it",
        "sql/15_plan/advance_job.sql",
        "                        and s.stage <> all (v_made) and s.ended_at is not null);\n",
        "                        and s.stage <> all (v_made) and s.ended_at is null);\n",
        "the job stays for ever before a stage whose predecessor had no tasks",
        (BY_HAND,),
    ),
    Mutant(
        "what-another-session-advances-is-advanced-beside-it",
        "sql/15_plan/advance_job.sql",
        "    for update skip locked;\n",
        "    ;\n",
        "two bridges make the same stages: one of them fails, and the job waits for its next try",
        (BY_HAND, CROWD),
    ),
    Mutant(
        "a-job-is-not-looked-at-again-under-its-lock",
        "sql/15_plan/lock_advanced_job.sql",
        "    if v_job.cancelling <> p_job.cancelling\n",
        "    if false and v_job.cancelling <> p_job.cancelling\n",
        "a stage of a job that was cancelled meanwhile is published",
        (CROWD, "tests/plans/test_advancing_at_once.py"),
    ),
    Mutant(
        "a-failure-that-waits-for-an-operator-ends-the-job",
        "sql/15_plan/nothing_runs.sql",
        "s.state = 'failed' and s.on_failure = 'wait'",
        "s.state = 'failed' and s.on_failure is null",
        "the final stage runs and the job fails before anybody could mend it",
        (BY_HAND,),
    ),
    Mutant(
        "a-failed-stage-is-an-error-among-others",
        "sql/15_plan/planned_end_state.sql",
        "            then 'failed'\n",
        "            then 'completed_with_errors'\n",
        "a job of which a stage failed says that it completed",
        (BY_HAND,),
    ),
    Mutant(
        "a-repair-s-end-makes-nobody-look",
        "sql/40_workers/end_stage.sql",
        "    elsif v_job.planned and v_job.ended_at is null then\n",
        "    elsif v_job.planned and v_job.ended_at is null and not v_stage.repair then\n",
        "a job that waited for a repair never ends",
        (TAKING_BACK,),
    ),
    Mutant(
        "a-job-that-runs-again-is-not-due",
        "sql/50_operate/reopen_job.sql",
        "    if found and v_planned then\n",
        "    if found and v_planned and v_last.stage is null then\n",
        "a job whose cancelling is taken back stays where it is",
        (TAKING_BACK,),
    ),
    Mutant(
        "a-group-is-made-without-the-tolerance-of-its-stage",
        "sql/15_plan/make_planned_stage.sql",
        "p_planned.name, null, p_planned.tolerated_failures, p_planned.on_failure);",
        "p_planned.name);",
        "a stage fails that tolerates its failures",
        (BY_HAND,),
    ),
    Mutant(
        "a-job-goes-past-a-retry-that-was-ordered",
        "sql/50_operate/being_retried.sql",
        "            and o.state = 'working');\n",
        "            and false);\n",
        "what waits for a stage begins with the results that it is about to replace",
        (BY_HAND, TAKING_BACK),
    ),
    Mutant(
        "a-job-whose-cancelling-is-stopped-is-not-due",
        "sql/50_operate/go_on_with_job.sql",
        "    if v_planned then\n",
        "    if false then\n",
        "what ended just before waits for the end of another stage",
        (TAKING_BACK,),
    ),
    Mutant(
        "a-job-with-many-ends-hides-others",
        "sql/15_plan/due_jobs.sql",
        "                where o.job_id = d.job_id and o.planned\n",
        "                where o.job_id = d.job_id and not o.planned\n",
        "no bridge sees the jobs behind one of which a hundred stages have ended",
        (TAKING_BACK,),
    ),
)
