"""Config.json of Microsoft's emulator: taken as there, refused with the line that is wrong."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.local.endpoint import EntityConfig
from bridge.local.endpoint.emulator_config import BadConfig, read_config
from bridge.local.endpoint.process import NotReady, run_endpoint
from bridge.local.stack import local_stack

GOOD = """\
{
  // What the emulator's documentation shows, shortened.
  "UserConfig": {
    "Namespaces": [
      {
        "Name": "sbemulatorns",
        "Queues": [
          {
            "Name": "queue.1",
            "Properties": {
              "DeadLetteringOnMessageExpiration": true,
              "DefaultMessageTimeToLive": "PT30M",
              "DuplicateDetectionHistoryTimeWindow": "PT40S",
              "ForwardDeadLetteredMessagesTo": "", /* none */
              "ForwardTo": "",
              "LockDuration": "PT1M30S",
              "MaxDeliveryCount": 4,
              "RequiresDuplicateDetection": true,
              "RequiresSession": false
            }
          },
          { "Name": "plain" },
        ],
        "Topics": [
          {
            "Name": "topic.1",
            "Properties": { "RequiresDuplicateDetection": false },
            "Subscriptions": [
              { "Name": "subscription.1", "Properties": { "MaxDeliveryCount": 5 }, "Rules": [] }
            ]
          }
        ]
      }
    ],
    "Logging": { "Type": "File" }
  }
}
"""


FILTER = '{"Name": "r", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "1=2"}}}'


def written(folder: Path, before: str = "", after: str = "") -> Path:
    """The good file with one thing changed."""
    assert before in GOOD
    path = folder / "Config.json"
    path.write_text(GOOD.replace(before, after, 1) if before else GOOD, "utf-8")
    return path


def test_the_settings_of_a_file_are_taken(tmp_path: Path) -> None:
    queues, topics, notes = read_config(written(tmp_path))
    assert queues == {
        "queue.1": EntityConfig(
            lock_duration=90,
            max_delivery_count=4,
            duplicate_window=40,
            default_ttl=1800,
            dead_letter_on_expiry=True,
        ),
        # What the emulator's schema has for what is left out.
        "plain": EntityConfig(duplicate_window=None, max_delivery_count=3, default_ttl=3600),
    }
    assert set(topics) == {"topic.1"}
    assert topics["topic.1"].config.duplicate_window is None
    (subscription,) = topics["topic.1"].subscriptions.values()
    assert subscription.max_delivery_count == 5
    assert notes == []


def test_duplicates_are_detected_for_20_seconds_unless_the_file_says_how_long(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, '"DuplicateDetectionHistoryTimeWindow": "PT40S",', "")
    assert read_config(path).queues["queue.1"].duplicate_window == 20


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ('"PT40S"', '"PT6M"', 13, "is 360 seconds; the emulator takes PT5S to PT5M"),
        ('"PT40S"', '"PT4S"', 13, "is 4 seconds; the emulator takes PT5S to PT5M"),
        ('"PT40S"', '"PT0.5S"', 13, "'PT0.5S' is not a duration"),
        ('"PT40S"', '"P"', 13, "'P' is not a duration"),
        ('"PT40S"', '"P1M"', 13, "'P1M' is 2592000 seconds"),
        ('"PT40S"', "40", 13, "TimeWindow: 40 is not a duration"),
        ('"PT40S"', "{}", 13, "an object is not a duration"),
        ('"PT1M30S"', '"90"', 16, "'90' is not a duration of ISO 8601"),
        ('"PT1M30S"', '"PT6M"', 16, "LockDuration: 'PT6M' is 360 seconds"),
        ('"PT1M30S"', '"PT6M"', 16, "with --queue and --lock-duration is not bound to that"),
        ('"PT1M30S"', '"PT4S"', 16, "the emulator takes PT5S to PT5M"),
        ('"PT30M"', '"PT61M"', 12, "the emulator takes PT1S to PT1H"),
        ('"MaxDeliveryCount": 4', '"MaxDeliveryCount": 0', 17, "0: the emulator takes a whole"),
        ('"MaxDeliveryCount": 4', '"MaxDeliveryCount": 11', 17, "a whole number from 1 to 10"),
        ('"MaxDeliveryCount": 4', '"MaxDeliveryCount": true', 17, "true: the emulator takes a"),
        ('"MaxDeliveryCount": 4', '"MaxDeliveries": 4', 17, "did you mean 'MaxDeliveryCount'?"),
        ('"MaxDeliveryCount": 4', '"MAXDELIVERYCOUNT": 4', 17, "mean 'MaxDeliveryCount'?"),
        ('"MaxDeliveryCount": 4', '"Partitions": 4', 17, "the key is not known; known are"),
        ('"RequiresSession": false', '"RequiresSession": true', 19, "sessions are not built"),
        ('"ForwardTo": ""', '"ForwardTo": "plain"', 15, "forwarding is not built"),
        ('"queue.1"', '"queue 1"', 9, "'queue 1' is no name"),
        ('"queue.1"', '"PLAIN"', 22, "the name 'plain' is there twice, first in line 9"),
        ('"topic.1"', '"Plain"', 26, "the name 'Plain' is there twice, first in line 22"),
        ('"topic.1"', f'"{"t" * 261}"', 26, "is no name: 1 to 260 letters"),
        ('"subscription.1"', f'"{"s" * 51}"', 29, "is no name: 1 to 50 letters"),
        ('"Name": "queue.1"', '"Name": 1', 9, "Queues[0].Name: 1 is not a string"),
        ('{ "Name": "plain" }', "{}", 22, "the key 'Name' is missing"),
        ('{ "Name": "plain" }', "7", 22, "an object was expected"),
        ('"Rules": []', f'"Rules": [{FILTER}]', 29, "filters are not built"),
        ('"Rules": []', f'"Rules": [{FILTER.replace("1=2", "1=1")[:-2]}, "Action":'
         ' {"SqlExpression": "set x = 1"}}}]', 29, "filters are not built"),
        ('"Rules": []', f'"Rules": [{FILTER.replace("Sql", "SQL", 1)}]', 29,
         "FilterType: 'SQL' is neither 'Correlation' nor 'Sql'"),
        ('"Rules": []', '"Rules": [{"Name": "r"}]', 29, "the key 'Properties' is missing"),
        ('{ "Name": "plain" },\n        ]', '{ "Name": "plain" }, null ]', 22,
         "Queues[2]: null: an object was expected"),
        ('"DeadLetteringOnMessageExpiration": true', '"DeadLetteringOnMessageExpiration": 1', 11,
         "1 is neither true nor false"),
        ('"sbemulatorns",', '"sbemulatorns"', 7, "a comma or the end of the object was expected"),
        ('"Name": "queue.1",', '"Name": "a", "Name": "b",', 9, "the key 'Name' is there twice"),
        ("/* none */", "/* none", 14, "expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(
    before: str, after: str, line: int, says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadConfig) as refused:
        read_config(written(tmp_path, before, after))
    text = str(refused.value)
    assert says in text
    assert len(text.splitlines()) == 1
    assert text.startswith(f"{tmp_path / 'Config.json'}:{line}:")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, '"PT30M"', '"30m"')
    path.write_text(path.read_text("utf-8").replace("PT1M30S", "PT9M"), "utf-8")
    with pytest.raises(BadConfig) as refused:
        read_config(path)
    assert len(str(refused.value).splitlines()) == 2


def test_more_entities_than_the_emulator_has_are_refused(tmp_path: Path) -> None:
    more = ", ".join(f'{{"Name": "q{number}"}}' for number in range(48))
    assert len(read_config(written(tmp_path, '{ "Name": "plain" }', more)).queues) == 49
    more += ', {"Name": "last"}'
    with pytest.raises(BadConfig, match=r"Topics\[0\]\.Name: of 51 queues and topics"):
        read_config(written(tmp_path, '{ "Name": "plain" }', more))


def test_more_subscriptions_than_a_topic_of_the_emulator_has_are_refused(tmp_path: Path) -> None:
    topic = '"Rules": [] }'
    more = topic + "".join(f', {{"Name": "s{number}"}}' for number in range(49))
    read = read_config(written(tmp_path, topic, more))
    assert len(read.topics["topic.1"].subscriptions) == 50
    with pytest.raises(BadConfig, match=r"Subscriptions\[50\]\.Name: of 51 subscriptions"):
        read_config(written(tmp_path, topic, more + ', {"Name": "last"}'))


@pytest.mark.parametrize("subscriptions", ['"Subscriptions": []', '"Properties": {}'])
def test_a_topic_without_subscriptions_is_refused_as_by_the_emulator(
    subscriptions: str, tmp_path: Path
) -> None:
    topic = f'"Topics": [ {{ "Name": "bare", {subscriptions} }}, '
    with pytest.raises(BadConfig, match=r":24:\d+: .*Topics\[0\]: it has no subscriptions"):
        read_config(written(tmp_path, '"Topics": [', topic))


def test_a_rule_that_lets_everything_through_is_taken(tmp_path: Path) -> None:
    rule = FILTER.replace("1=2", "1 = 1")
    path = written(tmp_path, '"Rules": []', f'"Rules": [{rule}]')
    assert read_config(path).notes == []


def test_filters_can_be_ignored_which_is_noted(tmp_path: Path) -> None:
    correlation = (
        '{"Name": "c", "Properties": {"FilterType": "Correlation",'
        ' "CorrelationFilter": {"Label": "x", "Properties": {"a": "b"}}}}'
    )
    path = written(tmp_path, '"Rules": []', f'"Rules": [{FILTER}, {correlation}]')
    notes = read_config(path, ignore_rules=True).notes
    assert [":29:" in note and "the rule is ignored" in note for note in notes] == [True, True]


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ('"sbemulatorns"', '"mine"', 6, "'mine' has no effect"),
        ('"PT30M"', '"PT10S"', 12, "the emulator's schema says PT5M at least"),
    ],
)
def test_what_the_emulator_may_take_otherwise_is_noted(
    before: str, after: str, line: int, says: str, tmp_path: Path
) -> None:
    (note,) = read_config(written(tmp_path, before, after)).notes
    assert f":{line}:" in note
    assert says in note


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: a value was expected"),
        ("[]", "1:1: the document: an array: an object was expected"),
        ("{}", "1:1: the document: the key 'UserConfig' is missing"),
        ('{"UserConfig": {"Namespaces": []}}', "it has 0 namespaces"),
        ('{"UserConfig": {}} x', "1:20: the document has ended here"),
        ('{"UserConfig": "a\nb"}', "1:16: a value was expected"),
        ('{"UserConfig": "\\q"}', "1:16: this is not JSON"),
        ("[" * 100, "values are nested more than 64 deep"),
        ('{"UserConfig" {}}', "1:15: a colon was expected after the key 'UserConfig'"),
        ("{7: 1}", "1:2: a key was expected"),
    ],
)
def test_what_is_no_such_document_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_text(text, "utf-8")
    with pytest.raises(BadConfig) as refused:
        read_config(path)
    assert says in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    path.write_bytes(b'{"UserConfig": "\xff"}')
    with pytest.raises(BadConfig, match="it is not UTF-8"):
        read_config(path)


def test_a_process_serves_the_entities_of_a_file_and_those_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path, '"Rules": []', f'"Rules": [{FILTER}]')
    arguments = ["--config", str(path), "--ignore-rules", "--topic", "bare"]
    arguments += ["--subscription", "news/all", "--subscription", "news/some"]
    with run_endpoint(["tasks", "plain"], arguments=arguments) as endpoint:
        entities = endpoint.counts()["entities"]
    assert {name for name in entities if not name.endswith("/$DeadLetterQueue")} == {
        "tasks",
        "plain",
        "queue.1",
        "topic.1",
        "topic.1/Subscriptions/subscription.1",
        "bare",
        "news",
        "news/Subscriptions/all",
        "news/Subscriptions/some",
    }


def test_a_process_does_not_start_with_a_bad_file(tmp_path: Path) -> None:
    path = written(tmp_path, '"PT1M30S"', '"PT6M"')
    with (
        pytest.raises(NotReady, match=r"Config\.json:16:\d+: .*LockDuration"),
        run_endpoint([], arguments=["--config", str(path)]),
    ):
        pass


def test_the_local_stack_says_so_before_it_starts_anything(tmp_path: Path) -> None:
    path = written(tmp_path, '"PT1M30S"', '"PT6M"')
    folder = tmp_path / "stack"
    result = CliRunner().invoke(main, ["local", "--folder", str(folder), "--config", str(path)])
    assert result.exit_code == 1
    assert "Config.json:16:31: UserConfig" in result.output
    assert not folder.exists()


def test_the_local_stack_ignores_no_rules_of_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    result = CliRunner().invoke(main, ["local", "--folder", str(folder), "--ignore-rules"])
    assert result.exit_code == 2
    assert "give --config FILE too" in result.output
    assert not folder.exists()


def test_the_local_stack_has_the_entities_of_a_file_beside_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, '"Rules": []', f'"Rules": [{FILTER}]')
    # A short path: that of the socket has a limit.
    folder = Path(tempfile.mkdtemp(prefix="stagebus-local-"))
    try:
        with local_stack(folder, config=path, ignore_rules=True) as stack:
            entities = stack.endpoint.counts()["entities"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert {"tasks", "jobs", "queue.1", "topic.1/Subscriptions/subscription.1"} <= set(entities)
