"""Making faults of JSON, with errors that name the fault, the field, its value and the way out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridge.local.endpoint.faults.fault import ACTIONS, OPERATIONS, Fault

_SECONDS = "give a number of seconds from 0 to 86400"
_WAYS_OUT = {
    "name": "give 1 to 64 letters, digits, dots, dashes or underscores, the first no sign",
    "on": f"give one of {', '.join(OPERATIONS)}",
    "do": f"give one of {', '.join(ACTIONS)}",
    "entity": "give the name of an entity, or leave it out for all of them",
    "condition": 'give a symbol such as "com.microsoft:server-busy"',
    "description": "give at most 4096 characters, or null for none",
    "info": "give an object of strings, numbers and booleans, or null for none",
    "seconds": _SECONDS,
    "store": "give true or false",
    "after": "give a whole number from 0",
    "times": "give a whole number from 1, or null: until it is removed",
    "for_seconds": _SECONDS,
    "probability": "give a number from 0 to 1",
    "seed": "give a whole number",
}


class FaultError(ValueError):
    """A fault that cannot be set, and why; nothing of what came with it was set either."""


class NameTaken(FaultError):
    """There is a fault of this name already."""


class NoSuchFault(LookupError):
    """There is no fault of this name."""


def read_fault(given: object, place: str = "") -> Fault:
    """The fault that `given` describes. Raises FaultError; `place` names one without a name."""
    if not isinstance(given, Mapping):
        raise FaultError(f"{place or 'a fault'} is {_shown(given)}; give a JSON object")
    name = given.get("name")
    known = f"fault {name!r}" if isinstance(name, str) else place or "a fault without a name"
    try:
        return Fault.model_validate(dict(given))
    except ValidationError as error:
        details = (_sentence(each, given) for each in error.errors(include_url=False))
        raise FaultError(f"{known}: {'; '.join(dict.fromkeys(details))}") from None


def read_faults(given: object) -> list[Fault]:
    """The faults of a list, or of one object. Raises FaultError."""
    if not isinstance(given, list):
        given = [given]
    return [read_fault(each, f"fault number {number}") for number, each in enumerate(given, 1)]


def read_text(text: bytes) -> list[Fault]:
    """The faults in a JSON text: a list, or one object. Raises FaultError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaultError(f"this is not JSON: {error}; give an object or a list of them") from None
    return read_faults(given)


def read_file(path: Path) -> list[Fault]:
    """The faults of a JSON file. Raises FaultError, which names the file, and OSError."""
    try:
        return read_text(path.read_bytes())
    except FaultError as error:
        raise FaultError(f"{path}: {error}") from None


def _sentence(error: ErrorDetails, given: Mapping[object, object]) -> str:
    field, rule = str(error["loc"][0]) if error["loc"] else "", error["msg"]
    if error["type"] == "missing":
        return f"field {field!r} is missing; {_WAYS_OUT[field]}"
    if error["type"] == "extra_forbidden":
        return f"there is no field {field!r}; the fields are {', '.join(_WAYS_OUT)}"
    if not field:
        field, _, rule = str(error["ctx"]["error"]).partition("\t")
        if field not in given:
            return f"field {field!r} is not given: {rule}; {_WAYS_OUT[field]}"
    way_out = _WAYS_OUT.get(field, "see docs/local-endpoint.md")
    if "is for" in rule and field != "on":
        way_out = "leave it out"
    return f"field {field!r} is {_shown(given.get(field))}: {_small(rule)}; {way_out}"


def _small(rule: str) -> str:
    return rule[:1].lower() + rule[1:]


def _shown(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 80 else f"{text[:77]}..."
