"""Whatever a name or a text says, it is refused by a rule that is named, or kept and shown so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bad_input.test_any_value_anywhere import TRIED, what_is_raw
from tests.client import Claim, Client, PublishedStage
from tests.plans.functions import returning
from tests.right_values import Parameter, parameters, right_values, usual_arguments

#: Text that has broken somebody's format(), like, quoting, JSON or terminal.
TEXTS = [
    "", " ", "'", '"', "''; drop table stagebus_data.jobs; --", "$$", "$1", "$a$ $b$", "\\", "\\'",
    "%", "%s", "%1$s %I %L %%", "100%", "_", "{}", "{0}", "{{n}}", "${x}", ":name", "@", "?",
    "a\nb", "a\r\n\tb", "\x1b[31m", "\x01\x7f", "é漢😀", "e\u0301", "\u202eabc",
    "\u2028\ufeff\uffff", "\U0010ffff", "null", "NULL", "public", "stagebus_owner",
    "pg_catalog.pg_class", "a.b", '"a"."b"', "x" * 101, "x" * 513, "%s" * 5_000, "'" * 10_000,
    "\\" * 70_000, "漢" * 100_000,
    # Long, and no shorter when it is compressed.
    "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(5_000)),
]  # fmt: skip

text = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
    | st.text("'\"\\%$_{}\n :;()-", max_size=20)
    | st.sampled_from(TEXTS)
)

#: What tells of failures is kept up to here.
KEPT = 8192


@dataclass(frozen=True)
class Scene:
    """A database in which each call below works."""

    client: Client
    published: PublishedStage
    token: UUID
    claim: Claim


@pytest.fixture
def scene(client: Client) -> Scene:
    client.execute("create schema gis")
    client.execute("grant usage on schema gis to stagebus_nobody")
    returning(client, "select jsonb_build_object('g', p_parameters ->> 'g')")
    plan = [{"name": "a", "task_type": "h3_hexagon", "tasks": "gis.tiles", "group_by": "g"}]
    client.define_job_type(plan, "grouped")
    client.set_task_type("once", max_attempts=1)
    published = client.published_stage(2, "once")
    client.start_all(published.messages, token := uuid4())
    client.create_stage_tasks(client.create_job(), task_count=2)
    return Scene(client, published, token, client.claim())


def one(scene: Scene, query: str, *values: Any) -> str:
    found: str = scene.client.value(query, *values)
    return found


def job_type(scene: Scene, said: str) -> str:
    job_id = scene.client.create_job(said)
    return one(scene, "select job_type from stagebus.jobs where job_id = %s", job_id)


def dedupe_key(scene: Scene, said: str) -> str:
    job_id = scene.client.create_job(dedupe_key=said)
    assert scene.client.create_job(dedupe_key=said) == job_id
    return one(scene, "select dedupe_key from stagebus.jobs where job_id = %s", job_id)


def parameter(scene: Scene, said: str) -> str:
    job_id = scene.client.create_job(parameters={said: said})
    query = "select parameters ->> %s from stagebus.jobs where job_id = %s"
    return one(scene, query, said, job_id)


def task_type(scene: Scene, said: str) -> str:
    scene.client.set_task_type(said)
    job_id = scene.client.create_job()
    scene.client.create_stage_tasks(job_id, 1, said, 1)
    return one(scene, "select task_type from stagebus.job_progress where job_id = %s", job_id)


def task_key(scene: Scene, said: str) -> str:
    scene.client.open_stage(job_id := scene.client.create_job())
    append = "select stagebus.append_tasks(%s, 1, array[jsonb_build_object(%s::text, %s::text)],"
    scene.client.execute(f"{append} task_key => %s)", job_id, said, said, said)
    with pytest.raises(psycopg.Error) as caught, scene.client.connection.transaction():
        scene.client.execute(f"{append} task_key => %s)", job_id, said, said, said)
    assert caught.value.sqlstate == "SB122"
    return one(
        scene, "select parameters ->> %s from stagebus.tasks where job_id = %s", said, job_id
    )


def destination(scene: Scene, said: str) -> str:
    scene.client.set_destination(said, entity="e")
    scene.client.execute("select stagebus.set_rate_limit(%s, 5)", said)
    return one(scene, "select destination from stagebus.destination_status where per_second = 5")


def entity(scene: Scene, said: str) -> str:
    scene.client.set_destination("d", entity=said)
    return one(scene, "select entity from stagebus.destination_status where destination = 'd'")


def pause_reason(scene: Scene, said: str) -> str:
    scene.client.execute("select stagebus.pause_destination('tasks', %s)", said)
    shown = one(
        scene, "select pause_reason from stagebus.destination_status where status = 'paused'"
    )
    return shown.removesuffix(", by postgres")


def plan_name(scene: Scene, said: str) -> str:
    scene.client.define_job_type([{"name": said, "task_type": "once", "count": 1}])
    scene.client.submit_job()
    return one(scene, "select name from stagebus.plan_progress where job_type = 'pipeline'")


def group_value(scene: Scene, said: str) -> str:
    job_id = scene.client.submit_job("grouped", {"g": said})
    if scene.client.advance_job(job_id).status == "failed":
        # What cannot be made is on the job, with the rule.
        assert scene.client.job(job_id).error.startswith("SB1")
        return said
    return one(scene, "select group_value from stagebus.plan_progress where job_id = %s", job_id)


def order_reason(scene: Scene, said: str) -> str:
    order = scene.client.order("cancel_job", scene.published.job_id, reason=said)
    return one(scene, "select reason from stagebus.orders where order_id = %s", order.order_id)


def error_of_a_task(scene: Scene, said: str) -> str:
    scene.client.fail_task(scene.published.task_ids[0], scene.token, said)
    shown = one(scene, "select error from stagebus.dead_tasks")
    assert shown == one(scene, "select error from stagebus.recent_errors limit 1")
    return shown


def result_of_a_task(scene: Scene, said: str) -> str:
    scene.client.complete_tasks(scene.published.task_ids[:1], scene.token, [{said: said}])
    query = "select result ->> %s from stagebus.stage_results(%s, 1) where result is not null"
    return one(scene, query, said, scene.published.job_id)


def error_of_a_batch(scene: Scene, said: str) -> str:
    scene.client.fail_batch(scene.claim, said, max_attempts=1)
    assert said[:100] in one(
        scene, "select string_agg(error, ' ') from stagebus.recent_errors where error is not null"
    )
    return one(
        scene, "select last_error from stagebus.batches where batch_id = %s", scene.claim.batch_id
    )


def error_of_a_send(scene: Scene, said: str) -> str:
    scene.client.record_send(scene.claim, 1, 2, "rejected", said)
    return one(scene, "select error from stagebus.sends where outcome = 'rejected'")


def name_of_a_bridge(scene: Scene, said: str) -> str:
    scene.client.execute(
        "select stagebus.report_bridge(%s, %s, 1, %s, %s)", uuid4(), said, said, said
    )
    return one(scene, "select host from stagebus.bridges where version = %s", said)


def reason_of_a_dead_letter(scene: Scene, said: str) -> str:
    message_id = scene.published.messages[0].message_id
    scene.client.record_dead_letters(message_id, reason=said[:1024], description=said)
    return one(scene, "select description from stagebus.dead_letters")


CASES: list[Callable[[Scene, str], str]] = [
    job_type, dedupe_key, parameter, task_type, task_key, destination, entity, pause_reason,
    plan_name, group_value, order_reason, error_of_a_task, result_of_a_task, error_of_a_batch,
    error_of_a_send, name_of_a_bridge, reason_of_a_dead_letter,
]  # fmt: skip

ON_ONE_DATABASE = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_kept_or_refused(scene: Scene, case: Callable[[Scene, str], str], said: str) -> None:
    raw, shown = list[str](), None
    try:
        with scene.client.transaction(roll_back=True):
            shown = case(scene, said)
    except psycopg.Error as error:
        raw = what_is_raw(error)
    assert raw == [], said[:50]
    assert shown in (None, said, said[:KEPT]), said[:50]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_text_is_kept_as_it_is_or_refused(
    scene: Scene, case: Callable[[Scene, str], str]
) -> None:
    for said in TEXTS:
        is_kept_or_refused(scene, case, said)

    @ON_ONE_DATABASE
    @given(said=text)
    def any_text(said: str) -> None:
        is_kept_or_refused(scene, case, said)

    any_text()


def test_no_text_for_any_argument_of_any_function_gets_a_raw_error(client: Client) -> None:
    right = right_values(client)
    places = [
        (function, each)
        for function in TRIED
        for each in parameters(client, function)
        if each.kind in ("text", "text[]") and each.name != "p_query"
    ]
    assert len(places) > 50

    @settings(ON_ONE_DATABASE, max_examples=300)
    @given(place=st.sampled_from(places), said=text)
    def any_text(place: tuple[str, Parameter], said: str) -> None:
        function, argument = place
        kinds = {each.name: each.kind for each in parameters(client, function)}
        given_so = said if argument.kind == "text" else [said]
        arguments = usual_arguments(client, function, right) | {argument.name: given_so}
        named = ", ".join(f"{name} => %s::{kinds[name]}" for name in arguments)
        raw = []
        try:
            with client.transaction(roll_back=True):
                client.execute(f"select stagebus.{function}({named})", *arguments.values())
        except psycopg.Error as error:
            raw = what_is_raw(error)
        assert raw == [], (function, argument.name, said[:50])

    any_text()
