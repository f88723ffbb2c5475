"""All kinds of faults at once, drawn at random: the endpoint stays well and its counts add up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count

from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from bridge.local.endpoint.faults import FaultBook
from bridge.local.endpoint.faults.fault import ALLOWED
from tests.local_endpoint.conftest import Bench
from tests.local_endpoint.faults.conftest import LOSES_CONNECTIONS, Stage

pytestmark = LOSES_CONNECTIONS

SECONDS = 6.0
SENDERS, RECEIVERS = 3, 2


def every_fault(rng: random.Random) -> list[dict[str, object]]:
    """Every action on every operation, in any order, each for a moment."""
    found: list[dict[str, object]] = []
    for action, operations in ALLOWED.items():
        for on in operations:
            fields: dict[str, object] = {"do": action, "on": on, "for_seconds": 0.3}
            if action == "late":
                fields["seconds"] = 0.1
            if on != "now" and action != "disable":
                fields |= {"times": 2, "probability": 0.7, "seed": rng.randrange(1000)}
            found.append(fields)
    rng.shuffle(found)
    return found


def test_a_storm_of_faults_leaves_the_endpoint_well(
    bench: Bench, stage: Stage, faults: FaultBook
) -> None:
    name, numbers = stage.lane.name, count()
    accepted: set[str] = set()
    over = asyncio.Event()

    async def send() -> None:
        async with bench.client.get_queue_sender(name) as sender:
            while not over.is_set():
                ids = [f"m-{next(numbers)}" for _ in range(3)]
                messages = [ServiceBusMessage(b"x", message_id=each) for each in ids]
                async with asyncio.timeout(0.5):
                    await sender.send_messages(messages)
                accepted.update(ids)

    async def receive() -> None:
        async with bench.client.get_queue_receiver(name) as receiver:
            while not over.is_set():
                for message in await receiver.receive_messages(5, max_wait_time=0.2):
                    async with asyncio.timeout(0.5):
                        await receiver.complete_message(message)

    async def again(use: Callable[[], Awaitable[None]]) -> None:
        # Here and above not `while True` until cancelled: wait_for of Python 3.11, in which the SDK
        # waits, loses a cancelling, and a timeout's, that comes in the moment its own wait ends.
        while not over.is_set():
            try:
                async with asyncio.timeout(2):
                    await use()
            except (TimeoutError, ServiceBusError, ValueError, OSError):
                await asyncio.sleep(0)

    async def work() -> None:
        users = [asyncio.ensure_future(again(send)) for _ in range(SENDERS)]
        users += [asyncio.ensure_future(again(receive)) for _ in range(RECEIVERS)]
        storm = every_fault(random.Random(11))
        for number, fields in enumerate(storm):
            entity = None if fields["on"] == "connect" else name
            faults.set(**{"name": f"storm-{number}", "entity": entity} | fields)
            await asyncio.sleep(SECONDS / len(storm))
        over.set()
        for user in users:
            user.cancel()
        await asyncio.gather(*users, return_exceptions=True)

    bench.run(work())
    counts = stage.lane.counts()
    assert counts["stored"] >= len(accepted) > 0
    assert counts["stored"] == counts["active"] + counts["locked"] + counts["completed"]
    befell = [each["fault"]["do"] for each in faults.list() if each["done"]]
    assert len(set(befell)) > 6

    async def calm() -> None:
        faults.clear()
        async with bench.client.get_queue_sender(name) as sender:
            await sender.send_messages(ServiceBusMessage(b"x", message_id="after"))
        assert stage.stored() == counts["stored"] + 1

    bench.run(calm())
