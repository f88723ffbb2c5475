"""How much faster is the bridge's way to make and send a batch than the SDK's public API?

bridge  what a lane does: Publisher.new_send, Send.add_all, Publisher.send
sdk     create_message_batch, ServiceBusMessage and add_message for each, send_messages

The same messages, with bodies of about 300 bytes that are in memory already, over the same
asynchronous client of the SDK to the local endpoint, in full batches of 256 KB, in turn.

    python -m benchmarks.encode [--messages 50000] [--rounds 5]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from uuid import uuid4

import click
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError

from benchmarks.measure import Measured, over, paired, program, ratios
from benchmarks.relay import message_of
from bridge.batch import Message
from bridge.local.endpoint.process import run_endpoint
from bridge.publisher import ENVELOPE_SLACK, Publisher
from bridge.send import Send
from bridge.settings import Settings

MAX_BYTES = 262_144
MAX_MESSAGES = 4_500


def messages_of(count: int, size: int = 313) -> list[Message]:
    """Such as batch_messages returns; each list has its own ids."""
    nonce, body = uuid4().hex[:10], b"x" * size
    job_id = uuid4()
    return [
        Message(index, f"{job_id}-s1-{index}.1.1.{nonce}", body) for index in range(1, count + 1)
    ]


async def by_bridge(publisher: Publisher, messages: list[Message]) -> None:
    async def new_send() -> Send:
        return await publisher.new_send(
            "queue", "tasks", max_bytes=MAX_BYTES, max_messages=MAX_MESSAGES, subject="h3_hexagon"
        )

    left = messages
    while left:
        send = await new_send()
        left = send.add_all(left)
        assert (await publisher.send(send)).verdict == "accepted"


async def by_sdk(sender: ServiceBusSender, messages: Sequence[Message]) -> None:
    size = MAX_BYTES - ENVELOPE_SLACK
    batch = await sender.create_message_batch(size)
    for message in messages:
        made = message_of(message.message_id, message.body)
        try:
            batch.add_message(made)
        except MessageSizeExceededError:
            await sender.send_messages(batch)
            batch = await sender.create_message_batch(size)
            batch.add_message(made)
    await sender.send_messages(batch)


@program
@click.option("--messages", default=50_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(messages: int, rounds: int) -> Measured:
    """Messages per second by the bridge's encoder and by the SDK's."""
    with run_endpoint(["tasks"]) as endpoint, asyncio.Runner() as runner:
        publisher = Publisher(Settings(
            database_url="", servicebus_connection_string=endpoint.connection_string
        ))  # fmt: skip
        client = ServiceBusClient.from_connection_string(endpoint.connection_string, retry_total=0)
        sender = client.get_queue_sender("tasks")

        def rate(
            send: Callable[[Sequence[Message]], Coroutine[object, object, None]],
        ) -> Callable[[], float]:
            def run() -> float:
                made = messages_of(messages)
                began = time.perf_counter()
                runner.run(send(made))
                return messages / (time.perf_counter() - began)

            return run

        rates = paired(
            rounds,
            {
                "bridge": rate(lambda made: by_bridge(publisher, made)),
                "sdk": rate(lambda made: by_sdk(sender, made)),
            },
        )
        assert endpoint.counts()["entities"]["tasks"]["stored"] == 2 * (rounds + 1) * messages
        runner.run(publisher.close())
        runner.run(sender.close())
        runner.run(client.close())
    return {
        "relay_ratio_to_sdk": ratios(rates, "bridge", "sdk"),
        "bridge_encoder_msgs_per_s": over([each["bridge"] for each in rates], "messages/s"),
        "sdk_encoder_msgs_per_s": over([each["sdk"] for each in rates], "messages/s"),
    }


if __name__ == "__main__":
    main()
