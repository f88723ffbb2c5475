"""A local Azure Service Bus endpoint for the unmodified azure-servicebus SDK.

It stands in for the service where no container engine runs: in the demo, the tests, the fault tests
and the benchmarks. It keeps its messages in memory and is meant for the loopback interface: any
token is accepted, and there is no TLS (`UseDevelopmentEmulator=true` tells the SDK so).

    async with Endpoint(["tasks", "jobs"]) as endpoint:
        ServiceBusClient.from_connection_string(endpoint.connection_string)

or `python -m bridge.local.endpoint --queue tasks`, or `process.run_endpoint()`. What is written
below about the service is from its documentation or from the source of the SDK, if it does
not say otherwise; *unsure* marks what has not been compared with the service itself.

What works
- queues by name, without regard to case; `$cbs`; a dead-letter queue each, `/$DeadLetterQueue`
- single messages, and batches (message format 0x80013700) that are taken or refused as a whole;
  limits in bytes (on the link too) and in messages
- duplicate detection by message id, from the first arrival for the length of the window
- peek-lock and receive-and-delete, credit and drain, receivers in turn, order by sequence number,
  redelivered messages first
- complete, abandon, release, dead-letter, on the link (with or without awaiting the outcome) and by
  lock token; locks that end, are renewed and outlive their link; dead-lettering after too many
  failed deliveries
- counts and health over HTTP, and a journal of what was stored

What is not there yet, and is refused rather than done wrongly: topics and subscriptions (not
found), sessions, deferring, peeking, scheduled messages, transactions, rules (not implemented).
Of a time to live it takes no notice: the message keeps it but never expires.

What differs, or may
- A release is not counted as a failed delivery, in keeping with AMQP and with what the SDK relies
  on when it gives back what it did not hand out. An abandon and the end of a lock are counted.
- A message is dead-lettered when its failed deliveries reach the maximum, at the moment of the last
  failure. It keeps its sequence number, enqueue time and count of failed deliveries there (unsure).
- Dead-lettering a message of a dead-letter queue leaves it there, available (unsure).
- A delivery that a client settles without an outcome stays locked until its lock ends (unsure).
- Message ids of different AMQP types are different ids; an empty id is none (unsure).
- A message id of more than 128 characters: `com.microsoft:argument-error`; a message that cannot be
  read: `amqp:decode-error` (both unsure). Only what stands before the body is read.
- Too many messages in a batch: `amqp:internal-error`, with a text of our own.
- There is no quota of messages, no throttling, no limit of connections, and no detaching of idle
  links; a silent connection is given up after twice the idle timeout it was told.
- Several lock tokens in one management request are applied all or none (unsure).
- The enqueue time is that of the batch. Dropped duplicates leave no gaps in sequence numbers.

How it is built, from the outside in: `__main__` and `process`; `server` and `control`; `connection`
(a socket) and `engine` (proton without I/O, over `frames`); `attach`, which gives each link its end
(`arriving`, `leaving`, `replies`); `cbs` and `management`, which answer requests; `namespace` and
`queue`, which know nothing of AMQP links; under them `backlog`, `locks`, `duplicates`, `batch`,
`render`, `wire`, `journal`.
"""

from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.outcomes import Refused
from bridge.local.endpoint.server import Endpoint

__all__ = ["Endpoint", "EntityConfig", "Refused"]
