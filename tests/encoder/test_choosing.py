"""Ours is used only where it does what the installed SDK does; otherwise a warning says why not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import chain, repeat
from typing import Any

import pytest
from azure.core.settings import settings as sdk_settings
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus._common import message as sdk_message
from azure.servicebus._pyamqp import _encode
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from bridge import encoder_check
from bridge.batch import Message
from bridge.encoder import EncodedBatch, SdkBatch
from bridge.encoder_check import chosen_encoder, differences
from bridge.message_bytes import Common

TRANSPORT = "azure.servicebus.aio._transport._pyamqp_transport_async"

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def choose_anew() -> Iterator[None]:
    """As a process does that has just begun; the next test, too."""
    chosen_encoder.cache_clear()
    sdk_settings.tracing_implementation.set_value(None)
    yield
    chosen_encoder.cache_clear()
    sdk_settings.tracing_implementation.set_value(None)


def counts_more(patch: Patch) -> None:
    patch.setattr(sdk_message, "_BATCH_MESSAGE_OVERHEAD_COST", [5, 9])


def leaves_out_trailing_nulls(patch: Patch) -> None:
    """As its source says that it might."""
    describe = _encode.describe_performative

    def shorter(performative: Any) -> Any:
        described = describe(performative)
        fields = described["VALUE"][1]["VALUE"]
        while fields and fields[-1]["VALUE"] is None:
            fields.pop()
        return described

    patch.setattr(_encode, "describe_performative", shorter)


def says_more_of_the_envelope(patch: Patch) -> None:
    class Batch(ServiceBusMessageBatch):
        def add_message(self, message: Any) -> None:
            super().add_message(message)
            self._message[4] = {"messages": str(len(self))}

    patch.setattr(encoder_check, "ServiceBusMessageBatch", Batch)


def keeps_the_bytes_elsewhere(patch: Patch) -> None:
    class Batch(ServiceBusMessageBatch):
        def add_message(self, message: Any) -> None:
            self._message[5] = [*self._message[5]]
            super().add_message(message)
            self._message[5] = tuple(self._message[5])

    patch.setattr(encoder_check, "ServiceBusMessageBatch", Batch)


def counts_in_something_new(patch: Patch) -> None:
    class Batch(ServiceBusMessageBatch):
        total = 0

        def add_message(self, message: ServiceBusMessage) -> None:  # type: ignore[override]
            super().add_message(message)
            self.total += 1

    patch.setattr(encoder_check, "ServiceBusMessageBatch", Batch)


def takes_more(patch: Patch) -> None:
    class Batch(ServiceBusMessageBatch):
        def add_message(self, message: Any) -> None:
            self._max_size_in_bytes += 1
            try:
                super().add_message(message)
            finally:
                self._max_size_in_bytes -= 1

    patch.setattr(encoder_check, "ServiceBusMessageBatch", Batch)


def has_other_modules(patch: Patch) -> None:
    patch.setitem(sys.modules, TRANSPORT, None)


def has_another_symbol_for_the_partition_key(patch: Patch) -> None:
    patch.setattr(sdk_message, "_X_OPT_PARTITION_KEY", b"x-opt-partition")


def traces(_: Patch) -> None:
    class Span:
        def __init__(self, **_: Any) -> None: ...

        def __enter__(self) -> Span:
            return self

        def __exit__(self, *_: object) -> None: ...

        def to_header(self) -> dict[str, str]:
            return {"traceparent": "0" * 55}

        def add_attribute(self, *_: object) -> None: ...

    implementation: Any = sdk_settings.tracing_implementation
    implementation.set_value(Span)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (counts_more, "_size"),
        (leaves_out_trailing_nulls, "_message"),
        (says_more_of_the_envelope, "_message"),
        (keeps_the_bytes_elsewhere, "TypeError: 'tuple' object"),
        (counts_in_something_new, "total"),
        (takes_more, "one byte too many: _count"),
        (has_other_modules, "ModuleNotFoundError"),
        (has_another_symbol_for_the_partition_key, "partition_key: _message"),
        (traces, "_message"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_an_sdk_that_differs_encodes_by_itself_and_a_warning_says_so(
    change: Callable[[Patch], None],
    told: str,
    monkeypatch: Patch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    change(monkeypatch)
    assert chosen_encoder() is SdkBatch
    assert chosen_encoder() is SdkBatch
    (record,) = caplog.records
    fields = vars(record)["stagebus_fields"]
    assert (record.levelname, record.getMessage()) == ("WARNING", "encoder.differs")
    assert fields["azure_servicebus"] == version("azure-servicebus")
    assert told in fields["difference"]


def test_the_installed_one_does_not_differ(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen_encoder() is EncodedBatch
    assert caplog.records == []


def test_every_sample_is_looked_at(monkeypatch: Patch) -> None:
    """A difference that shows only with some of them is found with just those."""
    leaves_out_trailing_nulls(monkeypatch)
    found = {each.split(":")[0] for each in differences()}
    assert found >= {"subject", "everything", "lengths", "a full batch"}
    monkeypatch.undo()
    has_another_symbol_for_the_partition_key(monkeypatch)
    assert {each.split(":")[0] for each in differences()} == {"partition_key", "everything"}


@pytest.mark.parametrize("calls", range(0, 45, 4))
def test_a_second_that_passes_meanwhile_is_no_difference(monkeypatch: Patch, calls: int) -> None:
    """Messages that live for some time say when they were made; the SDK asks twice for each."""
    clock = chain(repeat(100.0, calls), repeat(101.0))
    monkeypatch.setattr(time, "mktime", lambda _: next(clock))
    assert [*differences()] == []


def test_a_batch_that_the_sdk_would_make_anew_is_not_taken_for_empty() -> None:
    batch = ServiceBusMessageBatch(1000)
    EncodedBatch(batch, Common(subject="tiles")).add_all([Message(1, "id", b"{}")] * 2)
    assert batch._amqp_transport is PyamqpTransport
    with pytest.raises(RuntimeError, match="not listed"):
        ServiceBusMessageBatch(1000)._from_list(batch._messages)
