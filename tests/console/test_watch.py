"""`stagebus watch` shows a job as it goes on, and ends with it."""

from __future__ import annotations

import json
import signal
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.client import Client, PublishedStage
from tests.console.terminal import on_terminal


def watch(database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["watch", "--database-url", database_url, *arguments])


@pytest.fixture
def published(client: Client) -> PublishedStage:
    """A stage of four tasks, of which two are completed and one has failed."""
    published = client.published_stage(4)
    token = uuid4()
    client.start_all(published.messages[:3], token)
    client.complete_tasks(published.task_ids[:2], token)
    client.fail_tasks(published.task_ids[2:3], token, ["no luck"], retry=False)
    return published


def end(client: Client, published: PublishedStage) -> None:
    token = uuid4()
    client.start_all(published.messages[3:], token)
    client.complete_tasks(published.task_ids[3:], token)
    client.execute("select stagebus.finish_job(%s)", published.job_id)


def test_on_a_terminal_it_draws_in_place_until_the_job_ends(
    client: Client, database_url: str, published: PublishedStage
) -> None:
    with on_terminal(database_url, "watch", str(published.job_id), "--every", "0.2") as terminal:
        # The second time over the first: two lines and that of the rates up.
        first = terminal.until("\x1b[3A")
        assert "75.0 %  3 of 4" in first
        assert "1 failed" in first
        assert "████" in first
        end(client, published)
        assert terminal.end() == 3
        last = terminal.text.rpartition("\x1b[3A")[2]
    assert f"job {published.job_id}  tiles  completed_with_errors" in last
    assert "100.0 %  4 of 4" in last
    assert not [line for line in last.split("\x1b[K") if len(line.strip()) > 79]


def test_ctrl_c_ends_it_and_the_job_goes_on(database_url: str, published: PublishedStage) -> None:
    with on_terminal(database_url, "watch", str(published.job_id)) as terminal:
        terminal.until("last minute")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 5
    assert terminal.text.rstrip().endswith("the job goes on")
    assert "Traceback" not in terminal.text


def test_elsewhere_it_prints_a_line_per_look(database_url: str, published: PublishedStage) -> None:
    result = watch(database_url, str(published.job_id), "--every", "0.2", "--timeout", "0.5")
    assert (result.exit_code, "the job goes on" in result.stderr) == (5, True)
    lines = result.stdout.splitlines()
    assert 3 <= len(lines) <= 5
    assert all("running: 1 h3_hexagon, 75.0 %, 3 of 4, " in line for line in lines)
    assert "\x1b" not in result.stdout


def test_as_json_a_look_is_a_line(database_url: str, published: PublishedStage) -> None:
    result = watch(database_url, str(published.job_id), "--timeout", "0", "--json")
    (look,) = (json.loads(line) for line in result.stdout.splitlines())
    assert (look["job_id"], look["status"]) == (str(published.job_id), "running")
    ((stage),) = look["stages"]
    assert (stage["stage"], stage["completed"], stage["failed"]) == (1, 2, 1)


def test_the_stages_of_a_plan_that_have_not_begun_are_to_come(
    client: Client, database_url: str
) -> None:
    client.set_task_type("tiles")
    stages: list[dict[str, object]] = [
        {"name": name, "task_type": "tiles", "count": 1} for name in ("cut", "join")
    ]
    client.define_job_type(stages)
    job_id = client.submit_job()
    client.advance_job(job_id)
    result = watch(database_url, str(job_id), "--timeout", "0", "--json")
    look = json.loads(result.stdout)
    assert [stage["name"] for stage in look["stages"]] == ["cut"]
    assert look["coming"] == [{"name": "join", "waits_for": "cut", "status": "waits"}]


@pytest.mark.parametrize(
    ("state", "code"),
    [("completed", 0), ("completed_with_errors", 3), ("failed", 4), ("cancelled", 4)],
)
def test_the_exit_code_is_that_of_wait(
    client: Client, database_url: str, state: str, code: int
) -> None:
    job_id: UUID = client.create_job()
    client.execute("update stagebus_data.jobs set state = %s, ended_at = now()", state)
    result = watch(database_url, str(job_id))
    assert (result.exit_code, state in result.output) == (code, True)


def test_the_end_is_seen_long_before_the_next_look(
    client: Client, database_url: str, published: PublishedStage
) -> None:
    with on_terminal(database_url, "watch", str(published.job_id), "--every", "3600") as terminal:
        terminal.until("last minute")
        end(client, published)
        assert terminal.end() == 3


def test_a_job_that_does_not_exist_is_an_error(database_url: str) -> None:
    job_id = uuid4()
    result = watch(database_url, str(job_id))
    assert (result.exit_code, f"there is no job {job_id}" in result.output) == (1, True)


@pytest.mark.parametrize("wrong", [("soon",), (str(uuid4()), "--every", "0"), ()])
def test_a_wrong_call_exits_with_2(database_url: str, wrong: tuple[str, ...]) -> None:
    assert watch(database_url, *wrong).exit_code == 2
