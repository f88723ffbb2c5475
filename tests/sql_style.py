"""The rules of sql/'s style that a machine can check: `python -m tests.sql_style`, part of lint.

Each rule is a function from a file's path and text to what is wrong with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The one function that runs a caller's query: invoker, no set clause (docs/decisions/0001).
RUNS_A_CALLERS_QUERY = "create_stage_tasks_from_query"

#: Where dynamic SQL is the point: a caller's query, a partition's DDL.
DYNAMIC_SQL = {RUNS_A_CALLERS_QUERY, "ensure_partition"}

#: Files that hold no function named like them.
NOT_ONE_FUNCTION = {"00_schema", "counter_tree", "grants"}

PINNED = "set search_path = stagebus_data, stagebus, pg_temp"

FUNCTION = re.compile(
    r"create or replace function (stagebus\.\w+)\((.*?)\)\s*returns(.*?)\bas \$\$(.*?)\$\$;",
    re.DOTALL,
)
KEYWORDS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|FROM|WHERE|BEGIN|END|RETURN|RETURNS|LANGUAGE|"
    r"DECLARE|LOOP|FUNCTION|VIEW|GRANT|REVOKE|AND|OR|NOT|NULL|WITH|JOIN|ORDER|GROUP|LIMIT)\b"
)

Problem = str
Rule = Callable[[Path, str], Iterator[Problem]]


def lines_fit(_: Path, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 100:
            yield f"line {number} has {len(line)} columns; the limit is 100"
        if "\t" in line or line != line.rstrip():
            yield f"line {number} has a tab or ends in a space"
        indent = len(line) - len(line.lstrip(" "))
        if indent % 4:
            yield f"line {number} is indented by {indent} spaces, not by a multiple of 4"


def keywords_are_lower_case(_: Path, text: str) -> Iterator[Problem]:
    for match in KEYWORDS.finditer(_code(text)):
        yield f"{match[0]} is a keyword in upper case"


def intent_comes_first(path: Path, text: str) -> Iterator[Problem]:
    if not text.startswith("-- ") and "view" not in text.split("\n", 1)[0]:
        yield "the file does not begin with what it is for"


def file_is_named_for_its_function(path: Path, text: str) -> Iterator[Problem]:
    names = [name.removeprefix("stagebus.") for name, *_ in FUNCTION.findall(text)]
    views = re.findall(r"create or replace view stagebus\.(\w+)", text)
    if path.stem not in NOT_ONE_FUNCTION and [*names, *views] != [path.stem]:
        yield f"holds {', '.join([*names, *views]) or 'nothing'}; it is named for {path.stem}"


def functions_are_whole(_: Path, text: str) -> Iterator[Problem]:
    for name, parameters, head, body in FUNCTION.findall(text):
        short = name.removeprefix("stagebus.")
        if short == RUNS_A_CALLERS_QUERY:
            if "set search_path" in head or "security invoker" not in head:
                yield f"{short} runs a caller's query: invoker, and no set clause"
        elif PINNED not in head:
            yield f"{short} lacks `{PINNED}`"
        if not re.search(rf"^comment on function {name}\(", text, re.MULTILINE):
            yield f"{short} has no comment on function"
        if "execute " in body and short not in DYNAMIC_SQL:
            yield f"{short} has dynamic SQL and is not one of {', '.join(sorted(DYNAMIC_SQL))}"
        if re.search(r"when\s+others", body):
            yield f"{short} swallows every error: when others"
        for parameter in filter(None, (part.strip() for part in parameters.split(",\n"))):
            if " default " not in parameter and not parameter.startswith("p_"):
                yield f"{short}: the required argument `{parameter}` has no prefix p_"
        variables = body.split("begin", 1)[0].split("declare", 1)[1:]
        for line in variables[0].splitlines() if variables else ():
            if re.match(r"    [a-z]\w* ", line) and not line.startswith("    v_"):
                yield f"{short}: the variable `{line.strip()}` has no prefix v_"


def names_of_errors_are_known(_: Path, text: str) -> Iterator[Problem]:
    for match in re.findall(r"'(SB[^']*)'", text):
        if not re.fullmatch(r"SB\d{3}", match):
            yield f"{match} is not a code of class SB with three digits"


RULES: tuple[Rule, ...] = (
    lines_fit,
    keywords_are_lower_case,
    intent_comes_first,
    file_is_named_for_its_function,
    functions_are_whole,
    names_of_errors_are_known,
)


def problems(path: Path) -> Iterator[Problem]:
    """What is wrong with one file."""
    text = path.read_text("utf-8")
    for rule in RULES:
        for problem in rule(path, text):
            yield f"{path.relative_to(ROOT).as_posix()}: {problem}"


def main() -> int:
    files = sorted((ROOT / "sql").glob("*/*.sql"))
    found = [problem for path in files for problem in problems(path)]
    for problem in found:
        print(problem)
    print(f"sql style: {len(files)} files, {len(found)} problems")
    return 1 if found else 0


def _code(text: str) -> str:
    """Without comments and quoted strings, which speak English."""
    return re.sub(r"--[^\n]*|'(?:[^']|'')*'", "", text)


if __name__ == "__main__":
    sys.exit(main())
