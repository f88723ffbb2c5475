"""What a bridge is told from outside: one frozen value, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bridge.errors import SettingsError

#: Seconds that a setting may have at most: a day.
LONGEST = 86_400.0

#: Connections at most; a namespace on Standard takes 1,000.
MOST_CONNECTIONS = 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one bridge process; `stagebus bridge --help` explains each."""

    database_url: str
    """A libpq URL or conninfo string; its role is a member of stagebus_bridge."""
    servicebus_connection_string: str | None = None
    servicebus_namespace: str | None = None
    """A fully qualified namespace, `NAME.servicebus.windows.net`; then Entra ID signs in."""
    connections: int = 8
    """Connections to the broker, and so batches in flight at a time."""
    lease: float = 60.0
    """Seconds for which a claimed batch is this bridge's without a sign of life. A send that nobody
    answered is repeated for its destination's duplicate_window, less two of these; then held."""
    send_deadline: float = 20.0
    """Seconds after which a send without an answer is dropped, its outcome unknown."""
    poll: float = 2.0
    """Seconds between two looks for work when no notification comes: the longest wait. No look says
    when a throttling ends, so that this is also how much later a bridge may notice it."""
    publish_attempts: int = 10
    """Failed publish attempts after which a batch waits for an operator."""
    max_send_messages: int = 4500
    """Messages in one send at most; the service's limit on Standard is 4,500 (undocumented)."""
    dead_letters: bool = True
    """Read the dead-letter queues of the queues in use; that takes the right to receive."""
    allow_fsync_off: bool = False
    """Work with a server that has fsync = off, which may lose everything when it crashes."""

    def __post_init__(self) -> None:
        if (self.servicebus_connection_string is None) == (self.servicebus_namespace is None):
            raise SettingsError(
                "give either the connection string of Service Bus"
                " (STAGEBUS_SERVICEBUS_CONNECTION_STRING) or its namespace"
                " (STAGEBUS_SERVICEBUS_NAMESPACE), not both and not neither"
            )
        for name in ("lease", "send_deadline", "poll"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and 0 < seconds <= LONGEST):
                raise SettingsError(
                    f"{name} is a number of seconds above 0, {LONGEST:g} at most; it is {seconds:g}"
                )
        if self.send_deadline >= self.lease:
            raise SettingsError(
                f"send_deadline ({self.send_deadline:g} s) must be shorter than the lease"
                f" ({self.lease:g} s): a send may not outlive the claim it belongs to"
            )
        if not 1 <= self.connections <= MOST_CONNECTIONS:
            raise SettingsError(f"connections is 1 to {MOST_CONNECTIONS}; it is {self.connections}")
        if self.publish_attempts < 1:
            raise SettingsError(f"publish_attempts is at least 1; it is {self.publish_attempts}")
        if not 1 <= self.max_send_messages <= 4500:
            raise SettingsError(f"max_send_messages is 1 to 4500; it is {self.max_send_messages}")
