"""How much faster are messages put into the SDK's batch by our encoder than by the SDK's own?

Both fill batches with 666 messages whose bodies have 300 bytes, about what one send on the Standard
tier takes, from an empty batch to one that could be sent. They take turns, A B A B …, and the ratio
is taken within each round. What is done with a batch afterwards is the same for both.

    python -m benchmarks.encode [--rounds 11] [--messages 6660]
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import click
from azure.servicebus import ServiceBusMessageBatch

from bridge.batch import Message
from bridge.encoder import EncodedBatch, SdkBatch
from bridge.encoder_check import chosen_encoder
from bridge.message_bytes import Common

PER_BATCH = 666
BODY_BYTES = 300

#: As long as an id is of a task in the middle of a million.
ID = "0193a3b5-7b1c-7000-8000-0123456789ab-s1-{}.1.1.0123456789abcdef"


def batch_of_messages() -> list[Message]:
    return [
        Message(index, ID.format(500_000 + index), b"x" * BODY_BYTES) for index in range(PER_BATCH)
    ]


def per_second(encoder: type[SdkBatch], messages: list[Message], batches: int) -> float:
    """Messages per second, each batch a new one."""
    began = time.perf_counter()
    for _ in range(batches):
        batch = ServiceBusMessageBatch()
        added = encoder(batch, Common(subject="h3_hexagon")).add_all(messages)
        assert added == len(batch) == len(messages), "all of them fit"
    return batches * len(messages) / (time.perf_counter() - began)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=11, show_default=True)
@click.option("--messages", type=click.IntRange(PER_BATCH), default=6660, show_default=True)
def main(rounds: int, messages: int) -> None:
    """Measure and print; write build/bench-encode.json."""
    assert chosen_encoder() is EncodedBatch, "the installed SDK differs from ours"
    page, batches = batch_of_messages(), messages // PER_BATCH
    per_second(SdkBatch, page, 1)
    per_second(EncodedBatch, page, 1)
    # Ours has many more to do, so that its times are long enough to be measured.
    pairs = [
        (per_second(EncodedBatch, page, batches * 30), per_second(SdkBatch, page, batches))
        for _ in range(rounds)
    ]
    ratios = [ours / sdks for ours, sdks in pairs]
    ours_per_s, sdks_per_s = (statistics.median(each) for each in zip(*pairs, strict=True))
    result = {
        "encode_ratio_to_sdk": round(statistics.median(ratios), 1),
        "encode_ratio_to_sdk_spread": [round(min(ratios), 1), round(max(ratios), 1)],
        "encoded_per_s": round(ours_per_s),
        "encoded_us_per_message": round(1e6 / ours_per_s, 2),
        "sdk_encoded_per_s": round(sdks_per_s),
        "sdk_us_per_message": round(1e6 / sdks_per_s, 1),
        "per_batch": PER_BATCH,
        "body_bytes": BODY_BYTES,
        "rounds": rounds,
        "azure_servicebus": version("azure-servicebus"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}",
    }
    Path("build").mkdir(exist_ok=True)
    Path("build/bench-encode.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        click.echo(f"{name:28} {value}")


if __name__ == "__main__":
    main()
