"""Whatever the parameters and the types are called, the body is JSON and says just that."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import set_json_loads

from bridge.contracts.tasks import TaskQueueMessage, TaskRecord
from bridge.exact_json import dumps, loads
from tests.client import Client
from tests.contracts.rendered import normal, render

#: Text that has broken somebody's rendering of JSON.
TEXTS = [
    "",
    " ",
    "quote \" and '",
    "back\\slash \\n \\u0041 \\",
    "%s %I %L %% %1$s % ",
    "{} {0} {task_id} ${job_id}",
    "\b\t\n\v\f\r\x1b\x1f\x7f\x80\x9f",
    "é漢😀👩‍👩‍👧‍👦",
    "e\u0301 vs é",
    "\u202eabc\u202c \u05d0\u05d1",
    "\u2028\u2029\ufeff\ufffd\uffff",
    "\U0010ffff",
    "</script><!-- ]]> &amp;",
    '","task_id":"x","attempt":99,"a":"',
    "'; drop table stagebus_data.tasks; --",
    "$$ $1 :name @",
    "null",
]

KEYS = [*TaskQueueMessage.model_fields, "index", "", "%s", '"', "a\\", "é", "\u2028"]

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
scalar = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-1000, 1000, places=30)
    | text
    | st.sampled_from(TEXTS)
)
key = text | st.sampled_from(KEYS)
value = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(key, inner, max_size=4),
    max_leaves=12,
)
parameters = st.dictionaries(key, value, max_size=6)

ON_ONE_DATABASE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def ascii_start(name: str) -> str:
    """How a test of that name is called."""
    return ascii(name)[1:13]


@ON_ONE_DATABASE
@given(
    tasks=st.lists(parameters, min_size=1, max_size=8),
    common=parameters,
    job_type=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=100
    ),
)
@example(
    tasks=[{name: 1} for name in KEYS], common=dict.fromkeys(KEYS, "common"), job_type='"%s\\"'
)
@example(tasks=[{}], common={}, job_type="{}")
def test_a_body_says_what_was_given(
    client: Client, tasks: list[dict[str, Any]], common: dict[str, Any], job_type: str
) -> None:
    rendered = render(client, tasks, common, job_type=job_type)
    for index, (model, own) in enumerate(zip(rendered.models, tasks, strict=True), start=1):
        assert normal(model.parameters) == normal({**common, **own})
        assert (model.job_id, model.job_type) == (rendered.job_id, job_type)
        assert (model.stage, model.task_index, model.attempt) == (1, index, 1)
    assert rendered.body_bytes >= sum(len(message.body) for message in rendered.messages)


@pytest.mark.parametrize("name", [*filter(None, TEXTS), "x" * 100, "😀" * 100], ids=ascii_start)
def test_types_may_have_any_name(client: Client, name: str) -> None:
    client.set_task_type(name)
    rendered = render(client, [{"a": 0}, {"a": 1}], {"b": name}, job_type=name, task_type=name)
    for model in rendered.models:
        assert (model.job_type, model.task_type) == (name, name)
    assert rendered.body_bytes == sum(len(message.body) for message in rendered.messages)


def test_no_key_of_a_body_stands_twice_whatever_the_parameters_are_called(client: Client) -> None:
    rendered = render(client, [dict.fromkeys(KEYS, 1)], dict.fromkeys(KEYS, 0))

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    for message in rendered.messages:
        body = json.loads(message.body, object_pairs_hook=once)
        assert body["parameters"] == dict.fromkeys(KEYS, 1)


def test_of_keys_given_twice_the_last_counts(client: Client) -> None:
    """jsonb decides that before stagebus sees it."""
    job_id = client.create_job()
    client.execute(
        "select stagebus.create_stage_tasks_from_array(%s, 1, 'h3_hexagon', %s::jsonb[])",
        job_id,
        ['{"a": 1, "b": 0, "a": 2}'],
    )
    (message,) = client.publish()
    assert message.content["parameters"] == {"a": 2, "b": 0}


def test_message_start_and_view_tell_the_same_parameters(client: Client) -> None:
    set_json_loads(loads, client.connection)
    common = {"resolution": Decimal("0.12345678901234567890"), "own": "common"}
    tasks = [{"own": text, "n": 10**30} for text in TEXTS] + [{}]
    rendered = render(client, tasks, common)
    for message, model in zip(rendered.messages, rendered.models, strict=True):
        started = client.start(message, uuid4())
        assert normal(started.parameters) == normal(model.parameters)
        record = TaskRecord.model_validate(client.task(model.task_id)._asdict())
        assert normal(record.parameters) == normal(model.parameters)


def test_a_body_may_be_as_large_as_a_send_takes_and_no_larger(client: Client) -> None:
    client.set_destination("tasks", max_send_bytes=100_000)
    empty = len(render(client, [{"a": ""}]).messages[0].body)
    room = 100_000 - 1024 - empty
    # Of three bytes each, so that characters and bytes differ.
    rendered = render(client, [{"a": "漢" * (room // 3) + "x" * (room % 3)}])
    assert len(rendered.messages[0].body) == 100_000 - 1024 == rendered.body_bytes
    assert rendered.models[0].parameters["a"].count("漢") == room // 3  # type: ignore[union-attr]
    with client.refused("SB111") as caught:
        render_one(client, {"a": "漢" * (room // 3) + "x" * (room % 3 + 1)})
    assert "98977 bytes" in str(caught.value.diag.message_detail)


def test_a_small_number_that_is_long_when_written_counts_as_written(client: Client) -> None:
    with client.refused("SB111"), client.transaction():
        client.execute(
            "select stagebus.create_stage_tasks_from_array("
            "stagebus.create_job('x'), 1, 'h3_hexagon', array['{\"n\": 1e131071}']::jsonb[],"
            " parameters => '{\"m\": 1e131071}')"
        )
    (model,) = render(client, [{"n": Decimal("1e131071")}]).models
    assert model.parameters == {"n": Decimal("1e131071")}


def render_one(client: Client, task: dict[str, Any]) -> None:
    with client.transaction():
        render(client, [task])


@pytest.mark.parametrize("where", ["job", "common", "own", "result"])
@pytest.mark.parametrize(
    ("sent", "sqlstate", "says"),
    [
        ('{"a": "\\u0000"}', "22P05", "\\u0000 cannot be converted to text"),
        ('{"\\u0000": 1}', "22P05", "\\u0000 cannot be converted to text"),
        ('{"a": "\\ud800"}', "22P02", "surrogate"),
        ('{"a": "\\udc00x"}', "22P02", "surrogate"),
        ('{"a": NaN}', "22P02", "NaN"),
        ('{"a": 1e131072}', "22003", None),
    ],
)
def test_what_jsonb_cannot_hold_is_refused_by_jsonb_and_leaves_nothing(
    client: Client, where: str, sent: str, sqlstate: str, says: str | None
) -> None:
    """It fails on its way to jsonb, before a function of ours is called: the error is not ours."""
    published = client.published_stage()
    task_id = published.task_ids[0]
    client.start_all(published.messages, token := uuid4())
    job_id = client.create_job()
    before = client.contents()
    calls: dict[str, tuple[str, list[Any]]] = {
        "job": ("create_job('x', %s::jsonb)", [sent]),
        "common": (
            "create_stage_tasks(%s, 1, 'h3_hexagon', 1, parameters => %s::jsonb)",
            [job_id, sent],
        ),
        "own": (
            "create_stage_tasks_from_array(%s, 1, 'h3_hexagon', %s::jsonb[])",
            [job_id, [sent]],
        ),
        "result": ("complete_task(%s, %s, %s::jsonb)", [task_id, token, sent]),
    }
    call, arguments = calls[where]
    with pytest.raises(psycopg.DataError) as caught:
        client.execute(f"select stagebus.{call}", *arguments)
    assert caught.value.sqlstate == sqlstate
    if says:
        assert says in str(caught.value.diag.message_detail)
    assert client.contents() == before


@pytest.mark.parametrize("row", [1, 2])
def test_a_query_of_json_that_jsonb_cannot_hold_is_refused_and_leaves_nothing(
    client: Client, row: int
) -> None:
    job_id = client.create_job()
    before = client.contents()
    query = (
        f"select case n when {row} then '{{\"a\": \"\\u0000\"}}' else '{{}}' end::json"
        " from generate_series(1, 3) as n"
    )
    with pytest.raises(psycopg.DataError) as caught:
        client.create_stage_tasks_from_query(job_id, 1, "h3_hexagon", query)
    assert caught.value.sqlstate == "22P05"
    assert client.contents() == before


def nested(levels: int, kind: str = "list") -> Any:
    """A value inside so many objects or arrays, the outermost an object."""
    found: Any = 1
    for _ in range(levels - 1):
        found = [found] if kind == "list" else {"a": found}
    return {"a": found}


@pytest.mark.parametrize("kind", ["list", "object"])
def test_parameters_and_results_nest_60_levels_deep_and_no_deeper(
    client: Client, kind: str
) -> None:
    deepest, deeper = nested(60, kind), nested(61, kind)
    (model,) = render(client, [deepest], deepest).models
    assert model.parameters == deepest
    client.create_job(parameters=deepest)
    published = client.published_stage(2)
    client.start_all(published.messages, token := uuid4())
    assert client.complete_task(published.task_ids[0], token, deepest) == "completed"
    job_id = client.create_job()
    calls = {
        "the job's parameters": lambda: client.create_job(parameters=deeper),
        "the stage's common parameters": lambda: client.create_stage_tasks(
            job_id, parameters=deeper
        ),
        "the parameters of task 3": lambda: client.create_stage_tasks_from_array(
            job_id, 1, "h3_hexagon", [{}, deepest, deeper, deeper]
        ),
        f"the result of task {published.task_ids[1]}": lambda: client.complete_tasks(
            published.task_ids, token, [None, deeper]
        ),
    }
    for what, call in calls.items():
        with client.refused("SB118") as caught:
            call()
        assert caught.value.diag.message_primary == f"{what}: nested too deep"
    query = "select jsonb_build_object('n', n) from generate_series(1, 10004) as n union all "
    with client.refused("SB118") as caught:
        client.create_stage_tasks_from_query(
            job_id, 1, "h3_hexagon", f"{query} select '{dumps(deeper)}'"
        )
    assert "task 10005:" in str(caught.value.diag.message_primary)


def test_what_nests_as_deep_as_jsonb_can_is_refused_and_no_crash(client: Client) -> None:
    for levels in (1_000, 5_000):
        with client.refused("SB118"):
            client.execute(
                "select stagebus.create_job('x', jsonb_build_object('a', (%s)::jsonb))",
                "[" * levels + "]" * levels,
            )


def test_ten_thousand_bodies_and_one_go_through_the_same_model(client: Client) -> None:
    client.set_task_type("work", batch_size=3000)
    job_id = client.create_job("jöb")
    summary = client.create_stage_tasks(job_id, 1, "work", 10_000, {"resolution": 5})
    messages = client.publish()
    models = [TaskQueueMessage.model_validate_json(message.body) for message in messages]
    assert [model.task_index for model in models] == list(range(1, 10_001))
    assert [model.parameters for model in models] == [
        {"resolution": 5, "index": index} for index in range(1, 10_001)
    ]
    assert len({model.batch_id for model in models}) == 4
    assert {(m.job_id, m.job_type, m.task_type, m.stage) for m in models} == {
        (job_id, "jöb", "work", 1)
    }
    assert summary.bytes == sum(len(message.body) for message in messages)
