"""A query of a standby that holds back vacuum here is ended there."""

from __future__ import annotations

from typing import Any

from bridge.migrate import migrate
from tests.client import Client
from tests.conftest import another_postgres
from tests.eventually import eventually
from tests.faults_database.standby import standby_of
from tests.observe import troubles
from tests.observe.findings import findings

FEEDBACK = {
    "wal_level": "replica",
    "hot_standby_feedback": "on",
    "wal_receiver_status_interval": "1s",
    "fsync": "off",
}


def held_back(client: Client) -> list[Any]:
    return [row for row in findings(client) if "holds back vacuum" in row.finding]


def test_a_query_of_a_standby_that_holds_back_vacuum() -> None:
    with another_postgres(FEEDBACK) as primary:
        migrate(primary.url())
        with (
            standby_of(primary, synchronous=False) as standby,
            Client(primary.url()) as client,
            Client(standby.url()) as reader,
        ):
            troubles.report(client)
            assert held_back(client) == []
            reader.execute("begin isolation level repeatable read")
            reader.rows("select from stagebus.jobs")
            eventually(lambda: client.value("select count(backend_xmin) from pg_stat_replication"))
            troubles.many_transactions(client)
            (row,) = held_back(client)
            assert "walreceiver" in row.finding
            assert row.fix.startswith("-- on its standby: end what has been running longest")
            reader.execute("rollback")
            eventually(lambda: held_back(client) == [])
