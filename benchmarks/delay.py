"""A TCP proxy that makes a server seem farther away: half the round trip in each direction.

It delays every byte by the same time, and so limits no bandwidth. Threads and not an event loop,
since asyncio rounds its timers up to milliseconds.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

#: Bytes that are passed on at a time.
CHUNK = 262_144


@contextmanager
def delayed(port: int, round_trip: float) -> Iterator[int]:
    """A port on 127.0.0.1 that leads to another, `round_trip` seconds away."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=_accept, args=(listening, port, round_trip / 2))
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            # Wakes the thread; closing would not.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listening: socket.socket, port: int, delay: float) -> None:
    """Serves each connection by four threads, until the listening socket is shut down."""
    open_sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            break
        server = socket.create_connection(("127.0.0.1", port))
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_sockets += [client, server]
        for source, target in ((client, server), (server, client)):
            due: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
            threads += [
                threading.Thread(target=_read, args=(source, due, delay)),
                threading.Thread(target=_write, args=(target, due)),
            ]
            threads[-1].start()
            threads[-2].start()
    for each in open_sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for each in open_sockets:
        each.close()


def _read(source: socket.socket, due: SimpleQueue[tuple[float, bytes]], delay: float) -> None:
    """Notes when what came is due; b"" is the end."""
    while True:
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        due.put((time.monotonic() + delay, data))
        if not data:
            return


def _write(target: socket.socket, due: SimpleQueue[tuple[float, bytes]]) -> None:
    """Passes on what is due, in order; then closes this direction."""
    data = b"?"
    while data:
        at, data = due.get()
        time.sleep(max(0.0, at - time.monotonic()))
        with contextlib.suppress(OSError):
            if data:
                target.sendall(data)
            else:
                target.shutdown(socket.SHUT_WR)
