"""The audit says who logged in, whatever role they have set since."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from tests.client import Client
from tests.conftest import CALLER
from tests.roles.test_matrix import ROLES


@pytest.fixture
def login(client: Client, caller: Client) -> Iterator[Client]:
    """A session in which a role has logged in that is a member of all of ours."""
    for role in ROLES:
        client.execute(f"grant stagebus_{role} to {CALLER}")
    with Client(make_conninfo(client.url, user=CALLER)) as session:
        yield session


@pytest.mark.parametrize("role", [None, "producer", "operator"])
def test_it_is_the_login_also_after_set_role(
    client: Client, login: Client, role: str | None
) -> None:
    def as_role(needed: str) -> None:
        login.execute(f"set role stagebus_{needed}" if role else "reset role")

    as_role("producer")
    job_id = login.create_job()
    login.create_stage_tasks(job_id)
    as_role("operator")
    login.define_job_type([{"name": "a", "task_type": "h3_hexagon", "count": 1}])
    login.execute("select stagebus.set_limit('stage_tasks', 7)")
    login.execute("select stagebus.set_retention('90 days')")
    login.execute("select stagebus.pause_destination('tasks')")
    order = login.order("cancel_job", job_id)
    login.orders("stop_order", order.order_id)
    who = {
        "created_by": "select created_by from stagebus_data.jobs",
        "defined_by": "select defined_by from stagebus_data.plans",
        "ordered_by": "select ordered_by from stagebus_data.orders",
        "stopped_by": "select stopped_by from stagebus_data.orders",
        "limits": "select set_by from stagebus_data.limits where what = 'stage_tasks'",
        "retention": "select set_by from stagebus_data.retention",
        "pause": "select substring(pause_reason from '" + CALLER + "')"
        " from stagebus_data.destinations where destination = 'tasks'",
    }
    assert {name: client.value(query) for name, query in who.items()} == dict.fromkeys(who, CALLER)


def test_every_column_that_names_somebody_defaults_to_the_login(client: Client) -> None:
    """Not to current_user, which in a function of the owner is the owner."""
    defaults = client.rows(
        "select c.relname || '.' || a.attname, pg_get_expr(d.adbin, d.adrelid)"
        " from pg_attribute as a join pg_class as c on c.oid = a.attrelid"
        " left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum"
        " where c.relnamespace = 'stagebus_data'::regnamespace and c.relkind in ('r', 'p')"
        " and a.attname like '%%\\_by' and a.atttypid = 'text'::regtype"
    )
    # Those without a default are written by name: the plan's tasks' grouping, and who stopped it.
    without = {name for name, default in defaults if default is None}
    assert without == {"plan_stages.group_by", "orders.stopped_by"}
    assert {default for _, default in defaults if default} == {"SESSION_USER"}
    bodies = client.column(
        "select prosrc from pg_proc where pronamespace = 'stagebus'::regnamespace"
    )
    assert not [body for body in bodies if "current_user" in body or "current_role" in body]
