"""create_stage_tasks and what the three one-call forms have in common."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.client import FORMS, Client

pytestmark = pytest.mark.parametrize("form", FORMS)


def test_the_summary_says_what_was_made(client: Client, form: str) -> None:
    client.set_task_type("small", batch_size=2)
    job_id = client.create_job()
    summary = client.create_stage(form, job_id, task_type="small")
    assert (summary.job_id, summary.stage) == (job_id, 1)
    assert (summary.tasks, summary.batches) == (3, 2)
    assert summary == client.summarise_stage(job_id)
    stage = client.stage(job_id)
    assert (stage.status, stage.tasks, stage.batches) == ("open", 3, 2)
    assert client.task_states(job_id) == {"pending_queue": 3}


def test_the_first_stage_starts_the_job(client: Client, form: str) -> None:
    job_id = client.create_job()
    now = client.stop_clock()
    client.create_stage(form, job_id)
    job = client.job(job_id)
    assert (job.status, job.started_at, job.ended_at) == ("running", now, None)


def test_each_stage_has_a_nonce_of_its_own(client: Client, form: str) -> None:
    nonces = set()
    for _ in range(5):
        job_id = client.create_job()
        client.create_stage(form, job_id)
        nonces.add(client.stage_row(job_id).nonce)
    assert len(nonces) == 5


@pytest.mark.parametrize("parameters", [{}, {"resolution": 5}, {"n": "common", "index": "common"}])
def test_a_task_has_the_common_parameters_and_its_own_which_win(
    client: Client, form: str, parameters: dict[str, Any]
) -> None:
    key = "index" if form == "count" else "n"
    published = client.create_job()
    client.create_stage(form, published, parameters=parameters)
    messages = client.publish()
    assert [m.content["parameters"] for m in messages] == [
        {**parameters, key: i} for i in (1, 2, 3)
    ]
    for message in messages:
        expected = message.content["parameters"]
        assert client.task(message.task_id).parameters == expected
        assert client.start(message, uuid4()).parameters == expected


def test_the_next_stage_settles_what_was_due(client: Client, form: str) -> None:
    published = client.published_stage()
    client.run_stage(published)
    assert client.due_advances() == [(published.job_id, 1)]
    client.create_stage(form, published.job_id, 2)
    assert client.due_advances() == []


def test_if_exists_skip_returns_the_summary_of_the_stage_there_is(
    client: Client, form: str
) -> None:
    job_id = client.create_job()
    first = client.create_stage_tasks(job_id, task_type="process_raster", task_count=7)
    before = client.contents()
    assert client.create_stage(form, job_id, if_exists="skip") == first
    assert client.contents() == before


def test_if_exists_skip_makes_the_stage_that_is_missing(client: Client, form: str) -> None:
    assert client.create_stage(form, client.create_job(), if_exists="skip").tasks == 3


def test_a_stage_is_filled_by_several_calls_and_then_sealed(client: Client, form: str) -> None:
    job_id = client.create_job()
    for total in (3, 6, 9):
        assert client.create_stage(form, job_id, seal=False).tasks == total
        assert client.stage(job_id).status == "filling"
        assert client.claim_batches(10) == []
    summary = client.seal_stage(job_id)
    assert (summary.tasks, summary.batches) == (9, 1)
    assert [m.task_index for m in client.publish()] == list(range(1, 10))


def test_the_last_call_may_seal(client: Client, form: str) -> None:
    job_id = client.create_job()
    client.create_stage(form, job_id, seal=False)
    client.create_stage(form, job_id, seal=None)
    assert (client.stage(job_id).status, client.stage(job_id).tasks) == ("open", 6)


def test_a_rolled_back_creation_leaves_nothing(client: Client, form: str) -> None:
    before = client.contents()
    with client.transaction(roll_back=True):
        job_id = client.create_job(dedupe_key="order 7")
        client.create_stage(form, job_id)
        assert client.contents() != before
    assert client.contents() == before


def test_messages_are_refused_when_they_cannot_fit_in_a_send(client: Client, form: str) -> None:
    client.set_destination("tasks", max_send_bytes=4096)
    parameters = {"text": ""}
    probe = client.create_job("probe")
    client.create_stage(form, probe, parameters=parameters)
    longest = max(len(message.body) for message in client.publish())
    parameters["text"] = "é" * ((3072 - longest) // 2) + "x" * ((3072 - longest) % 2)

    job_id = client.create_job("probe")
    client.create_stage(form, job_id, parameters=parameters)
    assert max(len(message.body) for message in client.publish()) == 3072

    parameters["text"] += "x"
    too_big = client.create_job("probe")
    with client.refused("SB111") as caught:
        client.create_stage(form, too_big, parameters=parameters)
    assert "3073 bytes" in str(caught.value.diag.message_detail)
    client.set_destination("tasks", max_send_bytes=4097)
    client.create_stage(form, too_big, parameters=parameters)


@pytest.mark.parametrize("text", ["ünïcödé ✓ 漢字 🛰", "a\"b\\c/d'e", "{}{{}},%s$1:x", "\t\n\x1f"])
def test_any_text_survives(client: Client, form: str, text: str) -> None:
    task_type, job_type = f"type {text}", f"job {text}"
    client.set_task_type(task_type)
    job_id = client.create_job(job_type)
    client.create_stage(form, job_id, task_type=task_type, parameters={text: text})
    for message in client.publish():
        content = json.loads(message.body.decode())
        assert (content["job_type"], content["task_type"]) == (job_type, task_type)
        assert content["parameters"][text] == text
