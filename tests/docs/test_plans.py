"""docs/plans.md, typed into psql as it is: by a producer, or by whoever a block names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.replay import code_files
from tests.client import Client
from tests.conftest import CALLER
from tests.psql import Psql, blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plans.md"
TEAM = CALLER
OPERATOR = f"{CALLER}_operator"

#: Blocks that are not a producer's begin so.
BY_OTHERS = re.compile(r"-- as an (administrator|operator)\n")

Printed = dict[str, list[str]]


@pytest.fixture
def typed(client: Client, caller: Client) -> Iterator[Printed]:
    """What psql printed, by the first statement of each block."""
    client.execute(f"drop role if exists {OPERATOR}")
    client.execute(f"create role {OPERATOR} in role stagebus_operator")
    printed: Printed = {}
    with (
        Psql(client.url) as administrator,
        Psql(client.url, role=OPERATOR) as operator,
        Psql(client.url, role=TEAM) as producer,
    ):
        others = {"administrator": administrator, "operator": operator}
        for block in blocks(PAGE):
            who = BY_OTHERS.match(block)
            session = others[who[1]] if who else producer
            printed[block.splitlines()[1 if who else 0]] = session.run(
                block.replace("gis_team", TEAM)
            )
            if "as job \\gset" in block:
                (job_id,) = session.run("\\echo :job")
                for other in others.values():
                    other.set("job", job_id)
    yield printed
    client.execute(f"drop role {OPERATOR}")


def of(printed: Printed, begins: str) -> list[str]:
    (found,) = (lines for first, lines in printed.items() if first.startswith(begins))
    return found


def test_every_statement_of_the_page_works_and_gives_what_the_page_says(
    client: Client, typed: Printed
) -> None:
    assert of(typed, "select define_job_type('contact_sheet'") == [
        "1",
        '1|shrink|shrink_image||$."parameters"."images"|1250|3|f|',
        "2|sheet|make_sheet|shrink|1|1|1|f|",
        "shrink|waits|",
        "sheet|waits|",
    ]
    assert of(typed, "select define_job_type('survey'")[1:] == [
        'fetch||$."parameters"."images"|40|f',
        "weather||1|0|t",
        'check|fetch|$."stages"."fetch"."completed"||f',
        "publish|check, weather|1|1|f",
        "tidy|all others, however they end|1|1|f",
    ]
    assert of(typed, "select define_job_type('mosaic'") == [
        "2",
        "advanced|2|30|cut jura: 20 tasks, cut alps: 10 tasks",
        "cut|jura|1|open|20",
        "join||2|waits|",
        "cut|alps|3|open|10",
    ]
    looked = of(typed, "select job_id, failing_stage")
    assert any("|advanced|running|1|30|cut: 30 tasks" in line for line in looked)
    versions = of(typed, "select job_type, version")
    assert [line.rsplit("|", 2)[0] for line in versions[:4]] == [
        f"contact_sheet|1|t|{TEAM}",
        f"mosaic|1|f|{TEAM}",
        f"mosaic|2|t|{TEAM}",
        f"survey|1|t|{TEAM}",
    ]
    explained = of(typed, "select name, waits_for, tasks_from, tasks, batches")
    assert "fetch||the count of stage fetch is not there" in explained


def test_the_job_of_the_page_goes_on_from_the_results_of_its_first_stage(
    client: Client, typed: Printed
) -> None:
    (job_id,) = client.column("select job_id from stagebus.jobs where dedupe_key is not null")
    assert client.task(f"{job_id}-s1-3").parameters == {
        "regions": ["alps", "jura"], "scene": 3, "region": "alps", "path": "scenes/3.tif",
    }  # fmt: skip
    client.end_stage_of(job_id, 1, failing=2, result={"region": "alps", "path": "x.tif"})
    assert client.stage(job_id, 1).status == "completed_with_errors"
    assert client.advance_job(job_id).note == "join: 1 tasks"
    parameters = client.task(f"{job_id}-s2-1").parameters
    assert (parameters["region"], parameters["cut"]) == ("alps", ["x.tif"] * 28)


def test_the_page_has_each_key_and_no_other(client: Client) -> None:
    """By the keys that the checks in SQL know."""
    text = PAGE.read_text("utf-8")
    keys = re.search(r"## The keys of a plan\n(.*?)Any other key", text, re.DOTALL)
    assert keys
    plan, stage = keys[1].split("And of a stage:")
    sources = {path.name: path.read_text("utf-8") for path in code_files()}

    def known(name: str) -> set[str]:
        found = re.search(r"where k not in \((.*?)\)", sources[name], re.DOTALL)
        assert found
        return set(re.findall(r"'(\w+)'", found[1]))

    def documented(table: str) -> set[str]:
        return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))

    assert documented(plan) == known("check_plan.sql")
    assert documented(stage) == known("check_plan_stage.sql")
    (every,) = (block for block in blocks(PAGE) if "'survey', '{\n" in block)
    given = re.search(r"'survey', '(.*?)'\);", every, re.DOTALL)
    assert given
    stages = json.loads(given[1])["stages"]
    assert {key for each in stages for key in each} == documented(stage) - {"tasks", "group_by"}


PATHS = {
    "$.parameters.images * 2": 80,
    "$.stages.fetch.completed": 39,
    "($.parameters.images / 50).ceiling()": 1,
    "$.parameters.indoors == true": True,
    "$.stages.fetch.failed == 0": False,
    "exists($.parameters.draft)": False,
}


def test_the_paths_of_the_page_give_what_they_should(client: Client) -> None:
    text = PAGE.read_text("utf-8")
    found = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert found
    context = json.loads(found[1])
    for path, value in PATHS.items():
        assert f'"{path}"' in text
        answer = client.value("select jsonb_path_query_first(%s, %s)", json.dumps(context), path)
        assert answer == value
        assert type(answer) is type(value)
    client.define_job_type(
        [
            {"name": "fetch", "task_type": "h3_hexagon", "count": 40},
            {"name": "b", "task_type": "h3_hexagon", "count": 1},
        ]
    )
    job_id = client.submit_job(parameters=context["parameters"])
    client.advance_job(job_id)
    client.end_stage_of(job_id, 1, failing=1)
    assert client.value("select stagebus.plan_context(%s)", job_id) == context


def test_what_a_function_writes_is_committed_with_the_stage_or_not_at_all(
    client: Client, caller: Client
) -> None:
    client.execute(f"create schema gis authorization {TEAM}")
    caller.execute("create table gis.asked (name text)")
    caller.execute("grant usage on schema gis to stagebus_nobody")
    caller.execute(
        "create function gis.asking(uuid, jsonb) returns setof jsonb language plpgsql"
        " security definer set search_path = gis, pg_temp as $$ begin"
        " insert into asked values ($2 ->> 'n'); return next jsonb_build_object('n', $2 -> 'n');"
        " if ($2 ->> 'n')::int > 5 then return next '7'; end if; end $$"
    )
    caller.define_job_type([{"name": "a", "task_type": "h3_hexagon", "tasks": "gis.asking"}])
    assert caller.advance_job(caller.submit_job(parameters={"n": 9})).status == "failed"
    assert client.column("select name from gis.asked") == []
    assert caller.advance_job(caller.submit_job(parameters={"n": 3})).status == "advanced"
    assert client.column("select name from gis.asked") == ["3"]
