"""`stagebus migrate --json` says what it did, or how database and version stand."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.migrate import migration_ids
from bridge.replay import code_digest
from tests.client import Client


def migrate(database_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "--database-url", database_url, *arguments])


def told(database_url: str, *arguments: str) -> Any:
    result = migrate(database_url, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_was_rolled_back_and_applied(database_url: str) -> None:
    last = migration_ids()[-1]
    assert told(database_url, "--rollback", last) == {"rolled_back": [last]}
    assert told(database_url) == {"applied": [last], "code_digest": code_digest()}
    assert told(database_url)["applied"] == []


def test_whether_they_agree(client: Client, database_url: str) -> None:
    agreed = {"pending": [], "unknown": [], "digest_agrees": True, "agrees": True}
    assert told(database_url, "--check") == agreed
    client.execute("update stagebus_data.installed_code set digest = 'of last year'")
    result = migrate(database_url, "--check", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {**agreed, "digest_agrees": False, "agrees": False}
    assert "database and version differ" in result.stderr


def test_a_newer_version_is_named_and_the_way_out(client: Client, database_url: str) -> None:
    client.execute(
        "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " values ('x', '9999.from-the-future', now())"
    )
    result = migrate(database_url, "--check", "--json")
    assert (result.exit_code, json.loads(result.stdout)["unknown"]) == (1, ["9999.from-the-future"])
    for answer in (result, migrate(database_url), migrate(database_url, "--check")):
        assert answer.exit_code == 1
        assert "install the newer one here" in answer.stderr


def test_sql_is_no_json(database_url: str) -> None:
    assert migrate(database_url, "--dump-sql", "--json").exit_code == 2
