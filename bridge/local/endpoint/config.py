"""What can be set for an entity, in the units and with the defaults of the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Azure Service Bus quotas: a batch, and by default a message, of at most 256 KB on the Standard
# tier and of 1 MB on Premium.
STANDARD_BATCH_BYTES = 262_144
PREMIUM_BATCH_BYTES = 1_048_576
# Undocumented limits of the two tiers, see azure-service-bus#397 and azure-sdk-for-python#14903.
STANDARD_BATCH_COUNT = 4_500
PREMIUM_BATCH_COUNT = 15_885
# Azure Service Bus quotas: a message id has at most 128 characters.
MAX_MESSAGE_ID_LENGTH = 128


@dataclass(frozen=True, slots=True)
class EntityConfig:
    """The settings of one queue, topic or subscription.

    lock_duration: seconds a peek-locked message stays with its receiver.
    max_delivery_count: failed deliveries (abandoned, or lock expired) after which a message goes
        to the dead-letter queue.
    duplicate_window: seconds a message id is remembered, counted from its first arrival;
        None or 0 turns duplicate detection off.
    max_batch_bytes: bytes of one transfer that carries a batch.
    max_batch_count: messages in one batch.
    max_message_bytes: bytes of one transfer that carries a single message; None means the same
        as max_batch_bytes.
    default_ttl: seconds a message lives that names no time to live, or a longer one; None: for
        ever.
    dead_letter_on_expiry: whether what has outlived that goes to the dead-letter queue.
    max_size_bytes: what the entity holds at most, dead letters included; None: no limit. The
        service has 1 to 5 GB (80 on Premium), Microsoft's emulator 100 MB.

    Of a topic count duplicate_window, the sizes and default_ttl; of a subscription the others,
    and default_ttl if it is shorter than its topic's.
    """

    lock_duration: float = 60.0
    max_delivery_count: int = 10
    duplicate_window: float | None = 600.0
    max_batch_bytes: int = STANDARD_BATCH_BYTES
    max_batch_count: int = STANDARD_BATCH_COUNT
    max_message_bytes: int | None = None
    default_ttl: float | None = None
    dead_letter_on_expiry: bool = False
    max_size_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.lock_duration <= 0:
            raise ValueError("lock_duration must be more than 0 seconds")
        if self.max_delivery_count < 1:
            raise ValueError("max_delivery_count must be at least 1")
        if self.duplicate_window is not None and self.duplicate_window < 0:
            raise ValueError("duplicate_window must be None, 0 or a number of seconds")
        if self.max_batch_bytes < 512 or self.message_bytes < 512:
            raise ValueError("max_batch_bytes and max_message_bytes must be at least 512")
        if self.max_batch_count < 1:
            raise ValueError("max_batch_count must be at least 1")
        if self.default_ttl is not None and self.default_ttl <= 0:
            raise ValueError("default_ttl must be None or more than 0 seconds")
        if self.max_size_bytes is not None and self.max_size_bytes < 1:
            raise ValueError("max_size_bytes must be None or at least 1")

    @property
    def message_bytes(self) -> int:
        """The limit of a single message, in bytes."""
        return self.max_batch_bytes if self.max_message_bytes is None else self.max_message_bytes


#: What a queue of each tier of the service has, if nothing else is said.
TIERS: Mapping[str, EntityConfig] = {
    "standard": EntityConfig(),
    "premium": EntityConfig(
        max_batch_bytes=PREMIUM_BATCH_BYTES, max_batch_count=PREMIUM_BATCH_COUNT
    ),
}


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """A topic: its own settings (duplicates, sizes), and its subscriptions' by name."""

    config: EntityConfig = field(default_factory=EntityConfig)
    subscriptions: Mapping[str, EntityConfig] = field(default_factory=dict)
