"""Chooses how batches are filled: with our bytes only if they are those of the installed SDK."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import Any

from azure.servicebus import ServiceBusMessageBatch

from bridge.batch import Message
from bridge.encoder import EncodedBatch, SdkBatch
from bridge.logs import EventLog
from bridge.message_bytes import Common

log = EventLog("stagebus.encoder")

_ID = "0193a3b5-7b1c-7000-8000-0123456789ab-s1-1.1.1.0123456789abcdef"

#: Bytes of a batch, unless it is about them.
_LIMIT = 1_048_576

#: A value of each; then all of them at once, some of which take the longer forms.
_COMMONS = {
    "subject": Common(subject="tiles"),
    "correlation_id": Common(subject="tiles", correlation_id="corrélation"),
    "session_id": Common(subject="tiles", session_id="sé-1"),
    "partition_key": Common(subject="tiles", partition_key="kéy"),
    "scheduled_at": Common(
        subject="tiles", scheduled_at=datetime(2030, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
    ),
    "time_to_live": Common(subject="tiles", time_to_live=timedelta(days=14)),
    "application_properties": Common(
        subject="tiles", application_properties={"traceparent": "00-é-01", "tracestate": ""}
    ),
    "everything": Common(
        subject="漢" * 85,
        correlation_id="é" * 128,
        session_id="🗺" * 128,
        partition_key="🗺" * 128,
        scheduled_at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        time_to_live=timedelta(seconds=1),
        application_properties={"é" * 128: "x" * 255, "tracestate": "🗺" * 64},
    ),
}

#: Where the lengths of ids and bodies take another form.
_MESSAGES = [
    *(Message(1, each, b"{}") for each in (_ID, "x", "é" * 128, "漢" * 85, "漢" * 85 + "x")),
    *(Message(1, _ID, bytes(size)) for size in (0, 1, 255, 256, 65_535, 65_536)),
]

#: Where those of the properties, and of the message as a whole, do.
_LONG = Common(subject="x" * 100)
_LENGTHS = [Message(1, "x" * length, b"") for length in range(1, 129)]


@cache
def chosen_encoder() -> type[SdkBatch]:
    """EncodedBatch, if it does as the installed SDK does; else SdkBatch, and a warning is logged.

    With the SDK's tracing on it does not: that adds headers to each message.
    """
    try:
        difference = next(differences(), None)
    # Whatever it is that our encoder relies on and a version of the SDK lacks.
    except Exception as error:  # noqa: BLE001
        difference = f"{type(error).__name__}: {error}"
    if difference is None:
        return EncodedBatch
    sdk = version("azure-servicebus")
    log.warning("encoder.differs", azure_servicebus=sdk, difference=difference[:500])
    return SdkBatch


def differences() -> Iterator[str]:
    """What the two do not do alike, of all samples. Raises anything if the SDK lacks a part."""
    for name, common in _COMMONS.items():
        yield from _differences(name, common, _MESSAGES)
    yield from _differences("lengths", _LONG, _LENGTHS)
    few = _LENGTHS[:4]
    full = _filled(SdkBatch, _LONG, few, _LIMIT)["_size"]
    yield from _differences("a full batch", _LONG, few, full)
    yield from _differences("one byte too many", _LONG, few, full - 1)


def _differences(
    name: str, common: Common, messages: list[Message], limit: int = _LIMIT
) -> Iterator[str]:
    for _ in range(2):
        sdks = _filled(SdkBatch, common, messages, limit)
        ours = _filled(EncodedBatch, common, messages, limit)
        different = sorted(key for key in sdks | ours if sdks.get(key) != ours.get(key))
        # Messages with a time to live have the time in them, and it may just have gone on.
        if not different or common.time_to_live is None:
            break
    if different:
        yield f"{name}: {', '.join(different)}"


def _filled(
    encoder: type[SdkBatch], common: Common, messages: list[Message], limit: int
) -> dict[str, Any]:
    """All that the SDK's batch consists of, but for the list that a send does not look at.

    Its message is that which goes to the broker.
    """
    from azure.servicebus.aio._transport._pyamqp_transport_async import PyamqpTransportAsync

    batch = ServiceBusMessageBatch(limit, amqp_transport=PyamqpTransportAsync)
    filled = encoder(batch, common)
    added = filled.add_all(messages)
    sent = PyamqpTransportAsync.encode_message(filled.packed())  # type: ignore[arg-type]
    return {**vars(batch), "_messages": None, "_message": bytes(sent), "added": added}
