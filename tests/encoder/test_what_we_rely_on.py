"""What our encoder takes for granted of the SDK, each with a name: a newer one may change it."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessageBatch

from bridge.batch import Message
from bridge.encoder import EncodedBatch, SdkBatch
from bridge.encoder_check import differences
from bridge.message_bytes import Common
from tests.encoder.conftest import standing_clock, wire

SDK = f"azure-servicebus {version('azure-servicebus')}"

MESSAGES = [Message(1, "id-1", b"{}"), Message(2, "id-2", b"xxx")]

#: The second of these messages, as azure-servicebus 7.14 and 7.15 encode it, at the time NOW.
ID = b"\xa1\x04id-2"
SUBJECT = b"@@\xa1\x05tiles@"
TYPE = b"\xa3\x10application/json"
PROPERTIES = b"\x00Ss\xc0*\r" + ID + SUBJECT + b"@" + TYPE + b"@@@@@@"
BODY = b"\x00Su\xa0\x03xxx"
RECORDED = {
    "subject": (Common(subject="tiles"), PROPERTIES + BODY),
    "correlation_id": (
        Common(subject="tiles", correlation_id="c"),
        b"\x00Ss\xc0,\r" + ID + SUBJECT + b"\xa1\x01c" + TYPE + b"@@@@@@" + BODY,
    ),
    "session_id": (
        Common(subject="tiles", session_id="s"),
        b"\x00Ss\xc0,\r" + ID + SUBJECT + b"@" + TYPE + b"@@@\xa1\x01s@@" + BODY,
    ),
    "partition_key": (
        Common(subject="tiles", partition_key="p"),
        b"\x00Sr\xc1\x19\x02\xa3\x13x-opt-partition-key\xa1\x01p" + PROPERTIES + BODY,
    ),
    "scheduled_at": (
        Common(
            subject="tiles", scheduled_at=datetime(2030, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
        ),
        b"\x00Sr\xc1(\x02\xa3\x1cx-opt-scheduled-enqueue-time"
        b"\x83\x00\x00\x01\xb8\xe0\x94\x9b." + PROPERTIES + BODY,
    ),
    "time_to_live": (
        Common(subject="tiles", time_to_live=timedelta(days=14)),
        b"\x00Sp\xc0\n\x05@@pH\x19\x08\x00@@"
        b"\x00Ss\xc0:\r" + ID + SUBJECT + b"@" + TYPE + b"@"
        b"\x83\x00\x00\x01\xba\xa8\xec@\x00\x83\x00\x00\x01\xba`\xd38\x00@@@" + BODY,
    ),
    "application_properties": (
        Common(subject="tiles", application_properties={"traceparent": "00-01"}),
        PROPERTIES + b"\x00St\xc1\x15\x02\xa1\x0btraceparent\xa1\x0500-01" + BODY,
    ),
}  # fmt: skip


def added(encoder: type[SdkBatch], common: Common, messages: list[Message]) -> Any:
    batch = ServiceBusMessageBatch(100_000)
    packed = encoder(batch, common)
    assert packed.add_all(messages) == len(messages)
    return packed.packed()


@pytest.mark.parametrize("part", RECORDED)
def test_a_message_is_encoded_as_recorded(part: str) -> None:
    common, recorded = RECORDED[part]
    with standing_clock():
        sdks, ours = (added(each, common, MESSAGES) for each in (SdkBatch, EncodedBatch))
    assert sdks._message[5][1] == recorded, f"{SDK} encodes a message with {part} differently"
    assert wire(ours) == wire(sdks)


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [("_message", list), ("_messages", list), ("_size", int), ("_count", int)],
)
def test_a_batch_has_what_we_change(attribute: str, kind: type) -> None:
    batch = ServiceBusMessageBatch(1000)
    assert type(getattr(batch, attribute, None)) is kind, f"{SDK}: another {attribute}"


def test_adding_a_message_changes_just_what_we_change() -> None:
    common = Common(subject="tiles", session_id="s")
    batch = added(SdkBatch, common, MESSAGES[:1])
    before: dict[str, Any] = {**vars(batch), "_message": deepcopy(batch._message)}
    before["_messages"] = [*batch._messages]
    SdkBatch(batch, common).add_all(MESSAGES[1:])
    after = vars(batch)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"_message", "_messages", "_size", "_count"}, f"{SDK} keeps something else"
    parts = [*zip(before["_message"], after["_message"], strict=True)]
    assert [index for index, (was, now) in enumerate(parts) if was != now] == [5], (
        f"{SDK} changes more of a batch than its bodies"
    )
    assert after["_message"][5][:1] == before["_message"][5]


def test_the_first_message_alone_makes_the_envelope() -> None:
    batch = added(SdkBatch, Common(subject="tiles", session_id="s", partition_key="s"), MESSAGES)
    header, _, annotations, properties, *_ = batch._message
    assert (header, annotations) == (None, {b"x-opt-partition-key": "s"}), f"{SDK}: its envelope"
    assert {each for each in properties if each is not None} == {"id-1", "s"}


@pytest.mark.parametrize(("length", "around"), [(255, 5), (256, 8)])
def test_what_is_around_a_message_is_counted_as_recorded(length: int, around: int) -> None:
    frame = len(PROPERTIES) + len(BODY) - len(b"xxx")
    message = Message(1, "id-2", b"x" * (length - frame))
    batch = added(SdkBatch, Common(subject="tiles"), [message])
    assert len(batch._message[5][0]) == length
    assert batch.size_in_bytes == length + around, f"{SDK} counts {batch.size_in_bytes - length}"


def test_nothing_else_differs_either() -> None:
    assert [*differences()] == [], f"with {SDK} the bridge falls back to its encoder"
