"""A TCP proxy that a test can close: what the network does when it fails, and no mock of anything.

It runs in a thread of its own, so that it serves processes and event loops alike.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Gate:
    """Passes bytes on between its own `port` and a server, as long as it is open."""

    def __init__(self, host: str, port: int) -> None:
        """`host` is a name, or the folder of a Unix socket of PostgreSQL."""
        self._host = host
        self._port = port
        self.port = 0
        self.held = 0
        """Bytes of answers that wait to be passed on."""
        self.held_questions = 0
        """Bytes of what the clients say that wait."""
        self._refusing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate")
        self._pairs: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def hold_answers(self) -> None:
        """What the server says from now on waits; it still hears everything."""
        self._do(self._answers.clear)

    def hold_questions(self) -> None:
        """What the clients say from now on waits."""
        self._do(self._questions.clear)

    def open(self) -> None:
        """Passes on what waited, and all that follows."""
        self._do(self._answers.set)
        self._do(self._questions.set)

    def cut(self) -> None:
        """Closes all connections, with what waited; new ones may come."""
        self._call(self._cut())

    def refuse(self) -> None:
        """Closes all connections, and every new one at once."""
        self._refusing = True
        self.cut()

    async def _start(self) -> None:
        self._answers, self._questions = asyncio.Event(), asyncio.Event()
        self._answers.set()
        self._questions.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        await self._cut()

    async def _cut(self) -> None:
        for pair in list(self._pairs):
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.current_task()
        assert pair is not None
        if self._refusing:
            writer.transport.abort()
            return
        self._pairs.add(pair)
        try:
            to_reader, to_writer = await self._connect()
        except OSError:
            self._pairs.discard(pair)
            writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, to_writer, self._questions))
                both.create_task(self._pass(to_reader, writer, self._answers))
        except* OSError:
            pass
        except* asyncio.CancelledError:
            pass
        finally:
            self._pairs.discard(pair)
            writer.transport.abort()
            to_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        open_now: asyncio.Event,
    ) -> None:
        while data := await reader.read(65536):
            if not open_now.is_set():
                answers = len(data) if open_now is self._answers else 0
                questions = len(data) - answers
                self.held += answers
                self.held_questions += questions
                try:
                    await open_now.wait()
                finally:
                    self.held -= answers
                    self.held_questions -= questions
            writer.write(data)
            await writer.drain()
        # One side has closed: so does the other.
        raise ConnectionResetError

    def _do(self, act: Callable[[], None]) -> None:
        async def call() -> None:
            act()

        self._call(call())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
