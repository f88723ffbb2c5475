"""The proxy delays by what it was told, loses nothing, and limits no bandwidth."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.delay import delayed

ROUND_TRIP = 0.02


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                while data := connection.recv(262_144):
                    connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        data += connection.recv(262_144)
    return bytes(data)


def test_an_answer_takes_the_round_trip(echo: int) -> None:
    with (
        delayed(echo, ROUND_TRIP) as port,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        took = []
        for _ in range(10):
            began = time.monotonic()
            client.sendall(b"?")
            assert receive(client, 1) == b"?"
            took.append(time.monotonic() - began)
    assert min(took) >= ROUND_TRIP
    # A delay that is waited for twice would show.
    assert min(took) < 1.5 * ROUND_TRIP


def test_what_comes_close_together_is_not_delayed_one_after_the_other(echo: int) -> None:
    sent = b"".join(number.to_bytes(4, "big") for number in range(2_000_000))
    with (
        delayed(echo, ROUND_TRIP) as port,
        socket.create_connection(("127.0.0.1", port)) as client,
    ):
        sending = threading.Thread(target=client.sendall, args=(sent,))
        began = time.monotonic()
        sending.start()
        received = receive(client, len(sent))
        took = time.monotonic() - began
        sending.join()
    assert hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()
    # Of 31 chunks or more, each delayed after the one before would take 0.6 seconds.
    assert took < 31 * ROUND_TRIP
