"""A fault that cannot be set is refused with its name, the field, the value and the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.local.endpoint.faults.fault import ACTIONS, ALLOWED, OPERATIONS
from bridge.local.endpoint.faults.reading import FaultError, read_fault, read_faults, read_file

GOOD = {"name": "f", "on": "send", "do": "reject"}

REFUSED = [
    ({"times": 0}, "field 'times' is 0: .*greater than or equal to 1; give a whole number from 1"),
    ({"times": 1.5}, "field 'times' is 1.5: .*integer"),
    ({"times": True}, "field 'times' is true: .*integer"),
    ({"after": -1}, "field 'after' is -1: .*; give a whole number from 0"),
    ({"probability": 2}, "field 'probability' is 2: .*; give a number from 0 to 1"),
    ({"for_seconds": -1}, "field 'for_seconds' is -1: .*from 0 to 86400"),
    ({"for_seconds": float("nan")}, "field 'for_seconds' is NaN"),
    ({"do": "explode"}, "field 'do' is \"explode\": .*; give one of reject, throttle, release"),
    ({"on": "sending"}, "field 'on' is \"sending\": .*; give one of send, attach, token"),
    ({"on": "deliver"}, "field 'on' is \"deliver\": the action 'reject' is for 'send', 'attach'"),
    ({"tmies": 3}, "there is no field 'tmies'; the fields are name, on, do, entity"),
    ({"seconds": 3}, "field 'seconds' is 3: it is for the action 'late' only; leave it out"),
    ({"do": "late"}, "field 'seconds' is not given: the action 'late' must say how late"),
    ({"store": False}, "field 'store' is false: it is for the action 'detach', 'never' only"),
    ({"do": "never", "on": "attach", "store": False}, "field 'store' is false: only what is sent"),
    ({"condition": "no symbol"}, "field 'condition' is \"no symbol\""),
    ({"info": ["a"]}, "field 'info' is \\[\"a\"\\]: .*; give an object of strings"),
    ({"entity": ""}, "field 'entity' is \"\""),
    ({"do": "disable", "on": "attach", "times": 3}, "field 'times' is 3: .*for_seconds can end it"),
    ({"do": "detach", "on": "now", "after": 3}, "field 'after' is 3: .*for_seconds can end it"),
    ({"do": "refuse", "on": "connect", "info": None}, "field 'info' is null: .*told nothing"),
]


@pytest.mark.parametrize(("change", "complaint"), REFUSED)
def test_a_bad_fault_is_named_with_its_field_and_the_way_out(
    change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(FaultError, match=f"^fault 'f': .*{complaint}"):
        read_fault(GOOD | change)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"on": "send", "do": "reject"}, "^fault number 1: field 'name' is missing; give 1 to 64"),
        (GOOD | {"name": "a b"}, "^fault 'a b': field 'name' is \"a b\""),
        ({"name": "f"}, "^fault 'f': .*field 'do' is missing; give one of reject"),
        ([GOOD, 3], "^fault number 2 is 3; give a JSON object"),
        (None, "^fault number 1 is null; give a JSON object"),
    ],
)
def test_what_is_no_fault_is_named_by_its_place(given: object, complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        read_faults(given)


def test_every_action_has_its_operations_and_every_operation_an_action() -> None:
    assert set(ALLOWED) == set(ACTIONS)
    assert {on for operations in ALLOWED.values() for on in operations} == set(OPERATIONS)


def test_what_is_left_out_is_as_the_action_has_it() -> None:
    assert read_fault({"name": "f", "do": "throttle"}).times is None
    assert read_fault({"name": "f", "do": "throttle", "times": 4}).times == 4
    assert read_fault({"name": "f", "do": "fill"}).on == "send"
    assert read_fault({"name": "f", "do": "disable"}).on == "attach"
    assert read_fault(GOOD).times == 1


def test_a_file_is_named_in_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([GOOD, GOOD | {"name": "g", "times": 0}]))
    with pytest.raises(FaultError, match=r"faults\.json: fault 'g': field 'times' is 0"):
        read_file(path)
    path.write_text("[{]")
    with pytest.raises(FaultError, match=r"faults\.json: this is not JSON: .*; give an object"):
        read_file(path)
    path.write_text(json.dumps([GOOD]))
    assert [fault.name for fault in read_file(path)] == ["f"]
