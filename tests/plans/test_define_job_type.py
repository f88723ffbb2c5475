"""A plan is refused whole, with the first thing that is wrong with it; else it gets a version."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.client import Client
from tests.conftest import CALLER

Plan = dict[str, Any]


def stage(**keys: Any) -> Plan:
    return {"name": "tile", "task_type": "h3_hexagon", "count": 1} | keys


def named(name: str, **keys: Any) -> Plan:
    return stage(name=name, **keys)


def test_a_definition_is_the_first_version_and_the_same_again_makes_no_other(
    caller: Client,
) -> None:
    assert caller.define_job_type([stage()]) == 1
    assert caller.define_job_type([stage()]) == 1
    assert caller.define_job_type([stage(count=2)]) == 2
    assert caller.define_job_type([stage()]) == 3
    assert caller.define_job_type([stage()], "another") == 1
    rows = caller.rows(
        "select job_type, version, latest, owner, defined_by from stagebus.plans"
        " order by job_type, version"
    )
    me = CALLER
    assert [tuple(row) for row in rows] == [
        ("another", 1, True, me, me),
        ("pipeline", 1, False, me, me),
        ("pipeline", 2, False, me, me),
        ("pipeline", 3, True, me, me),
    ]


def test_a_stage_waits_for_the_one_before_it_unless_it_says_otherwise(client: Client) -> None:
    client.define_job_type(
        [
            named("a"),
            named("b"),
            named("c", after=[]),
            named("d", after=["a", "c"]),
            named("e", after="a"),
            named("z", final=True),
        ]
    )
    rows = client.rows("select name, waits_for from stagebus_data.plan_stages order by stage")
    assert dict(rows) == {
        "a": [],
        "b": ["a"],
        "c": [],
        "d": ["a", "c"],
        "e": ["a"],
        "z": None,
    }


UNUSABLE: dict[str, tuple[Any, str]] = {
    "null": (None, "not an object"),
    "no object": ([], "not an object"),
    "no stages": ({}, "not an object with an array"),
    "stages no array": ({"stages": {}}, "not an object with an array"),
    "empty": ({"stages": []}, "has 0 stages"),
    "101 stages": ({"stages": [named(f"s{i}") for i in range(101)]}, "has 101 stages"),
    "unknown key": ({"stages": [stage()], "retries": 3}, 'unknown key "retries"'),
    "timeout a number": ({"stages": [stage()], "timeout": 5}, "timeout 5"),
    "timeout null": ({"stages": [stage()], "timeout": None}, "timeout null"),
    "timeout no interval": ({"stages": [stage()], "timeout": "soon"}, 'timeout "soon"'),
    "timeout too short": ({"stages": [stage()], "timeout": "1 ms"}, 'timeout "1 ms"'),
    "timeout too long": ({"stages": [stage()], "timeout": "2 days"}, 'timeout "2 days"'),
    "stage no object": ({"stages": ["tile"]}, "stage 1"),
    "stage with an unknown key": ({"stages": [stage(depends_on=[])]}, 'unknown key "depends_on"'),
    "no name": ({"stages": [{"task_type": "h3_hexagon", "count": 1}]}, "stage 1"),
    "name with a space": ({"stages": [named("a b")]}, "letters, digits and underscores"),
    "name too long": ({"stages": [named("x" * 64)]}, "1 to 63"),
    "name a number": ({"stages": [stage(name=7)]}, "letters"),
    "no task type": ({"stages": [{"name": "a", "count": 1}]}, "task_type"),
    "after an object": ({"stages": [stage(after={})]}, '"after"'),
    "after of numbers": ({"stages": [stage(after=[1])]}, '"after"'),
    "after null": ({"stages": [stage(after=None)]}, '"after"'),
    "after what is not there": ({"stages": [stage(after=["tiles"])]}, "cannot wait for"),
    "final a string": ({"stages": [stage(final="yes")]}, '"final"'),
    "final with after": ({"stages": [stage(), named("z", final=True, after=["tile"])]}, "final"),
    "two finals": ({"stages": [named("y", final=True), named("z", final=True)]}, "y, z"),
    "after the final": (
        {"stages": [named("z", final=True), named("a", after=["z"])]},
        "final stage",
    ),
    "before it the final": ({"stages": [named("z", final=True), named("a")]}, "final stage"),
    "neither count nor tasks": ({"stages": [{"name": "a", "task_type": "h3_hexagon"}]}, "either"),
    "both": ({"stages": [stage(tasks="gis.tiles")]}, "either"),
    "count below 0": ({"stages": [stage(count=-1)]}, "whole number"),
    "count with a fraction": ({"stages": [stage(count=1.5)]}, "whole number"),
    "count too high": ({"stages": [stage(count=1_000_000_000)]}, "whole number"),
    "count true": ({"stages": [stage(count=True)]}, "whole number"),
    "count no path": ({"stages": [stage(count="$.(")]}, "not a JSON path"),
    "count an empty text": ({"stages": [stage(count="")]}, "not a JSON path"),
    "group_by of a count": ({"stages": [stage(group_by="zoom")]}, "group_by"),
    "parameters an array": ({"stages": [stage(parameters=[])]}, "parameters"),
    "skip_when a boolean": ({"stages": [stage(skip_when=True)]}, "skip_when"),
    "skip_when no path": ({"stages": [stage(skip_when="$.a ==")]}, "not a JSON path"),
    "tolerance no percentage": ({"stages": [stage(tolerated_failures="5 %")]}, "tolerated"),
    "tolerance null": ({"stages": [stage(tolerated_failures=None)]}, "tolerated"),
    "on_failure unknown": ({"stages": [stage(on_failure="ignore")]}, "on_failure"),
    "the same name twice": ({"stages": [named("a"), named("b"), named("a")]}, "twice"),
    "a path to a stage that may run": (
        {"stages": [named("a"), named("b", after=[], count="$.stages.a.completed")]},
        "reads stage",
    ),
    "a path to all stages": (
        {"stages": [named("a"), named("b", skip_when="$.stages.*.failed > 0")]},
        "reads all stages",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_plan_that_is_not_usable_is_refused_and_says_why(client: Client, case: str) -> None:
    plan, says = UNUSABLE[case]
    with client.refused("SB140") as caught:
        client.value("select stagebus.define_job_type('pipeline', %s)", Jsonb(plan))
    assert says in f"{caught.value.diag.message_primary} {caught.value.diag.message_detail}"


CYCLES = {
    "a → a": [named("a", after=["a"])],
    "a → b → a": [named("a", after=["b"]), named("b", after=["a"])],
    "b → c → d → b": [
        named("a"),
        named("b", after=["a", "d"]),
        named("c", after=["b"]),
        named("d", after=["c"]),
        named("e", after=["d"]),
    ],
}


@pytest.mark.parametrize("cycle", CYCLES)
def test_a_cycle_is_refused_and_named(client: Client, cycle: str) -> None:
    with client.refused("SB141") as caught:
        client.define_job_type(CYCLES[cycle])
    assert caught.value.diag.message_primary == f"the plan has a cycle: {cycle}"


def test_a_dense_plan_without_a_cycle_is_no_cycle(client: Client) -> None:
    names = [f"s{i}" for i in range(60)]
    stages = [named(name, after=names[:i]) for i, name in enumerate(names)]
    assert client.define_job_type(stages) == 1


def test_a_task_type_that_is_not_there_is_refused(client: Client) -> None:
    with client.refused("SB107") as caught:
        client.define_job_type([stage(task_type="tiles")])
    assert 'stage "tile"' in str(caught.value)


@pytest.mark.parametrize("job_type", [None, "", "x" * 101])
def test_a_job_type_has_a_name(client: Client, job_type: str | None) -> None:
    with client.refused("SB116"):
        client.define_job_type([stage()], job_type)


def test_parameters_that_nest_too_deep_are_refused(client: Client) -> None:
    deep: Any = 1
    for _ in range(61):
        deep = [deep]
    with client.refused("SB118"):
        client.define_job_type([stage(parameters={"deep": deep})])


def test_only_its_owner_defines_the_next_version(client: Client, caller: Client) -> None:
    client.define_job_type([stage()])
    with client.refused("SB140") as caught:
        caller.define_job_type([stage(count=2)])
    assert "no member of that role" in str(caught.value.diag.message_detail)
    # The way round is allowed to a superuser, who is a member of every role.
    caller.define_job_type([stage()], "theirs")
    assert client.define_job_type([stage(count=3)], "theirs") == 2


def test_two_definitions_at_once_get_two_versions(client: Client) -> None:
    other = client.session()
    with client.transaction():
        assert client.define_job_type([stage(count=1)]) == 1
        second = other.in_background(lambda: other.define_job_type([stage(count=2)]))
        client.wait_until_blocked(other, second)
    assert second.result() == 2
