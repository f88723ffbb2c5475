"""Scripted faults of an endpoint in another process, by its HTTP port."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import cast

from bridge.local.endpoint.faults.book import Statuses
from bridge.local.endpoint.faults.entry import FaultStatus
from bridge.local.endpoint.faults.reading import FaultError, NameTaken, NoSuchFault

_SECONDS = 10
_ERRORS: dict[int, type[Exception]] = {400: FaultError, 404: NoSuchFault, 409: NameTaken}


class RemoteFaults:
    """The same calls as those of a FaultBook; each raises OSError if nobody answers."""

    def __init__(self, control_url: str) -> None:
        self._url = control_url

    def set(self, **fields: object) -> FaultStatus:
        """Add one fault, given by its fields. Raises FaultError."""
        return self.add([fields])[0]

    def add(self, faults: Iterable[Mapping[str, object]]) -> Statuses:
        """Add faults, all of them or none. Raises FaultError."""
        return cast(Statuses, _ask(f"{self._url}/faults", "POST", [dict(each) for each in faults]))

    def list(self) -> Statuses:
        """Every fault with its counts, in the order they were added."""
        return cast(Statuses, _ask(f"{self._url}/faults"))

    def remove(self, name: str) -> FaultStatus:
        """Remove one fault and return its last counts. Raises NoSuchFault."""
        return cast(FaultStatus, _ask(f"{self._url}/faults/{name}", "DELETE"))

    def clear(self) -> Statuses:
        """Remove every fault and return their last counts."""
        return cast(Statuses, _ask(f"{self._url}/faults", "DELETE"))


def ask(url: str, method: str = "GET", body: object = None) -> object:
    """The JSON that is answered. Raises OSError."""
    request = urllib.request.Request(  # noqa: S310
        url,
        method=method,
        data=json.dumps(body).encode() if method == "POST" else None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
        return cast(object, json.load(response))


def _ask(url: str, method: str = "GET", body: object = None) -> object:
    """As `ask`, with the errors of faults."""
    try:
        return ask(url, method, body)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace").strip()
        raise _ERRORS.get(error.code, OSError)(text) from None
