"""`doctor` names what retention waits for, and what is left in dead-letter queues."""

from __future__ import annotations

from datetime import timedelta

from tests.client import Client
from tests.observe import troubles
from tests.observe.findings import findings, the_finding
from tests.observe.troubles import later, report
from tests.operate.retention import EXPIRED, KEEP, PARTITION, ended_job, set_retention, step


def test_retention_that_a_job_holds_back(healthy: Client) -> None:
    job_id = troubles.expired_week_that_is_held_back(healthy)
    row = the_finding(healthy, "notice", "tasks_from_", f"job {job_id}: it is created")
    assert row.fix == f"select * from stagebus.why_stuck('{job_id}');"
    (why,) = healthy.session("stagebus_operator").rows(row.fix)
    assert why.cause == "waits for its controller"
    healthy.order("cancel_job", job_id)
    healthy.work_orders()
    # It goes once it has been over for so long.
    assert findings(healthy) == []


def test_retention_that_waits_for_an_archive(healthy: Client) -> None:
    job_id = ended_job(healthy, healthy.now())
    set_retention(healthy, archive_first=True)
    healthy.advance(KEEP + timedelta(weeks=1))
    healthy.maintain()
    report(healthy)
    row = the_finding(healthy, "notice", f"job {job_id}: it is not archived")
    assert f"stagebus archive {job_id} --mark" in row.fix
    healthy.execute("select stagebus.mark_archived(%s)", job_id)
    assert findings(healthy) == []


def test_a_week_that_cannot_be_dropped(healthy: Client) -> None:
    ended_job(healthy)
    set_retention(healthy)
    healthy.at(EXPIRED)
    healthy.maintain()
    report(healthy)
    reader = healthy.session()
    reader.execute("begin")
    reader.rows("select from stagebus_data.tasks")
    while not findings(healthy):
        step(healthy)
        later(healthy, minutes=3)
    row = the_finding(healthy, "warning", PARTITION, "could not be removed 5 times")
    reader.execute("rollback")
    assert row.fix.endswith("select * from stagebus.drop_expired();")
    healthy.session("stagebus_operator").rows("select * from stagebus.drop_expired()")
    assert findings(healthy) == []


def test_dead_letters_that_are_not_ours(healthy: Client) -> None:
    assert healthy.record_dead_letters("somebody else's", "another") == ["not_ours"] * 2
    row = the_finding(healthy, "notice", "2 dead letters of tasks are not ours")
    assert "receive_deferred_messages" in row.fix
    later(healthy, days=2)
    assert findings(healthy) == []
