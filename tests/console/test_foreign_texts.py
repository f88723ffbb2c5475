"""Texts of others stay texts: none makes a line of its own, or tells the terminal what to do."""

from __future__ import annotations

from uuid import UUID

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.client import Order
from bridge.printing import one_line, visible
from bridge.steering import describe
from tests.client import Client

#: It would look like a statement that mends something, and rename the terminal's window.
FORGED = "    select stagebus.stop_retention();"
HOSTILE = f"boom\n{FORGED}\n\r\x1b]0;mine\x07\x9b2J\u202e"


def printed(database_url: str, command: str, *arguments: object) -> list[str]:
    """Its lines; fails when one is the forged one, or is more than text."""
    options = ["--database-url", database_url, *map(str, arguments)]
    output = CliRunner().invoke(main, [command, *options]).output
    lines = output.rstrip("\n").split("\n")
    assert "boom" in output
    assert FORGED not in lines
    assert [visible(line) for line in lines] == lines
    return lines


@pytest.fixture
def job_id(client: Client) -> UUID:
    """A job of a hostile type, with a batch that failed for a hostile reason."""
    job_id = client.create_job(HOSTILE)
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 5)
    client.fail_batch(client.claim(), HOSTILE, max_attempts=1)
    return job_id


def test_a_text_becomes_one_line_that_no_terminal_obeys() -> None:
    assert one_line(f" {HOSTILE}\u2028") == "boom select stagebus.stop_retention(); ?]0;mine??2J?"
    assert one_line("Grüße,\t世界 👩\u200d🚀\n") == "Grüße, 世界 👩\u200d🚀"


def test_in_a_fix_the_white_space_of_a_name_stays() -> None:
    assert visible("resume('a  b\nc')") == "resume('a  b?c')"


def test_why(client: Client, database_url: str, job_id: UUID) -> None:
    client.execute("select stagebus.report_bridge(%s, 'host', 7, '1', 'x')", client.bridge_id)
    _, fix = printed(database_url, "why", job_id)
    assert fix.startswith("    select stagebus.retry_batch(")


def test_doctor(client: Client, database_url: str) -> None:
    client.execute("select stagebus.pause_destination('tasks', %s)", HOSTILE)
    assert "    select stagebus.resume_destination('tasks');" in printed(database_url, "doctor")


def test_a_name_in_a_fix(client: Client, database_url: str) -> None:
    client.set_destination(HOSTILE)
    client.execute("select stagebus.pause_destination(%s)", HOSTILE)
    fixes = [line for line in printed(database_url, "doctor") if "resume_destination" in line]
    assert len(fixes) == 1


def test_tables(database_url: str, job_id: UUID) -> None:
    assert len(printed(database_url, "status")) == 2
    assert len(printed(database_url, "status", job_id, "--batches")) == 2


def test_watch(client: Client, database_url: str) -> None:
    client.set_task_type(HOSTILE)
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, HOSTILE, 1)
    look, end = printed(database_url, "watch", job_id, "--timeout", "0")
    assert (" running: 1 boom?" in look, "the job goes on" in end) == (True, True)


def test_orders_and_publications(client: Client, database_url: str) -> None:
    job_id = client.create_job()
    client.create_stage_tasks(job_id, 1, "h3_hexagon", 3, seal=False)
    client.publish_stage(job_id)
    client.withdraw_stage(job_id, reason=HOSTILE)
    assert len(printed(database_url, "publish", job_id, "1")) == 1
    assert len(printed(database_url, "orders")) == 2


def test_the_note_of_an_order_that_fails() -> None:
    note = f"its last step failed: {HOSTILE}"
    order = Order(7, "cancel_job", "working", UUID(int=7), None, None, 3, 0, note)
    assert describe(order).endswith(f"; its last step failed: {one_line(HOSTILE)}")


def test_an_error(database_url: str) -> None:
    (line,) = printed(database_url, "pause", HOSTILE)
    assert line.startswith("Error: destination 'boom select stagebus")
