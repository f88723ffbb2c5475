"""Config.json of Microsoft's emulator: taken as there, refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.local.endpoint import EntityConfig
from bridge.local.endpoint.emulator_config import BadConfig, read_config
from bridge.local.endpoint.process import NotReady, run_endpoint

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
              "DefaultMessageTimeToLive": "PT1H",
              "DuplicateDetectionHistoryTimeWindow": "PT20S",
              "ForwardDeadLetteredMessagesTo": "", /* none */
              "ForwardTo": "",
              "LockDuration": "PT1M30S",
              "MaxDeliveryCount": 3,
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


def written(folder: Path, before: str = "", after: str = "") -> Path:
    """The good file with one thing changed."""
    assert before in GOOD
    path = folder / "Config.json"
    path.write_text(GOOD.replace(before, after, 1) if before else GOOD, "utf-8")
    return path


def test_the_settings_of_a_file_are_taken(tmp_path: Path) -> None:
    queues, topics = read_config(written(tmp_path))
    assert queues == {
        "queue.1": EntityConfig(
            lock_duration=90,
            max_delivery_count=3,
            duplicate_window=20,
            default_ttl=3600,
            dead_letter_on_expiry=True,
        ),
        "plain": EntityConfig(duplicate_window=None),
    }
    assert set(topics) == {"topic.1"}
    assert topics["topic.1"].config.duplicate_window is None
    (subscription,) = topics["topic.1"].subscriptions.values()
    assert subscription.max_delivery_count == 5


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ('"PT20S"', '"PT6M"', 13, "is 360 seconds; the emulator takes 5 to 300"),
        ('"PT1M30S"', '"90"', 16, "'90' is not a duration of ISO 8601"),
        ('"PT1M30S"', '"PT6M"', 16, "LockDuration: 'PT6M' is 360 seconds"),
        ('"PT1H"', '"PT61M"', 12, "the emulator takes 1 to 3600"),
        ('"MaxDeliveryCount": 3', '"MaxDeliveryCount": 0', 17, "0 is not a whole number from 1"),
        ('"MaxDeliveryCount": 3', '"MaxDeliveries": 3', 17, "did you mean 'MaxDeliveryCount'?"),
        ('"RequiresSession": false', '"RequiresSession": true', 19, "sessions are not built"),
        ('"ForwardTo": ""', '"ForwardTo": "plain"', 15, "forwarding is not built"),
        ('"queue.1"', '"queue 1"', 8, "'queue 1' is no name"),
        ('"queue.1"', '"PLAIN"', 22, "the name 'plain' is there twice"),
        ('"topic.1"', '"plain"', 4, "two entities are named 'plain'"),
        ('{ "Name": "plain" }', "{}", 22, "the key 'Name' is missing"),
        ('{ "Name": "plain" }', "7", 22, "an object was expected"),
        ('"Rules": []', '"Rules": [{}]', 29, "filters are not built"),
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
    assert f":{line}:" in text or f"line {line}," in text


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, '"PT1H"', '"1h"')
    path.write_text(path.read_text("utf-8").replace("PT1M30S", "PT9M"), "utf-8")
    with pytest.raises(BadConfig) as refused:
        read_config(path)
    assert len(str(refused.value).splitlines()) == 2


def test_more_entities_than_the_emulator_has_are_refused(tmp_path: Path) -> None:
    more = ", ".join(f'{{"Name": "q{number}"}}' for number in range(48))
    assert len(read_config(written(tmp_path, '{ "Name": "plain" }', more))[0]) == 49
    more += ', {"Name": "last"}'
    with pytest.raises(BadConfig, match="it has 51 entities; 50 at most"):
        read_config(written(tmp_path, '{ "Name": "plain" }', more))


def test_a_process_serves_the_entities_of_a_file(tmp_path: Path) -> None:
    arguments = ["--config", str(written(tmp_path))]
    with run_endpoint(["tasks", "plain"], arguments=arguments) as endpoint:
        entities = endpoint.counts()["entities"]
    assert {"tasks", "plain", "queue.1", "topic.1", "topic.1/Subscriptions/subscription.1"} <= set(
        entities
    )


def test_a_process_does_not_start_with_a_bad_file(tmp_path: Path) -> None:
    path = written(tmp_path, '"PT1M30S"', '"PT6M"')
    with (
        pytest.raises(NotReady, match=r"Config\.json:16:\d+: .*LockDuration"),
        run_endpoint([], arguments=["--config", str(path)]),
    ):
        pass
