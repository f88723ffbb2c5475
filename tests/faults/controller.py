"""The controller process of a run: told that a stage has ended, it makes the next or ends the job.

python -m tests.faults.controller DATABASE_URL CONNECTION_STRING LEDGER

It reads the job messages that the bridges publish. Each may come again, and each transaction may
end without an answer: then the message is not completed, and everything is done once more.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from pathlib import Path
from uuid import uuid4

import psycopg
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from bridge.contracts.jobs import JobQueueMessage
from tests.faults.ledger import Ledger
from tests.faults.producer import ROLLED_BACK, TWO_STAGES

STAGES = 2

_OPEN = """
select count(*) from stagebus.tasks
where job_id = %s and stage = %s and status not in ('completed', 'failed', 'cancelled')
"""


class Controller:
    """Reads the queue `jobs`, one message after the other."""

    def __init__(self, database_url: str, connection_string: str, ledger: Ledger) -> None:
        self._url = database_url
        self._connection_string = connection_string
        self._ledger = ledger
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        while not self._stopping.is_set():
            try:
                await self._receive()
            except (ServiceBusError, OSError, ValueError, TimeoutError, psycopg.Error):
                await asyncio.sleep(0.5)

    async def _receive(self) -> None:
        async with (
            ServiceBusClient.from_connection_string(self._connection_string) as client,
            client.get_queue_receiver("jobs") as receiver,
            await psycopg.AsyncConnection.connect(self._url, connect_timeout=5) as connection,
        ):
            while not self._stopping.is_set():
                for message in await receiver.receive_messages(20, max_wait_time=1):
                    await self._obey(connection, message)
                    async with asyncio.timeout(10):
                        await receiver.complete_message(message)

    async def _obey(
        self, connection: psycopg.AsyncConnection, message: ServiceBusReceivedMessage
    ) -> None:
        told = JobQueueMessage.model_validate_json(b"".join(message.body))
        stage = told.stage or 0
        cursor = await connection.execute(_OPEN, (told.job_id, stage))
        (open_tasks,) = await cursor.fetchone() or (0,)
        await connection.commit()
        self._ledger.write(
            ("ended", message.message_id, told.job_id, stage, told.status, open_tasks,
             time.monotonic())
        )  # fmt: skip
        if told.event == "job_ended":
            return
        if told.job_type == TWO_STAGES and stage < STAGES:
            await self._next_stage(connection, told, stage + 1)
        else:
            await connection.execute("select finish_job(%s)", (told.job_id,))
            await connection.commit()

    async def _next_stage(
        self, connection: psycopg.AsyncConnection, told: JobQueueMessage, stage: int
    ) -> None:
        while True:
            transaction = uuid4()
            cursor = await connection.execute(
                "select tasks from create_stage_tasks(%s, %s, %s, %s, if_exists => 'skip')",
                (told.job_id, stage, told.job_type, random.choice((3, 40, 300))),
            )
            (tasks,) = await cursor.fetchone() or (0,)
            self._ledger.write(("attempt", transaction, told.job_id, stage, tasks))
            if random.random() >= ROLLED_BACK:
                break
            await connection.rollback()
            self._ledger.write(("rollback", transaction))
        await connection.commit()
        self._ledger.write(("commit", transaction, time.monotonic()))


def main(database_url: str, connection_string: str, ledger: str) -> None:
    asyncio.run(Controller(database_url, connection_string, Ledger(Path(ledger))).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
