"""For each threat `doctor` names it and how grave it is, and what it says to type mends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bridge.migrate import migrate
from bridge.replay import code_digest
from tests.client import Client
from tests.conftest import GIVEN, another_postgres, version
from tests.eventually import eventually
from tests.observe import troubles
from tests.observe.findings import findings, mend, the_finding
from tests.observe.troubles import later, report


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A server with settings that last, and with little room for notifications."""
    pages = {"max_notify_queue_pages": "64"} if version() >= 17 else {}
    with another_postgres({"max_prepared_transactions": "2"} | pages) as postgres:
        migrate(postgres.url())
        yield postgres.url()


@pytest.fixture
def own_client(own_url: str) -> Iterator[Client]:
    """A session there; nothing is to be said."""
    with Client(own_url) as session:
        session.execute("delete from stagebus_data.test_clock")
        report(session)
        session.execute(
            "delete from stagebus_data.bridges where bridge_id <> %s", session.bridge_id
        )
        assert severities(session) == ["ok"]
        yield session


def severities(client: Client) -> list[str]:
    return client.column("select severity from stagebus.doctor()")


def test_a_session_that_holds_back_vacuum(healthy: Client) -> None:
    pid = troubles.holding_back(healthy, healthy.session())
    row = the_finding(healthy, "warning", f"session {pid}", "idle in transaction", "since")
    healthy.execute(row.fix)
    eventually(lambda: findings(healthy) == [])


def test_of_another_roles_session_an_operator_sees_its_age_in_transactions(healthy: Client) -> None:
    holding = healthy.session()
    holding.execute("begin isolation level repeatable read")
    holding.execute("select 1")
    operator = healthy.session("stagebus_operator")
    assert findings(operator) == []
    troubles.many_transactions(healthy)
    pid = holding.connection.info.backend_pid
    (row,) = (r for r in findings(operator) if "session" in r.finding)
    assert f"session {pid}" in row.finding
    assert "for 100" in row.finding


def test_a_prepared_transaction(own_client: Client) -> None:
    own_client.execute("begin")
    own_client.create_job()
    own_client.execute("prepare transaction 'forgotten'")
    assert severities(own_client) == ["ok"]
    later(own_client, minutes=6)
    row = the_finding(own_client, "critical", "prepared transaction forgotten")
    own_client.execute(row.fix)
    assert severities(own_client) == ["ok"]


def test_a_replication_slot_that_nobody_uses(own_client: Client) -> None:
    own_client.rows("select pg_create_physical_replication_slot('gone', true)")
    row = the_finding(own_client, "warning", "slot gone is not in use")
    own_client.execute(row.fix)
    assert severities(own_client) == ["ok"]


def test_a_queue_of_notifications_that_fills(own_client: Client) -> None:
    if version() < 17:
        pytest.skip("before PostgreSQL 17 the queue has 8 GB: max_notify_queue_pages is new there")
    pid = troubles.full_notify_queue(own_client, own_client.session())
    row = the_finding(own_client, "critical", "queue of notifications", f"perhaps {pid}")
    own_client.execute(row.fix)
    eventually(lambda: severities(own_client) == ["ok"])


def test_a_table_that_vacuum_does_not_come_to(healthy: Client) -> None:
    healthy.create_stage_tasks(healthy.create_job(), 1, "h3_hexagon", 30_000)
    healthy.execute("update stagebus_data.tasks set attempt = 2")
    healthy.rows("select pg_stat_force_next_flush()")
    row = the_finding(healthy, "warning", "tasks_from_", "dead rows beside 30000", "never")
    healthy.execute(row.fix)
    healthy.rows("select pg_stat_force_next_flush()")
    assert findings(healthy) == []


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [
        ("fsync", "off", "critical"),
        ("full_page_writes", "off", "critical"),
        ("synchronous_commit", "off", "warning"),
        ("autovacuum", "off", "critical"),
        ("track_counts", "off", "critical"),
        ("default_transaction_isolation", "serializable", "warning"),
    ],
)
def test_a_setting_of_the_server(own_client: Client, name: str, value: str, severity: str) -> None:
    own_client.execute(f"alter system set {name} = '{value}'")
    own_client.execute("select pg_reload_conf()")
    eventually(lambda: severities(own_client) == [severity])
    row = the_finding_of(own_client, f"{name} is {value} (configuration file)")
    own_client.execute(row.fix)
    own_client.execute("select pg_reload_conf()")
    eventually(lambda: severities(own_client) == ["ok"])
    own_client.execute(f"alter system reset {name}")


@pytest.mark.parametrize("place", ["database", "user", "database user", "global", "session"])
def test_a_setting_of_a_smaller_place_is_mended_there(own_client: Client, place: str) -> None:
    own_client.execute(
        {
            "database": "alter database postgres set synchronous_commit = off",
            "user": "alter role postgres set synchronous_commit = off",
            "database user": "alter role postgres in database postgres"
            " set synchronous_commit = off",
            "global": "alter role all set synchronous_commit = off",
            "session": "set synchronous_commit = off",
        }[place]
    )
    session = own_client if place == "session" else own_client.session()
    row = the_finding_of(session, f"synchronous_commit is off ({place})")
    session.execute(row.fix)
    session = own_client if place == "session" else own_client.session()
    assert severities(session) == ["ok"]


def test_a_setting_that_the_client_connects_with(own_url: str, own_client: Client) -> None:
    url = make_conninfo(own_url, options="-c synchronous_commit=off")
    with psycopg.connect(url, autocommit=True) as connection:
        ((severity, finding, fix),) = connection.execute("select * from stagebus.doctor()")
        assert (severity, finding.split(":")[0]) == (
            "warning",
            "synchronous_commit is off (client)",
        )
        connection.execute(fix)
        assert [row[0] for row in connection.execute("select * from stagebus.doctor()")] == ["ok"]


def test_a_setting_of_the_command_line_is_mended_there(client: Client) -> None:
    if GIVEN:
        pytest.skip("that server was started by others")
    (fix,) = client.column("select fix from stagebus.doctor() where finding like 'fsync is off%%'")
    assert fix == "-- start the server without this option: fsync"


def the_finding_of(client: Client, setting: str) -> Any:
    (row,) = client.rows("select * from stagebus.doctor()")
    assert row.finding.startswith(setting)
    return row


def test_no_bridge_and_a_dead_one(healthy: Client) -> None:
    healthy.advance(timedelta(minutes=2))
    none, dead = findings(healthy)
    assert (none.severity, dead.severity) == ("critical", "notice")
    assert none.fix == "-- start one: stagebus bridge"
    assert str(healthy.bridge_id) in dead.finding
    report(healthy, uuid4())
    row = the_finding(healthy, "notice", "process 7 on host")
    mend(healthy, row)
    assert findings(healthy) == []


def test_bridges_with_other_code_than_is_installed(healthy: Client) -> None:
    old = uuid4()
    report(healthy, old, "another digest", "0.9")
    row = the_finding(healthy, "warning", "1 bridges of version 0.9", "versions 0.9, 1.0")
    assert "stagebus migrate" in row.fix
    healthy.execute("select stagebus.forget_bridge(%s)", old)
    assert findings(healthy) == []


def test_a_lease_of_half_the_window_or_more(healthy: Client) -> None:
    lease = (
        "select stagebus.report_bridge(%s, 'host', 7, '1.0', %s, interval '5 minutes')",
        uuid4(),
        code_digest(),
    )
    healthy.execute("select stagebus.forget_bridge(%s)", healthy.bridge_id)
    healthy.execute(*lease)
    healthy.set_destination("tasks", duplicate_window="10 minutes 1 second")
    healthy.set_destination("jobs", duplicate_window="0")
    assert findings(healthy) == []
    healthy.set_destination("tasks", duplicate_window="10 minutes")
    row = the_finding(healthy, "warning", "to tasks that nobody answered", "of 1 bridges, 00:05:00")
    assert row.fix == "-- start them anew with a --lease well below 300 seconds"
    healthy.set_destination("tasks", old_repeats="resend")
    assert findings(healthy) == []


def test_a_stale_code_digest(healthy: Client, database_url: str) -> None:
    troubles.stale_code(healthy)
    assert findings(healthy) == []
    (row,) = findings(healthy, code_digest())
    assert row.severity == "warning"
    assert row.fix == "-- with the newest version: stagebus migrate"
    migrate(database_url)
    healthy.execute("select stagebus.forget_bridge(%s)", healthy.bridge_id)
    report(healthy)
    assert findings(healthy, code_digest()) == []


def test_leases_that_ran_out_of_a_paused_destination(healthy: Client) -> None:
    troubles.quiet(healthy)
    troubles.expired_leases(healthy)
    lease, paused, dead = findings(healthy)
    assert "2 batches for tasks are leased" in lease.finding
    assert "tasks is paused" in paused.finding
    assert "the queue moves" in paused.finding
    assert "went without a word" in dead.finding
    mend(healthy, lease)
    assert len(healthy.publish()) == 4
    assert findings(healthy) == [dead]


def test_attempts_that_nobody_ended(healthy: Client) -> None:
    published = healthy.published_stage(2, "h3_hexagon")
    healthy.start_all(published.messages, UUID(int=1))
    later(healthy, hours=1)
    mend(healthy, the_finding(healthy, "warning", "2 attempts of workers"))
    assert findings(healthy) == []


@pytest.mark.parametrize("state", ["failed", "held"])
def test_batches_that_wait_for_an_operator(healthy: Client, state: str) -> None:
    healthy.create_stage_tasks(healthy.create_job(), 1, "h3_hexagon", 5)
    claim = healthy.claim()
    if state == "failed":
        healthy.fail_batch(claim, max_attempts=1)
    else:
        healthy.order("hold_batch", claim.job_id, claim.batch_id)
    mend(healthy, the_finding(healthy, "warning", f"1 batches are {state}"))
    assert findings(healthy) == []
    assert len(healthy.publish()) == 5


def test_a_batch_whose_stage_is_being_cancelled_keeps_no_other_from_going_on(
    healthy: Client,
) -> None:
    for _ in range(3):
        healthy.create_stage_tasks(healthy.create_job(), 1, "h3_hexagon", 5)
    claims = healthy.claim_batches(3)
    for claim in claims:
        healthy.fail_batch(claim, max_attempts=1)
    healthy.order("cancel_stage", claims[1].job_id, 1)
    mend(healthy, the_finding(healthy, "warning", "2 batches are failed"))
    assert findings(healthy) == []
    assert len(healthy.publish()) == 10


def test_an_order_whose_steps_fail(healthy: Client) -> None:
    published = healthy.published_stage(5, "h3_hexagon")
    order = healthy.order("cancel_stage", published.job_id, 1)
    healthy.execute("select stagebus.fail_order_step(%s, 'a deadlock')", order.order_id)
    mend(healthy, the_finding(healthy, "warning", f"order {order.order_id}", "a deadlock"))
    assert findings(healthy) == []


def test_next_weeks_partition_is_missing(healthy: Client) -> None:
    troubles.missing_partition(healthy)
    mend(healthy, the_finding(healthy, "warning", "partition of tasks"))
    assert findings(healthy) == []


def test_the_worst_comes_first(healthy: Client) -> None:
    healthy.execute("select stagebus.pause_destination('tasks')")
    healthy.advance(timedelta(minutes=2))
    assert [row.severity for row in findings(healthy)] == ["critical", "warning", "notice"]
