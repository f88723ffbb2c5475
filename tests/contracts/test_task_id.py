"""A task's id is made of the job, the stage and the index that stand beside it."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.contracts.base import Contract
from bridge.contracts.tasks import TaskQueueMessage, TaskRecord
from tests.client import Client

JOB = "0199f000-0000-7000-8000-00000000000a"

GIVEN: dict[type[Contract], dict[str, Any]] = {
    TaskQueueMessage: {
        "schema_version": 1,
        "task_id": f"{JOB}-s2-30",
        "job_id": JOB,
        "job_type": "tiles",
        "stage": 2,
        "task_index": 30,
        "task_type": "work",
        "attempt": 1,
        "nonce": "0123456789",
        "batch_id": JOB,
        "parameters": {},
    },
    TaskRecord: {
        "task_id": f"{JOB}-s2-30",
        "job_id": JOB,
        "stage": 2,
        "task_index": 30,
        "task_type": "work",
        "status": "queued",
        "attempt": 1,
        "parameters": {},
    },
}

contracts = pytest.mark.parametrize("contract", GIVEN)


@contracts
def test_the_id_and_its_parts_agree(contract: type[Contract]) -> None:
    model = contract.model_validate(GIVEN[contract])
    assert model.task_id == f"{JOB}-s2-30"  # type: ignore[attr-defined]
    # The same job, written otherwise.
    contract.model_validate({**GIVEN[contract], "job_id": JOB.upper()})


@contracts
@pytest.mark.parametrize(
    "other",
    [{"stage": 3}, {"task_index": 3}, {"task_index": 300}, {"job_id": JOB[:-1] + "b"}],
    ids=str,
)
def test_parts_that_make_another_id_are_refused_with_both(
    contract: type[Contract], other: dict[str, Any]
) -> None:
    given = {**GIVEN[contract], **other}
    made = f"{given['job_id']}-s{given['stage']}-{given['task_index']}"
    with pytest.raises(
        ValueError, match=f"{JOB}-s2-30, but job_id, stage and task_index make {made}"
    ):
        contract.model_validate(given)


#: Not of the form, though some of them say the same.
NO_IDS = [
    "",
    "no id",
    f"{JOB}-s2-30 ",
    f"{JOB}-s2-30\n",
    f"{JOB.upper()}-s2-30",
    f"{JOB}-s02-30",
    f"{JOB}-s2-030",
    f"{JOB}-s2",
    f"{JOB}-2-30",
    f"{JOB}-s2-0",
    f"{JOB}-s2-٣٠",
    f"{JOB}-s123456-30",
    f"{JOB}-s2-1234567890",
    JOB.replace("-", "") + "-s2-30",
]


@contracts
@pytest.mark.parametrize("text", NO_IDS, ids=ascii)
def test_what_is_not_of_the_form_is_refused(contract: type[Contract], text: str) -> None:
    with pytest.raises(ValueError, match="task_id"):
        contract.model_validate({**GIVEN[contract], "task_id": text})


def test_the_form_is_that_of_sql(client: Client) -> None:
    assert client.column(
        "select task_id from stagebus.parse_task_ids(%s) where job_id is not null",
        [*NO_IDS, f"{JOB}-s2-30"],
    ) == [f"{JOB}-s2-30"]
