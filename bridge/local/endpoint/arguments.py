"""What is in the body of a request to `$management`: numbers and arrays. All raise Refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from proton import Array

from bridge.local.endpoint.outcomes import ARGUMENT_ERROR, Refused

Body: TypeAlias = Mapping[object, object]


def number(given: object) -> int:
    """A whole number."""
    if isinstance(given, bool) or not isinstance(given, int):
        raise Refused(ARGUMENT_ERROR, "A whole number was expected.")
    return int(given)


def elements(body: Body, name: str) -> list[object]:
    """What is in the array or list `name`, which is not empty."""
    given = body.get(name)
    found = given.elements if isinstance(given, Array) else given
    if not isinstance(found, list | tuple) or not found:
        raise Refused(ARGUMENT_ERROR, f"The request has no array '{name}'.")
    return list(found)


def numbers(body: Body) -> list[int]:
    """The array of sequence numbers."""
    return [number(each) for each in elements(body, "sequence-numbers")]
