"""Which operations a fault befalls: after, times, probability, for how long, and in what order."""

from __future__ import annotations

import random

import pytest

from bridge.local.endpoint.faults import FaultBook, FaultError, NameTaken, NoSuchFault
from tests.local_endpoint.conftest import Bench
from tests.local_endpoint.faults.conftest import LOSES_CONNECTIONS, Stage

pytestmark = LOSES_CONNECTIONS

BUSY, FULL = "ServiceBusServerBusyError", "ServiceBusQuotaExceededError"


class SetClock:
    """A clock that shows what it was set to."""

    def __init__(self) -> None:
        self.moment = 1_000.0

    def now(self) -> float:
        return self.moment

    def milliseconds(self, moment: float) -> int:
        return int(moment * 1000)


def a_book(clock: SetClock | None = None) -> FaultBook:
    """A book of an endpoint with one queue and nothing attached."""
    known = {"tasks": "tasks"}
    return FaultBook(clock or SetClock(), lambda name: known.get(name.lower()), lambda fault: 0)


def test_some_pass_first_and_then_some_are_struck(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        name = stage.set(on="send", do="reject", after=2, times=2)
        found = [await stage.send(f"{number}", "any") for number in range(6)]
        assert found == ["ok", "ok", BUSY, BUSY, "ok", "ok"]
        # What comes after its last time is no longer offered to it.
        assert (stage.counted(name), stage.status(name)["active"]) == ((4, 2), False)
        assert stage.stored() == 4

    bench.run(work())


def test_a_seed_draws_the_same_again(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        name = stage.set(on="send", do="reject", times=None, probability=0.5, seed=7)
        chance = random.Random(7)
        expected = [BUSY if chance.random() < 0.5 else "ok" for _ in range(30)]
        assert [await stage.send(f"{number}", "any") for number in range(30)] == expected
        assert stage.counted(name) == (30, expected.count(BUSY))
        assert 5 < expected.count(BUSY) < 25

    bench.run(work())


def test_a_seed_that_is_not_given_is_told() -> None:
    book = a_book()
    told = book.set(name="a", on="send", do="reject", times=None, probability=0.5)["fault"]
    book.set(**told | {"name": "b", "on": "settle"})
    first = [book.strike("send", "tasks") is None for _ in range(50)]
    assert first == [book.strike("settle", "tasks") is None for _ in range(50)]
    assert len(set(first)) == 2


def test_a_probability_of_zero_or_one_is_certain() -> None:
    book = a_book()
    book.set(name="never", on="send", do="reject", times=None, probability=0)
    book.set(name="always", on="send", do="reject", times=None, probability=1)
    struck = [book.strike("send", "tasks") for _ in range(100)]
    assert {fault.name for fault in struck if fault is not None} == {"always"}
    assert None not in struck


def test_the_first_that_was_added_goes_first(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        first = stage.set(on="send", do="reject", times=2)
        second = stage.set(on="send", do="fill", times=3, after=1)
        assert [await stage.send(f"{number}", "any") for number in range(7)] == [
            *(BUSY, BUSY),
            # The second sees only what the first has left, of which one passes.
            "ok",
            *(FULL, FULL, FULL),
            "ok",
        ]
        assert (stage.counted(first), stage.counted(second)) == ((2, 2), (4, 3))

    bench.run(work())


def test_a_fault_ends_after_its_seconds() -> None:
    clock = SetClock()
    book = a_book(clock)
    book.set(name="a", do="throttle", for_seconds=5)
    clock.moment += 4.9
    assert book.strike("send", "tasks") is not None
    assert book.armed
    clock.moment += 0.2
    assert not book.list()[0]["active"]
    assert book.strike("send", "tasks") is None
    assert (book.list()[0]["seen"], book.list()[0]["done"], book.armed) == (1, 1, False)


def test_throttling_ends_by_itself_and_the_next_send_is_stored(bench: Bench, stage: Stage) -> None:
    async def work() -> None:
        name = stage.set(do="throttle", for_seconds=0.3)
        refused = 0
        while (found := await stage.send("a", "any")) != "ok":
            assert found == BUSY
            refused += 1
        assert refused == stage.counted(name)[1] > 1
        assert stage.stored() == 1

    bench.run(work())


def test_only_the_entity_that_is_named_is_struck() -> None:
    book = a_book()
    book.set(name="a", on="send", do="reject", entity="TASKS", times=None)
    assert book.strike("send", "Tasks") is not None
    assert book.strike("send", "jobs") is None
    assert book.strike("settle", "tasks") is None
    assert book.list()[0]["seen"] == 1


def test_a_fault_of_no_entity_strikes_them_all() -> None:
    book = a_book()
    book.set(name="a", on="send", do="reject", times=None)
    assert all(book.strike("send", entity) for entity in ("tasks", "jobs", None))


def test_nothing_is_asked_for_while_no_fault_can_strike() -> None:
    book = a_book()
    assert not book.armed
    book.set(name="a", on="send", do="reject")
    assert book.armed
    book.strike("send", "tasks")
    assert not book.armed
    book.set(name="b", on="send", do="reject", times=None)
    assert book.remove("b")["done"] == 0
    assert not book.armed


def test_a_name_is_taken_until_the_fault_is_removed() -> None:
    book = a_book()
    book.set(name="a", on="send", do="reject")
    book.strike("send", "tasks")
    with pytest.raises(NameTaken, match=r"'a'.*DELETE /faults/a"):
        book.set(name="a", on="send", do="reject")
    assert book.remove("a")["done"] == 1
    with pytest.raises(NoSuchFault):
        book.remove("a")
    book.set(name="a", on="send", do="reject")
    assert [each["done"] for each in book.clear()] == [0]
    assert book.list() == []


def test_an_entity_that_does_not_exist_is_refused() -> None:
    book = a_book()
    with pytest.raises(FaultError, match=r"fault 'a': field 'entity' is 'taks'.*no such entity"):
        book.set(name="a", on="send", do="reject", entity="taks")
    assert book.list() == []
