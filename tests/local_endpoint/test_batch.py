"""Every message is found and named the same, whichever way the transfer is read."""

from __future__ import annotations

import uuid

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp._decode import decode_payload
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport
from hypothesis import given
from hypothesis import strategies as st
from proton import Message, symbol, ulong

from bridge.local.endpoint.batch import BATCH_FORMAT, read_transfer
from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.head import read_head
from bridge.local.endpoint.message import StoredMessage
from bridge.local.endpoint.outcomes import Refused
from bridge.local.endpoint.render import render, with_properties
from bridge.local.endpoint.settlement import encoded

texts = st.text(max_size=100)
ids = st.text(min_size=1, max_size=128)


def by_the_sdk(each: str, body: bytes, subject: str | None, key: str | None) -> bytes:
    """A message as the SDK encodes it."""
    message = ServiceBusMessage(body, message_id=each, subject=subject, partition_key=key)
    output = bytearray()
    encode_payload(output, PyamqpTransport.to_outgoing_amqp_message(message.raw_amqp_message))
    return bytes(output)


def by_proton(each: object, **parts: object) -> bytes:
    """A message as another library encodes it."""
    return bytes(Message(id=each, **parts).encode())


def batch_of(messages: list[bytes]) -> bytes:
    """The body of a batch, in the long form and, where it can be, the short one."""
    return b"".join(
        b"\x00Su\xa0" + bytes((len(each),)) + each
        if len(each) < 256 and number % 2
        else b"\x00Su\xb0" + len(each).to_bytes(4, "big") + each
        for number, each in enumerate(messages)
    )


@given(st.lists(st.tuples(ids, st.binary(max_size=400), st.none() | texts, st.none() | texts)))
def test_a_batch_is_cut_into_its_messages(
    parts: list[tuple[str, bytes, str | None, str | None]],
) -> None:
    messages = [by_the_sdk(*part) for part in parts]
    envelope = by_the_sdk("envelope", b"", None, "key").removesuffix(b"\x00Su\xa0\x00")
    for before in (b"", envelope):
        arrival = read_transfer(before + batch_of(messages), BATCH_FORMAT, EntityConfig())
        assert arrival.ids == [part[0].encode() for part in parts]
        assert messages == [
            arrival.data[start:end] for start, end in zip(arrival.starts, arrival.ends, strict=True)
        ]


@given(
    st.none() | ids | st.binary(min_size=1, max_size=40) | st.uuids() | st.integers(0, 2**64 - 1),
    st.booleans(),
    st.booleans(),
)
def test_an_id_and_a_time_to_live_are_found_quickly_and_slowly_alike(
    given: object, header: bool, annotations: bool
) -> None:
    each = ulong(given) if isinstance(given, int) else given
    parts: dict[str, object] = {"body": b"x", "inferred": True}
    if header:
        parts |= {"ttl": 5.0, "durable": True}
    if annotations:
        parts |= {"annotations": {symbol("a"): 1}, "instructions": {symbol("b"): "c"}}
    message = by_proton(each, **parts)
    slowly, ttl, due = read_head(message, 0, len(message))
    assert (ttl, due) == (5_000 if header else 0, 0)
    assert read_transfer(message, 0, EntityConfig()).ids == [slowly]
    batch = read_transfer(batch_of([message] * 2), BATCH_FORMAT, EntityConfig())
    assert batch.ids == [slowly] * 2
    assert batch.ttls == ({0: 5_000, 1: 5_000} if header else {})
    expected = {
        str: lambda: given.encode(),  # type: ignore[attr-defined]
        bytes: lambda: b"\xffb" + given,  # type: ignore[operator]
        uuid.UUID: lambda: b"\xffu" + given.bytes,  # type: ignore[attr-defined]
        int: lambda: b"\xffn%d" % given,  # type: ignore[operator]
        type(None): lambda: None,
    }
    assert slowly == expected[type(given)]()


@given(st.binary(max_size=60), st.data())
def test_whatever_arrives_is_read_or_refused(noise: bytes, data: st.DataObject) -> None:
    good = batch_of([by_the_sdk("a", b"x", None, None)] * 2)
    at = data.draw(st.integers(0, len(good)))
    for bad in (noise, good[:at] + noise, good[:at] + noise + good[at + len(noise) :]):
        for message_format in (0, BATCH_FORMAT):
            try:
                arrival = read_transfer(bad, message_format, EntityConfig())
            except Refused:
                continue
            assert all(end <= len(bad) for end in arrival.ends)


@pytest.mark.parametrize("locked_until", [None, 1_700_000_060_000])
@pytest.mark.parametrize("plain", [True, False])
def test_a_delivery_says_what_the_service_says(locked_until: int | None, plain: bool) -> None:
    own: dict[str, object] = {}
    if not plain:
        own = {"annotations": {symbol("own"): 1, symbol("x-opt-sequence-number"): 99}, "ttl": 5.0}
    message = StoredMessage(
        7, 1_700_000_000_000, by_proton("a", body=b"x", inferred=True, priority=4, **own)
    )
    message.failed_deliveries = 3
    rendered = decode_payload(memoryview(render(message, locked_until)))
    assert rendered.header.delivery_count == 3
    assert rendered.properties.message_id == b"a"
    assert rendered.message_annotations == {
        **({} if plain else {b"own": 1}),
        b"x-opt-sequence-number": 7,
        b"x-opt-enqueued-time": 1_700_000_000_000,
        **({} if locked_until is None else {b"x-opt-locked-until": locked_until}),
    }
    assert rendered.header.ttl == (None if plain else 5_000)
    assert list(rendered.data) == [b"x"]


def test_properties_are_added_where_there_were_none() -> None:
    for body in ("text", b"bytes", None):
        added = with_properties(by_proton("a", body=body), encoded({"DeadLetterReason": "why"}))
        decoded = Message()
        decoded.decode(added)
        assert decoded.properties == {"DeadLetterReason": "why"}
        assert (decoded.id, decoded.body) == ("a", body)


def test_a_time_to_live_of_nothing_is_none() -> None:
    rest = b"\x00Ss\xc0\x04\x01\xa1\x01a\x00Su\xa0\x01x"
    for ttl, expected in ((b"@", {}), (b"C", {}), (b"R\x07", {0: 7}), (b"p\0\0\1\0", {0: 256})):
        header = b"\x00Sp\xc0" + bytes((len(ttl) + 3, 3)) + b"@@" + ttl
        assert read_transfer(header + rest, 0, EntityConfig()).ttls == expected
        assert (
            read_transfer(batch_of([header + rest]), BATCH_FORMAT, EntityConfig()).ttls == expected
        )
