"""What a send hands to the SDK's link, and a clock that stands still."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from azure.servicebus import ServiceBusMessageBatch
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._pyamqp.message import BatchMessage

from bridge.batch import Message
from bridge.encoder import SdkBatch
from bridge.message_bytes import Common

#: 2030-03-17 17:46:40 UTC.
NOW = 1_900_000_000.0


@contextmanager
def standing_clock() -> Iterator[None]:
    """The time that is written into messages with a time to live is NOW."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "mktime", lambda _: NOW)
        yield


class Filled(NamedTuple):
    """A batch as the SDK's public API and its link see it."""

    added: int
    count: int
    size: int
    wire: bytes


def filled(
    encoder: type[SdkBatch], common: Common, parts: Sequence[Sequence[Message]], limit: int
) -> Filled:
    """Fills a batch with these, part by part, as long as they fit."""
    batch = ServiceBusMessageBatch(limit)
    packed = encoder(batch, common)
    added = 0
    for part in parts:
        fitting = packed.add_all(part)
        added += fitting
        if fitting < len(part):
            break
    return Filled(added, len(batch), batch.size_in_bytes, wire(packed.packed()))


def wire(batch: ServiceBusMessageBatch) -> bytes:
    """The payload of the transfer."""
    return bytes(encode_payload(bytearray(), BatchMessage(*batch._message)))
