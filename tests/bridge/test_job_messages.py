"""A job's message goes to the jobs queue through the same bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from azure.servicebus import ServiceBusClient, ServiceBusReceiveMode

from bridge.contracts.jobs import JobQueueMessage
from bridge.settings import Settings
from tests.bridge.conftest import Queue, close_meanwhile, running
from tests.client import Client
from tests.eventually import becomes

Make = Callable[..., Settings]


def test_the_end_of_a_stage_arrives_at_the_jobs_queue(
    client: Client, queue: Queue, settings: Make
) -> None:
    client.set_task_type("work", job_messages=True)
    # Each test has one queue of the endpoint for itself.
    client.set_destination("jobs", entity=queue.name)
    published = client.published_stage(1, "work")
    client.run_stage(published)

    async def scenario() -> None:
        async with running(settings()):
            await becomes(lambda: queue.stored == 1)
            await becomes(
                lambda: (
                    client.value("select status from stagebus.batches where kind = 'job'")
                    == "queued"
                )
            )

    asyncio.run(scenario())
    broker = ServiceBusClient.from_connection_string(queue.connection_string)
    receiver = broker.get_queue_receiver(
        queue.name, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE
    )
    (message,) = receiver.receive_messages(1, max_wait_time=5)
    told = JobQueueMessage.model_validate_json(b"".join(message.body))
    assert (told.job_id, told.event, told.stage) == (published.job_id, "stage_ended", 1)
    close_meanwhile(receiver, broker)
