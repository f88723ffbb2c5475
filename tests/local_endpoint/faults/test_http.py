"""Faults by HTTP, from the command line and over the helper of another process."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusConnectionError, ServiceBusServerBusyError

from bridge.local.endpoint.faults import FaultError, NameTaken, NoSuchFault
from bridge.local.endpoint.process import NotReady, RunningEndpoint, run_endpoint
from tests.eventually import eventually
from tests.local_endpoint.faults.conftest import LOSES_CONNECTIONS

pytestmark = LOSES_CONNECTIONS

BUSY = {"name": "busy", "on": "send", "do": "reject", "entity": "tasks"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningEndpoint]:
    """An endpoint in a process of its own."""
    with run_endpoint(["tasks", "jobs"]) as running:
        yield running


@pytest.fixture
def process(running: RunningEndpoint) -> Iterator[RunningEndpoint]:
    """The same, without faults."""
    yield running
    running.faults.clear()


def ask(
    process: RunningEndpoint,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    """A request, as bare as can be."""
    connection = http.client.HTTPConnection(urlsplit(process.control_url).netloc, timeout=10)
    text = body if isinstance(body, str) else None if body is None else json.dumps(body)
    connection.request(method, path, text, headers or {})
    with connection.getresponse() as response:
        answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_faults_are_listed_with_their_counts_until_they_are_removed(
    process: RunningEndpoint,
) -> None:
    status, text = ask(process, "POST", "/faults", BUSY, JSON)
    state = {"fault": BUSY | {"times": 1}, "seen": 0, "done": 0, "active": True}
    assert (status, json.loads(text)) == (201, [state])
    with (
        ServiceBusClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("tasks") as sender,
    ):
        with pytest.raises(ServiceBusServerBusyError):
            sender.send_messages(ServiceBusMessage(b"x"))
        sender.send_messages(ServiceBusMessage(b"x"))
    state |= {"seen": 1, "done": 1, "active": False}
    assert ask(process, "GET", "/faults") == (200, json.dumps([state]))
    assert process.counts()["faults_done"] == {"busy": 1}
    assert process.counts()["entities"]["tasks"]["stored"] == 1
    assert ask(process, "DELETE", "/faults/busy") == (200, json.dumps(state))
    assert ask(process, "GET", "/faults") == (200, "[]")
    assert ask(process, "DELETE", "/faults/busy") == (404, "there is no fault 'busy'\n")


def test_all_faults_of_a_list_are_set_or_none(process: RunningEndpoint) -> None:
    others = [BUSY | {"name": "b"}, BUSY | {"name": "c", "times": 0}]
    status, text = ask(process, "POST", "/faults", others, JSON)
    assert status == 400
    assert "fault 'c': field 'times' is 0" in text
    assert process.faults.list() == []
    assert ask(process, "POST", "/faults", [BUSY, BUSY], JSON)[0] == 409
    assert ask(process, "POST", "/faults", BUSY | {"entity": "taks"}, JSON)[0] == 400
    assert process.faults.list() == []
    assert ask(process, "POST", "/faults", [BUSY, BUSY | {"name": "b"}], JSON)[0] == 201
    assert ask(process, "POST", "/faults", BUSY, JSON)[0] == 409
    assert [each["fault"]["name"] for each in process.faults.list()] == ["busy", "b"]
    status, text = ask(process, "DELETE", "/faults")
    assert (status, len(json.loads(text)), process.faults.list()) == (200, 2, [])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/faults", {}, 415),
        ("POST", "/faults", {"Content-Type": "text/plain"}, 415),
        ("POST", "/connections/cut", {}, 415),
        ("POST", "/faults", JSON | {"Host": "evil.example"}, 403),
        ("POST", "/connections/cut", JSON | {"Host": "evil.example:80"}, 403),
        ("DELETE", "/faults", {"Host": "evil.example"}, 403),
        ("DELETE", "/faults/kept", {"Host": "127.0.0.1.evil.example"}, 403),
        ("GET", "/faults", {"Host": "[2001:db8::1]:80"}, 403),
        ("GET", "/faults", {"Host": "localhost:1234"}, 200),
        ("GET", "/faults", {"Host": "[::1]:1234"}, 200),
        ("GET", "/faults", {"Host": "[::1]"}, 200),
        ("OPTIONS", "/faults", {"Origin": "http://evil.example"}, 405),
    ],
)
def test_pages_of_other_sites_can_set_nothing(
    process: RunningEndpoint, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    process.faults.set(**BUSY | {"name": "kept"})
    made = process.counts()["process"]["connections"]
    assert ask(process, method, path, BUSY, headers)[0] == status
    assert [each["fault"]["name"] for each in process.faults.list()] == ["kept"]
    assert process.counts()["process"]["connections"] == made


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, '{"name": 1}', "3", '["x"]'])
def test_what_is_no_fault_is_refused_with_a_reason(process: RunningEndpoint, body: str) -> None:
    status, text = ask(process, "POST", "/faults", body, JSON)
    assert status == 400
    assert text.strip()
    assert process.get("/health") == {"status": "healthy"}


def test_the_helper_raises_what_the_book_raises(process: RunningEndpoint) -> None:
    assert process.faults.set(**BUSY)["active"]
    with pytest.raises(NameTaken, match="'busy'"):
        process.faults.set(**BUSY)
    with pytest.raises(FaultError, match="field 'tmies'"):
        process.faults.set(**BUSY | {"tmies": 3})
    with pytest.raises(NoSuchFault, match="'other'"):
        process.faults.remove("other")
    assert process.faults.remove("busy")["seen"] == 0
    assert process.faults.clear() == []


def test_a_synchronous_send_that_hangs_ends_when_the_connections_are_cut(
    process: RunningEndpoint,
) -> None:
    process.faults.set(name="silent", on="send", do="never", store=False)
    with (
        ServiceBusClient.from_connection_string(process.connection_string, retry_total=0) as client,
        client.get_queue_sender("jobs") as sender,
    ):
        ends: queue.Queue[BaseException | None] = queue.Queue()

        def send() -> None:
            try:
                sender.send_messages(ServiceBusMessage(b"x"))
            except Exception as error:  # noqa: BLE001 - the test looks at it
                ends.put(error)
            else:
                ends.put(None)

        sending = threading.Thread(target=send)
        sending.start()
        eventually(lambda: process.counts()["faults_done"] == {"silent": 1})
        assert ends.empty()
        assert process.cut_connections() == 1
        assert isinstance(ends.get(timeout=10), ServiceBusConnectionError)
        sending.join()
    assert process.counts()["entities"]["jobs"]["stored"] == 0


def test_an_endpoint_begins_with_the_faults_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([BUSY]))
    with run_endpoint(["tasks"], arguments=["--faults", str(path)]) as running:
        assert [each["fault"]["name"] for each in running.faults.list()] == ["busy"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[{"name": "f", "do": "reject"}', "this is not JSON"),
        ('[{"name": "f", "do": "fill", "times": 0}]', "fault 'f': field 'times' is 0"),
        ('[{"name": "f", "do": "fill", "entity": "x"}]', "fault 'f': field 'entity' is 'x'"),
    ],
)
def test_a_bad_file_is_named_with_the_fault(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with (
        pytest.raises(NotReady) as caught,
        run_endpoint(["tasks"], arguments=["--faults", str(path)]),
    ):
        pass
    assert f"{path}: {complaint}" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_stagebus_local_names_a_bad_file_before_it_starts_anything(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"name": "f", "do": "fill", "times": 0}]')
    command = ["-m", "bridge", "local", "--folder", str(tmp_path / "db"), "--faults", str(path)]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"Error: {path}: fault 'f': field 'times' is 0" in done.stderr
    assert not (tmp_path / "db").exists()


PARENT = """
import sys, time
from bridge.local.endpoint.process import run_endpoint
with run_endpoint(["tasks"]) as running:
    print(running.pid, flush=True)
    time.sleep(600)
"""


def test_an_endpoint_ends_with_the_process_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        try:
            eventually(lambda: not is_running(pid))
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether a process is there and not a zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
