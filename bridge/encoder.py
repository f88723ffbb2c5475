"""Fills the SDK's batches: by its public API, or with messages encoded here, which is far faster.

Both put the same bytes there; `encoder_check` makes sure of it before ours are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError

from bridge.batch import Message
from bridge.message_bytes import CONTENT_TYPE, Common, Template


class SdkBatch:
    """A batch of the SDK's that the SDK fills."""

    def __init__(self, batch: ServiceBusMessageBatch, common: Common) -> None:
        self.batch = batch
        self._common = common

    def add_all(self, messages: Sequence[Message]) -> int:
        """Adds them from the first on until one does not fit any more; returns how many it added.

        An id has 1 to 128 characters.
        """
        common = self._common
        for added, message in enumerate(messages):
            try:
                self.batch.add_message(
                    ServiceBusMessage(
                        message.body,
                        message_id=message.message_id,
                        content_type=CONTENT_TYPE,
                        subject=common.subject,
                        correlation_id=common.correlation_id,
                        session_id=common.session_id,
                        partition_key=common.partition_key,
                        scheduled_enqueue_time_utc=common.scheduled_at,
                        time_to_live=common.time_to_live,
                        application_properties=dict(common.application_properties.items()),
                    )
                )
            except MessageSizeExceededError:
                return added
        return len(messages)

    def packed(self) -> ServiceBusMessageBatch:
        """The batch with all that was added, as it is sent."""
        return self.batch


class EncodedBatch(SdkBatch):
    """A batch of the SDK's with messages that are encoded here.

    But for the first: that one the SDK adds, and makes the batch's envelope from it.
    """

    def __init__(self, batch: ServiceBusMessageBatch, common: Common) -> None:
        super().__init__(batch, common)
        self._template = Template(common)
        self._sections: list[bytes] = []

    def add_all(self, messages: Sequence[Message]) -> int:
        batch = self.batch
        first = 0
        if not len(batch):
            first = super().add_all(messages[:1])
            if not first:
                return 0
            batch._messages = _Unlisted()
        size, limit = batch.size_in_bytes, batch.max_size_in_bytes
        encode = self._template.encode
        before = len(self._sections)
        for message in islice(messages, first, None):
            section = encode(message.message_id, message.body)
            # The SDK counts all of it.
            size_after = size + len(section)
            if size_after > limit:
                break
            self._sections.append(section)
            size = size_after
        added = len(self._sections) - before
        batch._count += added
        batch._size = size
        return first + added

    def packed(self) -> ServiceBusMessageBatch:
        if self._sections:
            data = self.batch._message[5]
            data[:] = [_Sections(data[0], self._sections)]
            self._sections = []
        return self.batch


class _Sections(bytes):
    """The data of several sections in the place of the first one's.

    The SDK writes the length of a section's data, then the data: with all sections in it at once
    that is a sixth of the work. What this says of its length is that of the first message.
    """

    _length: int

    def __new__(cls, first: bytes, others: list[bytes]) -> _Sections:
        joined = super().__new__(cls, b"".join((first, *others)))
        joined._length = len(first)
        return joined

    def __len__(self) -> int:
        return self._length


class _Unlisted(list[ServiceBusMessage]):
    """In the place of the SDK's own list of what it has added, at which a send does not look.

    Where it does, as a sender of another transport that makes the batch anew, or one that traces,
    it must not find less than there is: what is not found would be lost.
    """

    def __iter__(self) -> NoReturn:
        raise RuntimeError("the messages of this batch are encoded, and not listed")
