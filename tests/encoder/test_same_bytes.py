"""Whatever is sent: our encoder fills a batch as the SDK does, to the byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from azure.servicebus import ServiceBusMessageBatch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.batch import Message
from bridge.encoder import EncodedBatch, SdkBatch
from bridge.message_bytes import Common
from tests.encoder.conftest import filled, standing_clock, wire

#: More than any batch of these tests has.
ROOM = 10_000_000

#: Lengths in bytes at which one of the encodings changes, and their neighbours.
EDGES = sorted({max(0, edge + by) for edge in (0, 255, 256, 65_535, 65_536) for by in (-1, 0, 1)})

characters = st.characters(exclude_categories=["Cs"])


def texts(least: int = 0, most: int = 128) -> st.SearchStrategy[str]:
    """Any text of so many characters, those of the edges more often."""
    edges = [
        "x",
        "x" * 127,
        "é" * 127,
        "é" * 128,
        "漢" * 85,
        "漢" * 84 + "éx",
        "漢" * 85 + "x",
        "🗺" * 64,
    ]
    fitting = [each for each in edges if least <= len(each) <= most]
    return st.text(characters, min_size=least, max_size=most) | st.sampled_from(fitting)


bodies = (
    st.binary(max_size=400)
    | st.integers(0, 300).map(lambda size: b"x" * size)
    | st.sampled_from(EDGES).map(lambda size: b"x" * size)
)
messages = st.lists(st.builds(Message, st.just(1), texts(least=1), bodies), min_size=1, max_size=6)
properties = st.dictionaries(
    texts(most=60) | st.sampled_from(["traceparent", "tracestate", "Diagnostic-Id"]),
    texts(most=300),
    max_size=5,
)
times = st.datetimes(
    datetime(1900, 1, 1),  # noqa: DTZ001
    datetime(9998, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=9))]),
)


@st.composite
def commons(draw: st.DrawFn) -> Common:
    session_id = draw(st.none() | texts())
    return Common(
        subject=draw(texts(most=300)),
        correlation_id=draw(st.none() | texts(most=300)),
        session_id=session_id,
        partition_key=draw(st.none() | (texts() if session_id is None else st.just(session_id))),
        scheduled_at=draw(st.none() | times),
        time_to_live=draw(
            st.none() | st.timedeltas(timedelta(0), timedelta(days=49)) | st.just(timedelta(0))
        ),
        application_properties=draw(st.just({}) | properties),
    )


@given(commons(), st.lists(messages, min_size=1, max_size=3), st.data())
@example(Common(subject=""), [[Message(1, "x", b"")]], None)
@settings(deadline=None, max_examples=300)
def test_whatever_there_is_the_batch_is_the_sdks(
    common: Common, parts: list[list[Message]], data: st.DataObject | None
) -> None:
    with standing_clock():
        whole = filled(SdkBatch, common, parts, ROOM)
        assert filled(EncodedBatch, common, parts, ROOM) == whole
        # As much as fits, to the byte.
        limit = data.draw(st.integers(max(1, whole.size - 700), whole.size)) if data else whole.size
        assert filled(EncodedBatch, common, parts, limit) == filled(SdkBatch, common, parts, limit)


def test_every_length_of_ids_and_of_small_messages_is_the_sdks() -> None:
    """Wherever a length's own length changes: of the id, of the properties, of the message."""
    for subject in ("x", "x" * 100, "é" * 128):
        common = Common(subject=subject)
        ids = [Message(1, "x" * length, b"") for length in range(1, 129)]
        short = [Message(1, "x", b"x" * size) for size in range(260)]
        parts = [ids, short]
        assert filled(EncodedBatch, common, parts, ROOM) == filled(SdkBatch, common, parts, ROOM)


def test_bodies_at_every_edge_are_the_sdks() -> None:
    parts = [[Message(1, "🗺" * 64, b"x" * size) for size in EDGES]]
    common = Common(subject="tiles")
    assert filled(EncodedBatch, common, parts, ROOM) == filled(SdkBatch, common, parts, ROOM)


def test_a_batch_is_full_at_the_same_byte_as_the_sdks() -> None:
    parts = [[Message(1, "x", b"x" * size) for size in (190, 191, 300)]]
    common = Common(subject="tiles")
    full = filled(SdkBatch, common, parts, ROOM).size
    for limit in range(full - 800, full + 1):
        ours = filled(EncodedBatch, common, parts, limit)
        assert ours == filled(SdkBatch, common, parts, limit)
        assert (ours.added == 3) == (limit == full)


def test_what_does_not_fit_is_not_added_and_smaller_ones_still_are() -> None:
    parts = [[Message(1, "a", b"x" * 10)], [Message(2, "b", b"x" * 900), Message(3, "c", b"")]]
    common = Common(subject="tiles")
    batches = [encoder(ServiceBusMessageBatch(500), common) for encoder in (SdkBatch, EncodedBatch)]
    for packed in batches:
        assert [packed.add_all(part) for part in parts] == [1, 0]
        assert packed.add_all(parts[1][1:]) == 1
    sdks, ours = (packed.packed() for packed in batches)
    assert wire(ours) == wire(sdks)
    assert (len(ours), ours.size_in_bytes) == (len(sdks), sdks.size_in_bytes)
