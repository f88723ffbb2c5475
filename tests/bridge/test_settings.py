"""What a bridge may be told, and what it says of what it may not."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge import bridge_command
from bridge.cli import main
from bridge.errors import SettingsError
from bridge.publisher import Publisher
from bridge.settings import Settings

STRING = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=geheim"
URL = "postgresql://me:geheim@127.0.0.1:1/none"
GOOD: dict[str, Any] = {"database_url": URL, "servicebus_connection_string": STRING}


def stagebus(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 86_401])
@pytest.mark.parametrize("name", ["lease", "send_deadline", "poll"])
def test_seconds_that_are_none_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings(**{**GOOD, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connections", 0),
        ("connections", -1),
        ("connections", 1001),
        ("publish_attempts", 0),
        ("max_send_messages", 0),
        ("max_send_messages", 4501),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"{name} .*it is {value}"):
        Settings(**{**GOOD, name: value})


def test_a_send_may_not_outlive_its_lease() -> None:
    with pytest.raises(SettingsError, match=r"send_deadline .*shorter than the lease"):
        Settings(**GOOD, lease=20, send_deadline=20)


@pytest.mark.parametrize(
    "broker",
    [{}, {"servicebus_connection_string": STRING, "servicebus_namespace": "a.example"}],
)
def test_both_ways_to_the_broker_or_none_are_refused(broker: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="not both and not neither") as caught:
        Settings(database_url=URL, **broker)
    assert "STAGEBUS_SERVICEBUS_CONNECTION_STRING" in str(caught.value)
    assert "STAGEBUS_SERVICEBUS_NAMESPACE" in str(caught.value)


@pytest.mark.parametrize(
    "string",
    ["nonsense", "Endpoint=sb://a;SharedAccessKey=geheim", f"{STRING};EntityPath=tasks"],
)
def test_a_connection_string_that_is_none_is_refused_at_once_and_not_repeated(string: str) -> None:
    with pytest.raises(SettingsError, match="STAGEBUS_SERVICEBUS_CONNECTION_STRING") as caught:
        Publisher(Settings(database_url=URL, servicebus_connection_string=string))
    assert "geheim" not in str(caught.value)


def test_a_namespace_needs_no_connection_string() -> None:
    publisher = Publisher(Settings(database_url=URL, servicebus_namespace="a.example"))
    asyncio.run(publisher.close())


def test_the_help_documents_every_setting_and_its_default() -> None:
    text = " ".join(stagebus("bridge", "--help").output.split())
    for setting in fields(Settings):
        flag = setting.name.replace("_", "-")
        assert f"--{flag} " in text
        if isinstance(setting.default, int | float) and setting.default is not False:
            default = flag if setting.default is True else setting.default
            assert re.search(rf"--{flag} .*?\[default: {default}\]", text)
    assert "--log-level" in text


def test_dead_letters_are_switched_off_by_flag_or_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(*arguments: str) -> object:
        given = ["--database-url", URL, *arguments]
        return bridge_command.bridge.make_context("bridge", given).params["dead_letters"]

    assert read() is True
    assert read("--no-dead-letters") is False
    # As a person writes it, and as a parent of several tells each.
    for off in ("0", "False"):
        monkeypatch.setenv("STAGEBUS_DEAD_LETTERS", off)
        assert read() is False
    assert read("--dead-letters") is True


def test_every_setting_can_come_from_the_environment() -> None:
    """Each value is out of its range, and named in the error: so it was read."""
    given = {
        "STAGEBUS_DATABASE_URL": URL,
        "STAGEBUS_SERVICEBUS_CONNECTION_STRING": STRING,
    }
    for name, value in {
        "connections": "0",
        "lease": "-1",
        "send_deadline": "0",
        "poll": "nan",
        "publish_attempts": "0",
        "max_send_messages": "5000",
    }.items():
        result = stagebus("bridge", **given, **{f"STAGEBUS_{name.upper()}": value})
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: {name} ")
        assert len(result.output.splitlines()) == 1
    result = stagebus("bridge", **given, STAGEBUS_SERVICEBUS_NAMESPACE="a.example")
    assert "not both" in result.output
    result = stagebus("bridge", **given, STAGEBUS_LOG_LEVEL="loud")
    assert result.exit_code == 2
    assert "log-level" in result.output
    result = stagebus("bridge", **{**given, "STAGEBUS_DATABASE_URL": "me:geheim@host"})
    assert result.exit_code == 1
    assert "STAGEBUS_DATABASE_URL" in result.output
    assert "geheim" not in result.output


def test_a_flag_wins_over_the_environment() -> None:
    result = stagebus(
        "bridge", "--lease", "-7", STAGEBUS_LEASE="-8", STAGEBUS_DATABASE_URL=URL,
        STAGEBUS_SERVICEBUS_CONNECTION_STRING=STRING,
    )  # fmt: skip
    assert "it is -7" in result.output


def test_a_missing_database_url_is_a_wrong_call() -> None:
    result = stagebus("bridge", STAGEBUS_SERVICEBUS_CONNECTION_STRING=STRING)
    assert result.exit_code == 2
    assert "--database-url" in result.output
