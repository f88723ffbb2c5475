"""A local Azure Service Bus endpoint for the unmodified azure-servicebus SDK.

It stands in for the service where no container engine runs: in the demo, the tests, the fault tests
and the benchmarks. It keeps its messages in memory and is meant for the loopback interface: any
token is accepted, and there is no TLS (`UseDevelopmentEmulator=true` tells the SDK so).

    async with Endpoint(["tasks", "jobs"]) as endpoint:
        ServiceBusClient.from_connection_string(endpoint.connection_string)

or `python -m bridge.local.endpoint --queue tasks`, or `process.run_endpoint()`.
docs/local-endpoint.md says what works, what differs from the service and what is not there.

How it is built, from the outside in: `__main__` and `process`; `server` and `control`; `connection`
(a socket), `engine` (proton without I/O, over `frames`) and `conversation` (what its events lead
to); `link_table`, and `attach`, which gives each link its end (`arriving`, `leaving` with
`disposition`, `replies`, over `answers`); `request_node`, whose requests `cbs` and `management`
answer (`locked_requests`, `stored_requests`); `namespace`, `queue` with `aftermath`, and `topic`,
which know nothing of AMQP links; under them `intake` with `duplicates`, `schedule` and `journal`;
`store` with `block`, `shelf` and `agenda`; `locks`, `line` and `settlement`; `batch`, `head`,
`render` and `wire` for the bytes. `faults` makes any of it fail on demand; `emulator_config` reads
entities from a file.
"""

from bridge.local.endpoint.config import EntityConfig
from bridge.local.endpoint.outcomes import Refused
from bridge.local.endpoint.server import Endpoint

__all__ = ["Endpoint", "EntityConfig", "Refused"]
