"""sql/psql/ in the real psql: it answers, it fits a terminal, it leaves the settings alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from bridge.cli import main
from bridge.printing import visible
from bridge.replay import code_files
from tests.client import Client
from tests.conftest import CALLER
from tests.observe import troubles
from tests.psql import psql_binary

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "sql" / "psql"
MONITOR = f"{CALLER}_monitor"

#: What it may take of a terminal.
WIDTH = 100

#: The longest that a name may be.
LONG = "n" * 100


@pytest.fixture
def monitor_url(client: Client, database_url: str) -> Iterator[str]:
    """As somebody who may only look."""
    client.execute(f"drop role if exists {MONITOR}")
    client.execute(f"create role {MONITOR} login in role stagebus_monitor")
    yield database_url.replace("user=postgres", f"user={MONITOR}")
    client.execute(f"drop role {MONITOR}")


@pytest.fixture
def long_and_large(client: Client) -> UUID:
    """Names as long as may be, and numbers that nobody will see; a job that nothing moves.

    But for the destination's name: a statement that mends something has it whole.
    """
    destination = "d" * 50
    client.set_destination(destination, entity="e" * 260)
    client.set_task_type(LONG, batch_size=1, destination=destination)
    client.execute("select stagebus.pause_destination(%s, %s)", destination, "why " + "x" * 500)
    client.execute("select stagebus.set_rate_limit(%s, 123456789.123)", destination)
    job_id = client.create_job(LONG)
    client.create_stage_tasks(job_id, 1, LONG, 20)
    client.execute("update stagebus_data.stages set name = %s", "s" * 63)
    client.execute("update stagebus_data.stages set task_count = 2000000000")
    client.execute("update stagebus_data.counter_groups set completed = 1500000000")
    client.execute(
        "update stagebus_data.stages set sealed_at = sealed_at - interval '1 ms' - interval '1 s'"
    )
    client.execute(
        "select stagebus.report_bridge(%s, %s, 2147483647, %s, 'x')", uuid4(), "h" * 60, "1" * 40
    )
    return job_id


def run(url: str, script: str, *options: str) -> list[str]:
    """The lines that it prints; fails with the first error."""
    done = subprocess.run(
        [
            *(psql_binary(), "-X", "-q", "-v", "ON_ERROR_STOP=1", *options),
            *("-c", "\\pset format aligned", "-f", SCRIPTS / f"{script}.sql", url),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("script", ["status", "top", "stuck", "doctor"])
def test_it_fits_a_terminal_whatever_the_names_and_numbers(
    monitor_url: str, long_and_large: UUID, script: str
) -> None:
    for options in ((), ("-v", f"job={long_and_large}")):
        lines = run(monitor_url, script, *options)
        assert len(lines) > 2
        assert max(map(len, lines)) <= WIDTH, "\n".join(lines)


def test_the_status_has_jobs_destinations_and_bridges(client: Client, monitor_url: str) -> None:
    published = client.published_stage(40, "process_raster")
    other = client.create_job("other")
    text = "\n".join(run(monitor_url, "status"))
    assert re.search(rf"^ {published.job_id} .*\n   tiles: running ", text, re.MULTILINE)
    assert re.search(
        r"^   1 process_raster: open +\| +40 \| +0 \| +40 \| +0 \| +0 \| +0.0$",
        text,
        re.MULTILINE,
    )
    assert re.search(r"^ tasks +\| active \| +0 \|", text, re.MULTILINE)
    assert str(other) in text
    assert str(other) not in "\n".join(run(monitor_url, "status", "-v", f"job={published.job_id}"))


def test_what_is_stuck_is_named_and_what_is_said_can_be_typed(
    client: Client, monitor_url: str
) -> None:
    client.execute("select stagebus.pause_destination('tasks', 'the key is revoked')")
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 1)
    client.execute("select stagebus.report_bridge(%s, 'here', 7, '1', 'x')", client.bridge_id)
    lines = run(monitor_url, "stuck")
    assert lines[0].startswith(f"paused destination, job {job_id}: 1 batches wait for tasks")
    fix = "    select stagebus.resume_destination('tasks');"
    assert fix in lines
    assert fix in run(monitor_url, "doctor")
    for line in lines:
        if line.startswith("    "):
            client.execute(line)
    assert run(monitor_url, "stuck") == ["nothing stands still"]
    runs, *_ = run(monitor_url, "stuck", "-v", f"job={job_id}")
    assert runs.startswith(f"runs, job {job_id}, stage 1: ")


def test_long_statements_and_comments_are_broken_where_they_may_be(
    client: Client, monitor_url: str
) -> None:
    """A failed batch has the longest fix of all."""
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 1)
    client.execute("update stagebus_data.batches set state = 'failed', last_error = 'no luck'")
    text = "\n".join(run(monitor_url, "stuck"))
    (said,) = client.column(
        "select fix from stagebus.why_stuck(%s) where fix like '%%retry%%'", job_id
    )
    statement, _, comment = said.partition(";  -- ")
    assert " ".join(f"{statement.rstrip(';')};".split()) in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= WIDTH
    client.execute("\n".join(line for line in text.splitlines() if line.startswith("    ")))
    assert client.batches(job_id)[0].state == "pending_queue"
    assert not comment or "    -- " in text


def test_a_name_that_reads_like_sql_stays_whole(client: Client, monitor_url: str) -> None:
    name = "it's;  -- \\ \"quoted" + " and more" * 10 + " from  here"
    client.set_destination(name)
    client.set_task_type("odd", destination=name)
    client.execute("select stagebus.pause_destination(%s)", name)
    client.create_stage_tasks(client.create_job(), 1, "odd", 1)
    for script in ("stuck", "doctor"):
        (statement,) = [line for line in run(monitor_url, script) if "resume_desti" in line]
        client.execute(statement)
        assert client.destination(name).status == "active"
        client.execute("select stagebus.pause_destination(%s)", name)


def test_a_text_of_others_is_no_line_of_its_own(client: Client, monitor_url: str) -> None:
    """In evidence, and in the comment behind a statement."""
    forged = "    select stagebus.stop_retention();"
    troubles.quiet(client)
    troubles.never_started(client)
    client.set_destination("tasks", entity=f"queue\n{forged}")
    client.execute(
        "select stagebus.pause_destination('tasks', %s)", f"boom\n{forged}\n\x1b]0;mine\x07"
    )
    told = [run(monitor_url, script) for script in ("stuck", "doctor")]
    assert any("-- if workers run, and their queue queue select" in line for line in told[0])
    for lines in told:
        assert forged not in lines
        assert [visible(line) for line in lines] == lines
    assert "boom select stagebus.stop_retention(); ?]0;mine?" in " ".join(" ".join(told[1]).split())


def test_watch_repeats_itself_until_ctrl_c(monitor_url: str, long_and_large: UUID) -> None:
    with subprocess.Popen(
        [psql_binary(), "-X", "-q", "-f", str(SCRIPTS / "watch.sql"), monitor_url],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as psql:
        assert psql.stdout is not None
        lines: list[str] = []
        while sum("every 2s" in line for line in lines) < 2:
            lines.append(psql.stdout.readline().rstrip("\n"))
            assert lines[-1] or psql.poll() is None
        psql.send_signal(signal.SIGINT)
        psql.communicate(timeout=60)
    (first,) = [line for line in lines if str(long_and_large) in line]
    assert "#######..." in first
    assert max(map(len, lines)) <= WIDTH


def test_the_words_of_psqlrc_answer_and_change_no_setting(
    monitor_url: str, long_and_large: UUID, tmp_path: Path
) -> None:
    """As `stagebus psql` has it, with a psql on the PATH."""
    (tmp_path / "psql").symlink_to(psql_binary())
    typed = [":status", ":top", ":stuck", ":doctor"]
    program = "from bridge.psql_command import psql; psql()"
    script = "\\pset format csv\n\\pset null nothing\n" + "\n".join(typed)
    done = subprocess.run(
        [sys.executable, "-c", program, "-v", "ON_ERROR_STOP=1"],
        cwd=ROOT,
        env={
            **os.environ,
            "STAGEBUS_DATABASE_URL": monitor_url,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        },
        input=f"{script}\n\\pset format\n\\pset null\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("job, its stages") == 1
    assert f"paused destination, job {long_and_large}" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["Output format is csv.", 'Null display is "nothing".']


@pytest.mark.parametrize(
    ("url", "rest", "password"),
    [
        (
            "postgresql://me:p%40ss%27@one:1,two:2/db?target_session_attrs=read-write",
            "user=me dbname=db host=one,two port=1,2 target_session_attrs=read-write",
            "p@ss'",
        ),
        (
            "service=mine passfile='/my files/pgpass'",
            "service=mine passfile='/my files/pgpass'",
            "",
        ),
        ("host=/run/here password=''", "host=/run/here", ""),
    ],
)
def test_no_argument_of_psql_is_a_password(
    tmp_path: Path, url: str, rest: str, password: str
) -> None:
    fake = tmp_path / "psql"
    fake.write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" "$PGPASSWORD"\n', "utf-8")
    fake.chmod(0o700)
    program = "from bridge.psql_command import psql; psql()"
    done = subprocess.run(
        [sys.executable, "-c", program, "-c", "select 1"],
        cwd=ROOT,
        env={"STAGEBUS_DATABASE_URL": url, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    *arguments, database, given = done.stdout.split("\n")[:-1]
    assert arguments == ["-c", "select 1", "--dbname"]
    assert conninfo_to_dict(database) == conninfo_to_dict(rest)
    assert given == password


def test_no_psql_is_an_error_that_says_where_the_scripts_are(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["psql", "--database-url", "dbname=none"], env={"PATH": str(tmp_path)}
    )
    assert (result.exit_code, str(SCRIPTS) in result.output) == (1, True)


def test_they_are_no_code_that_is_replayed() -> None:
    assert not [path for path in code_files() if path.parent.name == "psql"]
