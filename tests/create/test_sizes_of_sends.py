"""The sizes by which SQL packs sends: those of the SDK, and enough for any dispatch."""

from __future__ import annotations

from typing import Any

import pytest
from azure.servicebus import ServiceBusMessageBatch
from azure.servicebus._pyamqp._encode import encode_payload
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.batch import Message
from bridge.encoder import SdkBatch
from bridge.message_bytes import Common
from bridge.send import Send
from tests.client import Client, Json

#: What a bridge and SQL keep of a send for what is around the messages.
ENVELOPE = 512
#: Digits that the number of a dispatch may still get.
DISPATCHES = 9
#: A long task type is counted as if the encoding took four bytes for lengths wherever it may.
LONG = 9

#: At the edges of the encodings: up to 255 bytes, more, and up to four bytes a character.
NAMES = ["x", "x" * 100, "é" * 64, "é" * 65, "漢" * 85, "漢" * 85 + "x", "🗺" * 64, "🗺" * 100]
name = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=100
) | st.sampled_from(NAMES)
value = (
    st.none()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
    | st.sampled_from(["x" * 255, "é" * 400, "🗺" * 5000])
)
parameters = st.dictionaries(
    st.sampled_from(["index", "a", "é", '"', "漢" * 20]), value, max_size=3
)


def counted(client: Client) -> list[int]:
    """Bytes of each message, as SQL has them."""
    return client.column(
        "select stagebus.message_bytes("
        " f.fixed, f.numbered, f.common, t.parameters, t.task_index, t.attempt)"
        " from stagebus_data.stages as s cross join lateral stagebus.message_frame(s) as f"
        " join stagebus_data.tasks as t on t.job_id = s.job_id and t.stage = s.stage"
        " order by t.job_id, t.stage, t.task_index"
    )


def encoded(client: Client) -> tuple[list[int], int]:
    """Bytes of each message in the send that a bridge makes; and of the send, on the wire."""
    claim = client.claim()
    batch = ServiceBusMessageBatch(10**9)
    send = Send(SdkBatch(batch, Common(subject=claim.task_type)), 10**6)
    sizes = []
    for message in client.batch_messages(claim):
        before = send.size
        assert not send.add_all([Message(message.task_index, message.message_id, message.body)])
        sizes.append(send.size - before)
    # What the SDK hands to its link.
    wire = bytearray()
    encode_payload(wire, batch._message)
    return sizes, len(wire)


@given(name, name, parameters, st.lists(st.none() | parameters, min_size=1, max_size=12))
@example("j", "t", {}, [None] * 12)
@example("j" * 100, "t" * 100, {"index": 1}, [None, {}, {"index": {"deep": [1.50]}}])
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_they_are_the_sdks_and_little_more(
    client: Client, job_type: str, task_type: str, common: Json, tasks: list[Json | None]
) -> None:
    with client.transaction(roll_back=True):
        client.set_task_type(task_type)
        job_id = client.create_job(job_type)
        client.open_stage(job_id, 1, task_type, common)
        for own in tasks:
            if own is None:
                client.append_numbered_tasks(job_id, 1, 1)
            else:
                client.append_tasks(job_id, 1, [own])
        client.seal_stage(job_id)
        sizes, wire = encoded(client)
        differences = [ours - size for ours, size in zip(counted(client), sizes, strict=True)]
        if len(task_type.encode()) <= 128:
            assert set(differences) == {DISPATCHES}
        else:
            assert DISPATCHES <= min(differences) <= max(differences) <= DISPATCHES + LONG
        assert wire - sum(sizes) <= ENVELOPE


@pytest.mark.parametrize("task_type", NAMES, ids=lambda name: f"{len(name.encode())} bytes")
@pytest.mark.parametrize("job_type", ["x", "🗺" * 100], ids=["short", "long"])
@pytest.mark.parametrize(("stage", "first"), [(1, 9), (10, 99), (32_767, 999_999_997)])
def test_with_all_the_digits_that_there_can_be_they_are_enough(
    client: Client, task_type: str, job_type: str, stage: int, first: int
) -> None:
    client.set_task_type(task_type)
    job_id = client.create_job(job_type)
    client.create_stage_tasks(job_id, 1, task_type, 3)
    with client.transaction():
        client.execute("set constraints all deferred")
        renumber(client, stage, first)
    sizes, wire = encoded(client)
    assert len(sizes) == 3
    left = [ours - size for ours, size in zip(counted(client), sizes, strict=True)]
    assert 0 <= min(left) <= max(left) <= (0 if len(task_type.encode()) <= 128 else LONG)
    assert wire - sum(sizes) <= ENVELOPE


def renumber(client: Client, stage: int, first: int) -> None:
    """Makes tasks, attempts and dispatches as long as they get, in a stage of a high number."""
    changes: list[tuple[str, Any]] = [
        ("alter table stagebus_data.batches drop constraint batches_job_id_stage_fkey", ()),
        ("update stagebus_data.stages set stage = %s", (stage,)),
        ("update stagebus_data.tasks set stage = %s, task_index = task_index + %s - 1,"
         " attempt = 32767", (stage, first)),
        ("update stagebus_data.batches set stage = %s, first_index = %s, last_index = %s,"
         " published_through = %s, dispatch = 2147483647", (stage, first, first + 2, first - 1)),
    ]  # fmt: skip
    for statement, values in changes:
        client.execute(statement, *values)
