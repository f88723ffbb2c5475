"""The endpoint as a process: its command line, its HTTP port, its journal, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from bridge.local.endpoint.process import RunningEndpoint, run_endpoint


def test_the_synchronous_client_sends_receives_and_completes(process: RunningEndpoint) -> None:
    with (
        ServiceBusClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("jobs") as sender,
        client.get_queue_receiver("jobs", max_wait_time=3) as receiver,
    ):
        ids = [f"m-{number}" for number in range(20)]
        sender.send_messages([ServiceBusMessage(b"x", message_id=each) for each in ids])
        got = []
        for message in receiver:
            receiver.complete_message(message)
            got.append(message.message_id)
            if len(got) == len(ids):
                break
        assert got == ids
        counts = process.counts()
        assert counts["entities"]["jobs"]["completed"] == 20
        assert counts["process"]["connections"] == 2
        assert counts["process"]["max_rss_bytes"] > 10_000_000
        assert counts["process"]["cpu_seconds"] > 0
    assert process.get("/health") == {"status": "healthy"}


def test_the_journal_names_every_message_and_which_were_dropped(tmp_path: Path) -> None:
    journal = tmp_path / "stored.tsv"
    with (
        run_endpoint(["tasks"], arguments=["--journal", str(journal)]) as process,
        ServiceBusClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("tasks") as sender,
    ):
        for ids in (["a", "b"], ["b", "a tab\tand\nlines\\"]):
            sender.send_messages([ServiceBusMessage(b"x", message_id=each) for each in ids])
        sender.send_messages(ServiceBusMessage(b"x", message_id="ü"))
        # Written before the send is accepted, not when the process ends.
        assert journal.read_text(encoding="utf-8") == (
            "tasks\t1\ta\ntasks\t2\tb\n"
            "tasks\t3\ta tab\\tand\\nlines\\\\\ntasks\t0\tb\ntasks\t4\tü\n"
        )


def test_what_cannot_be_journalled_is_not_accepted() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with (
        run_endpoint(["tasks"], arguments=["--journal", "/dev/full"]) as process,
        ServiceBusClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("tasks") as sender,
    ):
        with pytest.raises(Exception, match="internal-error"):
            sender.send_messages(ServiceBusMessage(b"x", message_id="a"))
        counts = process.counts()["entities"]["tasks"]
        assert (counts["stored"], counts["remembered_ids"], counts["sends_rejected"]) == (0, 0, 1)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """The process, bare."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "bridge.local.endpoint", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with start("--queue", "tasks") as process:
        assert process.stdout is not None
        assert b"connection_string" in process.stdout.readline()
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], b"--queue"),
        (["--subscription", "news"], b"say TOPIC/NAME"),
        (["--queue", "a", "--ignore-rules"], b"give --config FILE"),
        (["--queue", "a/Subscriptions/b", "--subscription", "A/B"], b"two entities"),
        (["--queue", "a", "--tier", "basic"], b"tier"),
        (["--queue", "a", "--lock-duration", "0"], b"lock-duration"),
        (["--queue", "a", "--port", "70000"], b"port"),
        (["--queue", "$cbs"], b"cannot be the name"),
        (["--queue", "a", "--queue", "A"], b"two entities"),
        (["--queue", "a", "--journal", "/nowhere/file"], b"/nowhere/file"),
    ],
)
def test_a_bad_value_is_named(arguments: list[str], complaint: bytes) -> None:
    with start(*arguments) as process:
        try:
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()  # or a value that is taken would be waited for without end
    assert process.returncode != 0
    assert complaint in err
    assert b"Traceback" not in err
    assert out == b""


def test_a_process_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="cannot be the name"), run_endpoint(["$cbs"]):
        pass


def test_a_topic_is_given_on_the_command_line_or_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "Config.json"
    config.write_text(
        '{"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Topics":'
        ' [{"Name": "news", "Subscriptions": [{"Name": "a"}]}]}]}}'
    )
    with start("--config", str(config), "--subscription", "news/b") as process:
        _, err = process.communicate(timeout=10)
    assert process.returncode == 2
    assert b"the topic 'news' is in " in err
