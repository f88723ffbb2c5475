"""set_task_type and set_destination: what an operator configures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.client import Client


def task_type(client: Client, name: str) -> Any:
    return client.row("select * from stagebus_data.task_types where task_type = %s", name)


def destination(client: Client, name: str) -> Any:
    return client.row("select * from stagebus_data.destinations where destination = %s", name)


def test_a_new_task_type_has_the_defaults(client: Client) -> None:
    client.set_task_type("plain")
    row = task_type(client, "plain")
    assert (row.boundary, row.batch_size, row.max_attempts) == ("chunk", 1000, 3)
    assert row.atomic is False
    assert (row.timeout, row.destination) == (timedelta(minutes=15), "tasks")


def test_what_is_left_out_keeps_its_value(client: Client) -> None:
    client.set_task_type("work", batch_size=7, timeout="2 minutes", max_attempts=9)
    client.set_task_type("work", atomic=True)
    client.set_task_type("work", boundary="by_stage", destination="jobs")
    row = task_type(client, "work")
    assert row.atomic is True
    assert (row.boundary, row.batch_size, row.max_attempts) == ("by_stage", 7, 9)
    assert (row.timeout, row.destination) == (timedelta(minutes=2), "jobs")


@pytest.mark.parametrize(
    ("option", "lowest", "highest"),
    [
        ("batch_size", 1, 100_000),
        ("timeout", "1 second", "7 days"),
        ("max_attempts", 1, 1000),
    ],
)
def test_the_limits_themselves_are_allowed(
    client: Client, option: str, lowest: object, highest: object
) -> None:
    for value in (lowest, highest):
        client.set_task_type("work", **{option: value})


def test_what_breaks_a_rule_is_refused_with_the_rule(client: Client) -> None:
    for name in ("h3_hexagon", "new"):
        for options, rule in (
            ({"boundary": "sometimes"}, "boundary is known"),
            ({"batch_size": 0}, "batch size is 1 to 100000"),
            ({"batch_size": 100_001}, "batch size is 1 to 100000"),
            ({"timeout": "999 milliseconds"}, "timeout is 1 second to 7 days"),
            ({"timeout": "7 days 1 second"}, "timeout is 1 second to 7 days"),
            ({"max_attempts": 0}, "max attempts is 1 to 1000"),
            ({"max_attempts": 1001}, "max attempts is 1 to 1000"),
            ({"destination": "nowhere"}, "destination"),
        ):
            with client.refused("SB116") as caught:
                client.set_task_type(name, **options)
            assert rule in str(caught.value.diag.message_detail)


def test_a_task_type_has_1_to_100_characters(client: Client) -> None:
    for name in (None, "", "x" * 101):
        with client.refused("SB116"):
            client.set_task_type(name)
    client.set_task_type("x" * 100)


def test_a_new_destination_has_the_defaults(client: Client) -> None:
    client.set_destination("heavy")
    row = destination(client, "heavy")
    assert (row.entity, row.entity_kind) == ("heavy", "queue")
    assert (row.max_send_bytes, row.max_send_messages) == (262_144, 4500)
    assert (row.paused_at, row.throttled_until) == (None, None)
    assert (row.duplicate_window, row.old_repeats) == (timedelta(minutes=10), "hold")


def test_what_is_left_out_of_a_destination_keeps_its_value(client: Client) -> None:
    client.set_destination("heavy", entity="far", max_send_bytes=5000)
    client.set_destination("heavy", entity_kind="topic", max_send_messages=10)
    row = destination(client, "heavy")
    assert (row.entity, row.entity_kind) == ("far", "topic")
    assert (row.max_send_bytes, row.max_send_messages) == (5000, 10)


def test_a_destination_that_breaks_a_rule_is_refused_with_the_rule(client: Client) -> None:
    for name in ("tasks", "new"):
        for options, rule in (
            ({"entity_kind": "exchange"}, "entity is a queue or a topic"),
            ({"entity": ""}, "entity is named"),
            ({"entity": "x" * 261}, "entity is named"),
            ({"max_send_bytes": 4095}, "a send holds at least one small message"),
            ({"max_send_messages": 0}, "a send holds at least one message"),
            ({"duplicate_window": "8 days"}, "duplicate window is 0 to 7 days"),
            ({"old_repeats": "drop"}, "old repeats is hold or resend"),
        ):
            with client.refused("SB116") as caught:
                client.set_destination(name, **options)
            assert rule in str(caught.value.diag.message_detail)
    with client.refused("SB116"):
        client.set_destination(None)


def test_the_destinations_and_task_types_that_come_with_it(client: Client) -> None:
    assert client.column("select destination from stagebus_data.destinations order by 1") == [
        "jobs",
        "tasks",
    ]
    assert client.rows("select task_type, batch_size from stagebus_data.task_types order by 1") == [
        ("h3_hexagon", 10_000),
        ("process_raster", 100),
    ]
