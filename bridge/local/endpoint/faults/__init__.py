"""Scripted faults: what a broker, or the way to it, can do to a client, on demand and counted.

`fault` says what one is, `reading` makes them of JSON, `book` keeps those that are set, each an
`entry` with its counts, and picks the one that befalls an operation; `acting` does what it says,
with the error of `refusing`.
The parts of the endpoint ask the book before they answer a client, if it is armed. `routes` and
`remote` are the two ends of the HTTP port. docs/local-endpoint.md describes them for users.
"""

from bridge.local.endpoint.faults.book import FaultBook
from bridge.local.endpoint.faults.entry import FaultStatus
from bridge.local.endpoint.faults.fault import Fault
from bridge.local.endpoint.faults.reading import FaultError, NameTaken, NoSuchFault

__all__ = ["Fault", "FaultBook", "FaultError", "FaultStatus", "NameTaken", "NoSuchFault"]
