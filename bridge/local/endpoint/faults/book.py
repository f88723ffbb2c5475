"""The faults that are set: which of them befalls an operation, and how often each has.

An operation is offered to the faults in the order they were added; the first that wants it has
it, and those after it do not see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from bridge.local.endpoint.clock import Clock
from bridge.local.endpoint.faults.entry import Entry, FaultStatus
from bridge.local.endpoint.faults.fault import Fault, Operation
from bridge.local.endpoint.faults.reading import (
    FaultError,
    NameTaken,
    NoSuchFault,
    read_fault,
    read_file,
)

#: A class with a method `list` cannot name the type.
Statuses: TypeAlias = list[FaultStatus]


class FaultBook:
    """The faults of one endpoint.

    `armed` is False as long as no fault can befall anything. `name_of` gives the name of the
    entity at an address, None if there is none. `at_once` is called with a new fault that befalls
    what is attached, and returns how many links that were.
    """

    def __init__(
        self,
        clock: Clock,
        name_of: Callable[[str], str | None],
        at_once: Callable[[Fault], int],
    ) -> None:
        self.armed = False
        self._clock = clock
        self._name_of = name_of
        self._at_once = at_once
        self._entries: dict[str, Entry] = {}

    def strike(
        self,
        on: Operation,
        entity: str | None,
        side: Operation | None = None,
        data: bytes = b"",
    ) -> Fault | None:
        """The fault that befalls an operation on `entity`, which is counted; usually None.

        side: of an attach, what the link is for: "send" or "deliver". data: of a send, its bytes.
        """
        now = self._clock.now()
        key = None if entity is None else entity.lower()
        for entry in self._entries.values():
            if entry.active(now) and entry.matches(on, key, side, data) and entry.strikes():
                self._arm()
                return entry.fault
        self._arm()
        return None

    def _arm(self) -> None:
        now = self._clock.now()
        self.armed = any(entry.active(now) for entry in self._entries.values())

    def set(self, **fields: object) -> FaultStatus:
        """Add one fault, given by its fields. Raises FaultError."""
        return self.add([read_fault(fields)])[0]

    def add(self, faults: Iterable[Fault]) -> Statuses:
        """Add faults, all of them or none. Raises FaultError."""
        now = self._clock.now()
        new: dict[str, Entry] = {}
        for fault in faults:
            if fault.name in self._entries or fault.name in new:
                raise NameTaken(
                    f"fault {fault.name!r}: field 'name' is {fault.name!r}: there is a fault of"
                    f" this name; give another, or remove that one (DELETE /faults/{fault.name})"
                )
            if fault.entity is not None and not self._is_entity(fault.entity):
                raise FaultError(
                    f"fault {fault.name!r}: field 'entity' is {fault.entity!r}: there is no such"
                    " entity here; give the name of one, or leave it out for all of them"
                )
            new[fault.name] = Entry(fault, now)
        self._entries |= new
        self._arm()
        for entry in new.values():
            if entry.fault.on == "now" or entry.fault.do == "disable":
                links = self._at_once(entry.fault)
                entry.seen += links
                entry.done += links
        return [entry.status(now) for entry in new.values()]

    def add_file(self, path: Path) -> Statuses:
        """Add the faults of a JSON file. Raises FaultError, which names it, and OSError."""
        faults = read_file(path)
        try:
            return self.add(faults)
        except FaultError as error:
            raise FaultError(f"{path}: {error}") from None

    def _is_entity(self, name: str) -> bool:
        found = self._name_of(name)
        return found is not None and found.lower() == name.lower()

    def list(self) -> Statuses:
        """Every fault with its counts, in the order they were added."""
        now = self._clock.now()
        return [entry.status(now) for entry in self._entries.values()]

    def remove(self, name: str) -> FaultStatus:
        """Remove one fault and return its last counts. Raises NoSuchFault."""
        entry = self._entries.pop(name, None)
        if entry is None:
            raise NoSuchFault(f"there is no fault {name!r}")
        self._arm()
        return entry.status(self._clock.now())

    def clear(self) -> Statuses:
        """Remove every fault and return their last counts."""
        last = self.list()
        self._entries.clear()
        self._arm()
        return last

    def done(self) -> dict[str, int]:
        """How many operations each fault has befallen, by name."""
        return {name: entry.done for name, entry in self._entries.items()}
