"""What all one-call forms refuse, and that a refusal leaves nothing behind."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from tests.client import FORMS, Client


@pytest.fixture
def job_id(client: Client) -> UUID:
    return client.create_job()


def test_an_unknown_job_takes_no_stage(client: Client) -> None:
    for form in FORMS:
        for job_id in (uuid4(), None):
            with client.refused("SB101"):
                client.create_stage(form, job_id)


def test_an_ended_job_takes_no_stage(client: Client, job_id: UUID) -> None:
    client.finish_job(job_id)
    for form in FORMS:
        with client.refused("SB102"):
            client.create_stage(form, job_id)


def test_stages_are_numbered_from_1_without_gaps(client: Client, job_id: UUID) -> None:
    for form in FORMS:
        for stage in (None, -1, 0, 2, 32767, 32768):
            with client.refused("SB103"):
                client.create_stage(form, job_id, stage)


def test_a_stage_waits_for_the_end_of_the_one_before(client: Client) -> None:
    published = client.published_stage(tasks=2)
    for form in FORMS:
        with client.refused("SB103"):
            client.create_stage(form, published.job_id, 2)
    client.run_stage(published)
    for form in FORMS:
        with client.refused("SB103"):
            client.create_stage(form, published.job_id, 3)
    assert client.create_stage("count", published.job_id, 2).tasks == 3


def test_a_stage_waits_while_the_one_before_is_filling(client: Client, job_id: UUID) -> None:
    client.create_stage("count", job_id, seal=False)
    for form in FORMS:
        with client.refused("SB103") as caught:
            client.create_stage(form, job_id, 2)
        assert "seal_stage" in str(caught.value.diag.message_hint), "it never ends by itself"


def test_a_task_type_is_defined(client: Client, job_id: UUID) -> None:
    for form in FORMS:
        for task_type in (None, "", "h3"):
            with client.refused("SB107") as caught:
                client.create_stage(form, job_id, task_type=task_type)
            assert "h3_hexagon, process_raster" in str(caught.value.diag.message_detail)


def test_common_parameters_are_an_object(client: Client, job_id: UUID) -> None:
    for form in FORMS:
        for parameters in ([], [1], "text", 5, True):
            with client.refused("SB109"):
                client.create_stage(form, job_id, parameters=parameters)


def test_common_parameters_are_not_null(client: Client, job_id: UUID) -> None:
    for call in (
        "create_stage_tasks(%s, 1, 'h3_hexagon', 3",
        "create_stage_tasks_from_array(%s, 1, 'h3_hexagon', '{}'",
        "create_stage_tasks_from_query(%s, 1, 'h3_hexagon', 'select ''{}''::jsonb'",
    ):
        for null in ("null", "'null'::jsonb"):
            with client.refused("SB109"):
                client.execute(f"select stagebus.{call}, parameters => {null})", job_id)


def test_a_sealed_stage_takes_no_more(client: Client, job_id: UUID) -> None:
    client.create_stage("count", job_id)
    for form in FORMS:
        with client.refused("SB106"):
            client.create_stage(form, job_id)
    with client.refused("SB106"):
        client.append_tasks(job_id, 1, [{}])
    with client.refused("SB106"):
        client.append_numbered_tasks(job_id, 1, 1)
    with client.refused("SB106"):
        client.seal_stage(job_id)


def test_if_exists_is_error_or_skip(client: Client, job_id: UUID) -> None:
    for form in FORMS:
        for if_exists in (None, "", "ignore", "SKIP"):
            with client.refused("SB114"):
                client.create_stage(form, job_id, if_exists=if_exists)


def test_further_calls_agree_with_the_first(client: Client, job_id: UUID) -> None:
    client.create_stage("count", job_id, parameters={"a": 1}, seal=False)
    for form in FORMS:
        with client.refused("SB104"):
            client.create_stage(form, job_id, parameters={"a": 2}, seal=False)
        with client.refused("SB104"):
            client.create_stage(form, job_id, task_type="process_raster", parameters={"a": 1})
    assert client.create_stage("count", job_id, parameters={"a": 1}).tasks == 6


def test_a_stage_is_opened_once_and_before_it_is_filled(client: Client, job_id: UUID) -> None:
    for fill in (
        lambda: client.append_tasks(job_id, 1, [{}]),
        lambda: client.append_numbered_tasks(job_id, 1, 1),
        lambda: client.seal_stage(job_id),
    ):
        with client.refused("SB105"):
            fill()
    client.open_stage(job_id)
    with client.refused("SB104"):
        client.open_stage(job_id)
