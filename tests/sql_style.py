"""The rules of style for SQL that a machine can check: `python -m tests.sql_style`, part of lint.

Each rule is a function from a file's path and text to what is wrong with it. Grants line by line,
the codes of errors, and that functions in the database are those of sql/ are tests of their own.
What nobody but a reader checks: names of CTEs, several short statements before one clever one, the
order of locks, that sweeps take a limit, that one function alone makes a change of state, that no
`count(*)` decides.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: The one function that runs a caller's query: invoker, no set clause (docs/decisions/0001).
RUNS_A_CALLERS_QUERY = "create_stage_tasks_from_query"

#: Where dynamic SQL is the point: a caller's query, a plan's function, a partition's DDL, each
#: table with a job_id, a statement that others prepared.
DYNAMIC_SQL = {
    RUNS_A_CALLERS_QUERY, "ensure_partition", "call_plan_function", "drop_partition", "remove_rows",
    "archive_job", "forget_statements",
}  # fmt: skip

#: The one function that catches all that a plan's code may raise: the error is then on the job.
RECORDS_EVERY_ERROR = "advance_job"

#: Files that hold no function named like them.
NOT_ONE_FUNCTION = {"00_schema", "counter_tree", "grants", "task_id_parts"}

#: One expression each, inlined into callers that have pinned their path.
INLINED = {
    "slot_of", "group_of", "is_task_id", "job_id_of", "stage_of", "task_index_of", "message_bytes",
    "turns_per_task",
}  # fmt: skip

PINNED = "set search_path = stagebus_data, stagebus, pg_temp"

FUNCTION = re.compile(
    r"create or replace function (stagebus\.\w+)\((.*?)\)\s*returns(.*?)\bas \$\$(.*?)\$\$;",
    re.DOTALL,
)
LITERAL = re.compile(r"'(?:[^']|'')*'")
KEYWORDS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|CREATE|FROM|WHERE|BEGIN|END|RETURN|RETURNS|LANGUAGE|"
    r"DECLARE|LOOP|FUNCTION|VIEW|GRANT|REVOKE|AND|OR|NOT|NULL|WITH|JOIN|ORDER|GROUP|LIMIT)\b"
)

CLOCKS = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(\)"
    r"|\b(?:current_timestamp|current_time|current_date|localtimestamp|localtime)\b"
)

#: The attributes of a function, by their place.
ATTRIBUTES = (
    {"language"},
    {"immutable", "stable", "volatile"},
    {"strict"},
    {"parallel"},
    {"rows"},
    {"security"},
    {"set"},
)

Problem = str
Rule = Callable[[Path, str], Iterator[Problem]]


def lines_fit(_: Path, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > 100:
            yield f"line {number} has {len(line)} columns; the limit is 100"
        if "\t" in line or line != line.rstrip():
            yield f"line {number} has a tab or ends in a space"


def lines_are_indented_by_fours(_: Path, text: str) -> Iterator[Problem]:
    for number, line in enumerate(text.splitlines(), 1):
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
        elif PINNED not in head and short not in INLINED:
            yield f"{short} lacks `{PINNED}`"
        if not re.search(rf"^comment on function {name}\(", text, re.MULTILINE):
            yield f"{short} has no comment on function"
        if "execute " in LITERAL.sub("", body) and short not in DYNAMIC_SQL:
            yield f"{short} has dynamic SQL and is not one of {', '.join(sorted(DYNAMIC_SQL))}"
        if re.search(r"when\s+others", body) and short != RECORDS_EVERY_ERROR:
            yield f"{short} swallows every error: when others"
        for parameter in filter(None, (part.strip() for part in parameters.split(",\n"))):
            if " default " not in parameter and not parameter.startswith("p_"):
                yield f"{short}: the required argument `{parameter}` has no prefix p_"
        variables = body.split("begin", 1)[0].split("declare", 1)[1:]
        for line in variables[0].splitlines() if variables else ():
            if re.match(r"    [a-z]\w* ", line) and not line.startswith("    v_"):
                yield f"{short}: the variable `{line.strip()}` has no prefix v_"


def attributes_are_in_order(_: Path, text: str) -> Iterator[Problem]:
    for name, _parameters, head, _body in FUNCTION.findall(text):
        places = [
            place
            for line in head.splitlines()
            for place, words in enumerate(ATTRIBUTES)
            if line.split(" ", 1)[0] in words
        ]
        if places != sorted(places):
            yield f"{name}: language, volatility, strict, parallel, rows, security, set go so"


def parameters_have_a_line_each(_: Path, text: str) -> Iterator[Problem]:
    for name, parameters, _head, _body in FUNCTION.findall(text):
        if any("," in line.rstrip(",") for line in _code(parameters).splitlines()):
            yield f"{name} has several parameters on one line"


def time_has_one_source(path: Path, text: str) -> Iterator[Problem]:
    """Else a test that sets the time would set only some of it."""
    for match in CLOCKS.findall(_code(text)):
        if path.stem != "clock":
            yield f"{match} is not stagebus.clock()"


def a_state_follows_from_the_state_before(_: Path, text: str) -> Iterator[Problem]:
    for statement in re.findall(
        r"(?<!for )(?<!no key )\bupdate\s[^;]*", re.sub(r"--[^\n]*", "", text)
    ):
        changes, _where, condition = statement.partition("where ")
        condition = condition.partition("returning ")[0]
        if re.search(r"\bstate\s*=", changes) and not re.search(r"\bstate\b", condition):
            yield f"the state before does not matter to `{' '.join(statement.split())[:60]}…`"


def nothing_is_an_enum_or_a_trigger(_: Path, text: str) -> Iterator[Problem]:
    for match in re.findall(r"\bas enum\b|\bcreate (?:or replace )?trigger\b", _code(text)):
        yield f"`{match}`: states are text with a check; nothing happens by trigger"


def checks_have_names(_: Path, text: str) -> Iterator[Problem]:
    code = _code(text)
    for match in re.finditer(r"\bcheck\s*\(", code):
        if not re.search(r"\bconstraint \w+\s+$", code[: match.start()]):
            line = code.count("\n", 0, match.start()) + 1
            yield f"line {line}: a check has a sentence for a name: `constraint … check (…)`"


def names_of_errors_are_known(_: Path, text: str) -> Iterator[Problem]:
    for match in re.findall(r"'(SB[^']*)'", text):
        if not re.fullmatch(r"SB\d{3}", match):
            yield f"{match} is not a code of class SB with three digits"


#: For both folders.
RULES: tuple[Rule, ...] = (
    lines_fit,
    keywords_are_lower_case,
    intent_comes_first,
    nothing_is_an_enum_or_a_trigger,
    checks_have_names,
)

#: For sql/ alone: a migration holds no functions, aligns its columns, and may ask for the time.
CODE_RULES: tuple[Rule, ...] = (
    lines_are_indented_by_fours,
    file_is_named_for_its_function,
    functions_are_whole,
    attributes_are_in_order,
    parameters_have_a_line_each,
    time_has_one_source,
    a_state_follows_from_the_state_before,
    names_of_errors_are_known,
)


def problems(path: Path) -> Iterator[Problem]:
    """What is wrong with one file."""
    text = path.read_text("utf-8")
    for rule in rules_for(path):
        for problem in rule(path, text):
            yield f"{path.relative_to(ROOT).as_posix()}: {problem}"


def rules_for(path: Path) -> tuple[Rule, ...]:
    """A file of migrations/, or a script for psql, has fewer rules than one of sql/; a rollback
    needs no intent."""
    if (ROOT / "sql") in path.parents and path.parent.name != "psql":
        return (*RULES, *CODE_RULES)
    if path.name.endswith(".rollback.sql"):
        return tuple(rule for rule in RULES if rule is not intent_comes_first)
    return RULES


def main() -> int:
    """1 when there are problems; the lines go to standard output."""
    files = sorted([*(ROOT / "sql").glob("*/*.sql"), *(ROOT / "migrations").glob("*.sql")])
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
