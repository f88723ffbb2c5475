"""What docs/local-endpoint.md shows of running the endpoint, and of its entities, is so."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.local.endpoint.__main__ import main
from bridge.local.endpoint.config import EntityConfig

PAGE = Path(__file__).parents[2] / "docs" / "local-endpoint.md"


def section(title: str) -> str:
    """A chapter, its parts included."""
    return PAGE.read_text("utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def example(title: str) -> dict[str, object]:
    """What the names of the chapter's Python example stand for, once it has run."""
    found = re.search(r"^```python\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)
    assert found is not None
    names: dict[str, object] = {}
    exec(compile(found[1], PAGE, "exec"), names)
    return names


def test_the_first_test_passes() -> None:
    test = example("Running it")["test_what_is_sent_arrives"]
    assert callable(test)
    test()


def test_the_entities_of_the_example_are_there() -> None:
    endpoint = example("Entities")["endpoint"]
    counts = endpoint.counts()["entities"]  # type: ignore[attr-defined]
    assert {"tasks", "jobs", "news", "news/Subscriptions/reader"} <= set(counts)


def test_the_settings_and_options_of_the_table_exist() -> None:
    rows = [line for line in section("Entities").splitlines() if line.startswith("| `")]
    settings = {name for row in rows for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", row)}
    assert settings == set(EntityConfig.__slots__)
    known = {option for parameter in main.params for option in parameter.opts}
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", section("Running it") + section("Entities")))
    assert named <= known
