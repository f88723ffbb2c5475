"""docs/errors.md lists every code that sql/ raises, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.replay import code_files, code_script

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
RAISED = re.compile(r"raise_error\(\s*'(\w+)'")

#: The one function that raises by itself: its role has no rights, not even to call another.
RAISES_BY_ITSELF = "call_plan_function.sql"


def test_the_codes_of_sql_and_of_the_document_agree() -> None:
    documented = re.findall(r"^\| `(SB\d{3})` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert documented == sorted(set(RAISED.findall(code_script())))


def test_every_error_of_ours_is_raised_through_one_function() -> None:
    for path in code_files():
        if path.name not in ("raise_error.sql", RAISES_BY_ITSELF):
            assert "raise exception" not in path.read_text("utf-8").lower(), path.name


def test_the_one_that_raises_by_itself_gives_all_parts_and_a_code_of_the_document() -> None:
    (path,) = (path for path in code_files() if path.name == RAISES_BY_ITSELF)
    statements = re.findall(r"raise exception using(.*?);\n", path.read_text("utf-8"), re.DOTALL)
    assert statements
    for statement in statements:
        parts = re.findall(r"^\s*(\w+) = ", statement, re.MULTILINE)
        assert parts == ["errcode", "message", "detail", "hint"]
        (code,) = re.findall(r"errcode = '(SB\d{3})'", statement)
        assert f"| `{code}` |" in DOCUMENT.read_text("utf-8")


def test_every_code_is_of_class_sb_and_every_raise_gives_one() -> None:
    script = re.sub(r"--.*", "", code_script())
    calls = len(re.findall(r"perform stagebus\.raise_error\(", script))
    codes = RAISED.findall(script)
    assert len(codes) == calls
    assert all(re.fullmatch(r"SB\d{3}", code) for code in codes)


def test_a_functions_comment_names_the_codes_it_raises_itself() -> None:
    """Ranges like `SB101 to SB109` count as all the codes between."""
    for path in code_files():
        text = path.read_text("utf-8")
        raised = set(RAISED.findall(text))
        comment = " ".join(re.findall(r"comment on function .*?;\n", text + "\n", re.DOTALL))
        named = set(re.findall(r"SB\d{3}", comment))
        for first, last in re.findall(r"SB(\d{3})'?\s*'?to SB(\d{3})", comment):
            named |= {f"SB{number}" for number in range(int(first), int(last) + 1)}
        assert raised <= named, path.name
