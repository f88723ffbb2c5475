"""Can the local endpoint be what limits a measurement?

Sends messages of 300 bytes through the unmodified SDK client to an endpoint in another process, in
full batches, with duplicate detection on and all of them kept; then receives and completes some.
CPU time and memory are those that the endpoint reports of itself. The client's encoder is gone
round: one batch is encoded by the SDK, and its message ids are written over in place for each send.

    python -m benchmarks.endpoint [--messages 1000000]
"""

from __future__ import annotations

import asyncio
import time

import click
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from benchmarks.measure import Measured, once, program
from bridge.local.endpoint.process import RunningEndpoint, run_endpoint

BODY = bytes(300)
MARK = b"00000000-"
PROCESS = "process"


async def send(client: ServiceBusClient, messages: int) -> int:
    """Sends at least so many messages in full batches; returns how many."""
    async with client.get_queue_sender("tasks") as sender:
        batch = await sender.create_message_batch()
        try:
            while True:
                batch.add_message(
                    ServiceBusMessage(
                        BODY,
                        message_id=f"{MARK.decode()}{len(batch):04d}",
                        application_properties={},
                    )
                )
        except ValueError:
            pass  # It is full.
        encoded = list(batch._message[5])
        sent = 0
        while sent < messages:
            mark = f"{sent:08d}-".encode()
            batch._message[5][:] = [each.replace(MARK, mark, 1) for each in encoded]
            await sender.send_messages(batch)
            sent += len(encoded)
    return sent


async def complete(client: ServiceBusClient, messages: int) -> int:
    """Receives and completes so many; returns how many."""
    done = 0
    async with client.get_queue_receiver("tasks", prefetch_count=500) as receiver:
        while done < messages:
            for message in await receiver.receive_messages(500, max_wait_time=5):
                await receiver.complete_message(message)
                done += 1
    return done


def cpu(endpoint: RunningEndpoint) -> float:
    """Seconds of CPU time that the endpoint has used so far."""
    return float(endpoint.get("/counts")[PROCESS]["cpu_seconds"])  # type: ignore[index]


def client_of(endpoint: RunningEndpoint) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(endpoint.connection_string, retry_total=0)


async def measured(endpoint: RunningEndpoint, messages: int, completed: int) -> Measured:
    async with client_of(endpoint) as client:
        await send(client, 1)  # To warm up.
        before, began = cpu(endpoint), time.perf_counter()
        sent = await send(client, messages)
        took, used = time.perf_counter() - began, cpu(endpoint) - before
        counts = endpoint.counts()["entities"]["tasks"]
        assert counts["duplicates_dropped"] > 0, "the warm-up's ids come again: detection is on"
        memory = endpoint.get("/counts")[PROCESS]["max_rss_bytes"]  # type: ignore[index]
        before = cpu(endpoint)
        done = await complete(client, min(completed, sent))
    return {
        "endpoint_messages_per_s": once(sent / took, "messages/s"),
        "endpoint_us_per_message": once(used / sent * 1e6, "µs"),
        "endpoint_max_rss_mib": once(memory / 1024**2, "MiB"),
        "endpoint_us_per_completed": once((cpu(endpoint) - before) / done * 1e6, "µs"),
    }


@program
@click.option("--messages", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--completed", type=click.IntRange(1), default=20_000, show_default=True)
def main(messages: int, completed: int) -> Measured:
    """The endpoint's cost per message, and its memory with all of them held."""
    with run_endpoint(["tasks"]) as endpoint:
        return asyncio.run(measured(endpoint, messages, completed))


if __name__ == "__main__":
    main()
