"""What left sql/ leaves the database with the next `migrate`."""

from __future__ import annotations

import psycopg
import pytest

from bridge.errors import MigrationError
from bridge.migrate import migrate
from bridge.replay import replay_code
from tests.client import Client

FUNCTIONS = "select proname from pg_proc where pronamespace = 'stagebus'::regnamespace"


def test_functions_old_signatures_and_views_that_left_are_dropped(
    client: Client, database_url: str
) -> None:
    before = sorted(client.rows(FUNCTIONS))
    client.execute("create function stagebus.left_long_ago() returns int return 1")
    client.execute("create function stagebus.create_job(p_old int) returns int return 1")
    client.execute("create view stagebus.left_too as select 1 as one")
    migrate(database_url)
    assert sorted(client.rows(FUNCTIONS)) == before
    assert client.value("select to_regclass('stagebus.left_too')") is None


def test_what_left_may_be_built_on_each_other(client: Client, database_url: str) -> None:
    before = sorted(client.rows(FUNCTIONS))
    client.execute("create function stagebus.a_left() returns int return 1")
    client.execute("create view stagebus.b_left as select stagebus.a_left() as one")
    client.execute(
        "create function stagebus.c_left() returns setof stagebus.b_left language sql"
        " begin atomic select * from stagebus.b_left; end"
    )
    client.execute("create view stagebus.d_left as select one from stagebus.c_left()")
    migrate(database_url)
    assert sorted(client.rows(FUNCTIONS)) == before
    assert client.value("select to_regclass('stagebus.b_left')") is None


def test_code_may_be_replayed_twice_in_one_transaction(client: Client, database_url: str) -> None:
    before = sorted(client.rows(FUNCTIONS))
    with psycopg.connect(database_url) as connection:
        replay_code(connection)
        replay_code(connection)
    assert sorted(client.rows(FUNCTIONS)) == before


def test_what_is_built_on_a_function_that_left_is_named(client: Client, database_url: str) -> None:
    client.execute("create function stagebus.left_long_ago() returns int return 1")
    client.execute("create view public.mine as select stagebus.left_long_ago() as one")
    with pytest.raises(MigrationError, match=r"left_long_ago\(\).*view mine.*drop that first"):
        migrate(database_url)
    assert client.value("select to_regprocedure('stagebus.left_long_ago()')") is not None
    client.execute("drop view public.mine")
    migrate(database_url)
    assert client.value("select to_regprocedure('stagebus.left_long_ago()')") is None
