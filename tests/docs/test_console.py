"""docs/console.md knows each command and each script, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from bridge.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "console.md").read_text("utf-8")
SCRIPTS = ROOT / "sql" / "psql"


def test_each_command_is_on_the_page() -> None:
    _, _, text = PAGE.partition("\n## The command\n")
    tables, _, rest = text.partition("\n### The rest\n")
    named = set(re.findall(r"(?:^\| |, )`([a-z-]+)(?: [^`]*)?`", tables, re.MULTILINE))
    others = set(re.findall(r"`([a-z]+)`", rest.partition("What has no command")[0]))
    assert {name for name in named | others if name in main.commands} == set(main.commands)


def test_each_script_is_on_the_page_and_has_a_word_in_psqlrc() -> None:
    rows = dict(re.findall(r"^\| `:(\w+)` \| `(\w+)\.sql` \|", PAGE, re.MULTILINE))
    words = re.findall(
        r"^\\set (\w+) '\\\\i", (SCRIPTS / "psqlrc").read_text("utf-8"), re.MULTILINE
    )
    included = {"only", "told"}
    assert rows == {word: word for word in words}
    assert {path.stem for path in SCRIPTS.glob("*.sql")} - included == set(words)


def test_each_command_prints_json_or_the_page_says_why_not() -> None:
    """What prints no result, or prints JSON anyway."""
    without = {
        name
        for name in main.commands
        if "--json" not in CliRunner().invoke(main, [name, "--help"]).output
    }
    assert without == {"archive", "bridge", "demo", "failpoints", "local", "psql", "uninstall"}
