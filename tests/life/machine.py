"""Everything that anybody may do, in any order: each rule does it in the database and in the model.

A rule draws numbers and picks by them from what there is, so that a failure prints as the list of
calls that led to it. None has a precondition; one that does not apply does nothing: ids are drawn
by the database, so the state is not the same at each replay, and what is drawn must be.
"""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.client import Claim, Client
from tests.life import bridges, looking, operators, producers, workers
from tests.life.drain import drain
from tests.life.model import Batch, Job, Model, Order, Outcome, Refused, Stage, TaskType
from tests.life.workers import Letter

T = TypeVar("T")

TYPES = (
    TaskType("plain"),
    TaskType(
        "strict", batch_size=2, max_attempts=1, tolerated_failures="1", job_messages=True,
        start_timeout=timedelta(minutes=5),
    ),
    TaskType(
        "patient", batch_size=5, max_attempts=3, tolerated_failures="25%", on_failure="wait",
        job_messages=True, stage_timeout=timedelta(minutes=30),
    ),
)  # fmt: skip

PICK = st.integers(0, 999)
FEW = st.integers(1, 4)
MOMENT = timedelta(microseconds=1)


def define_types(client: Client) -> None:
    for kind in TYPES:
        options = {name: value for name, value in vars(kind).items() if name != "name"}
        client.set_task_type(kind.name, **options)


@dataclass
class Hold:
    """A claim as its bridge knows it."""

    claim: Claim
    through: int


@dataclass(frozen=True)
class Work:
    """A message that a worker was told to run."""

    letter: Letter
    token: UUID


class Life(RuleBasedStateMachine):
    """One database; `client` is set by whoever runs it."""

    client: ClassVar[Client]
    #: How often each rule did something, over all runs: a rule that never does proves nothing.
    done: ClassVar[Counter[str]] = Counter()
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        tables = [t for t in self.client.tables() if t not in (
            "destinations", "task_types", "installed_code", "test_clock", "retention",
            "limits")]  # fmt: skip
        self.client.execute(
            f"truncate {', '.join(f'stagebus_data.{t}' for t in tables)} restart identity"
        )
        self.client.execute("select setseed(0.5)")
        self.model = Model(self.client.stop_clock())
        self.holds: list[Hold] = []
        self.broker: list[Letter] = []
        self.seen: set[str] = set()
        self.works: list[Work] = []
        self.tokens = 0
        self.ticks = 0

    # What rules are written with.

    @staticmethod
    def one(things: Sequence[T], pick: int) -> T:
        return things[pick % len(things)]

    def some(self, things: Sequence[T], pick: int, count: int) -> list[T]:
        """Neighbours, from one on."""
        first = pick % len(things)
        return list(things[first : first + count])

    def did(self, what: str) -> None:
        self.done[what] += 1

    def token(self) -> UUID:
        self.tokens += 1
        return UUID(int=self.tokens)

    def lease(self) -> timedelta:
        """No two run out together, so that it is clear which is reclaimed first."""
        self.ticks += 1
        return timedelta(minutes=1) + self.ticks * MOMENT

    def both(self, real: Callable[[], Any], told: Callable[[Model], Any]) -> Any:
        """Does it in the database and in the model; both refuse it, or neither does."""
        model = copy.deepcopy(self.model)
        expected: Any = None
        error: psycopg.Error | None = None
        try:
            expected = told(model)
        except Refused as refused:
            expected = refused.args[0]
        else:
            self.model = model
        try:
            found = real()
        except psycopg.Error as raised:
            found, error = raised.sqlstate, raised
        if isinstance(expected, str) and expected.startswith("SB"):
            assert found == expected, f"not refused with {expected}: {found}"
            return None
        if error is not None:
            raise error
        return found

    def new_ids(self) -> Callable[[], int]:
        """The numbers that the database will give to the next orders."""
        last: int = self.client.value(
            "select case when is_called then last_value else 0 end"
            " from stagebus_data.orders_order_id_seq"
        )
        following = iter(range(last + 1, last + 1000))
        return lambda: next(following)

    def all_stages(self) -> list[Stage]:
        return list(self.model.stages())

    # Producers.

    @initialize(kinds=st.lists(st.sampled_from(TYPES), min_size=1, max_size=3), out=st.booleans())
    def begin_in_the_middle(self, kinds: list[TaskType], out: bool) -> None:
        """Most of what matters happens to stages that are under way."""
        for pick, kind in enumerate(kinds):
            self.create_job()
            self.create_stage(pick, kind, 7, "count")
        # One more is filled in steps.
        self.create_job()
        self.create_stage(len(kinds), kinds[0], 0, "open")
        self.fill(0, [1, 2, 2, 3], "skip")
        self.seal(0)
        looking.learn_batches(self.model, self.client)
        if out:
            self.publish_all()
            self.start(0, 5)

    @rule()
    def another_job(self) -> None:
        if len(self.model.jobs) >= 4:
            return
        self.create_job()

    def create_job(self) -> None:
        producers.create_job(self.model, self.client.create_job())
        self.did("create_job")

    def jobs(self) -> list[Job]:
        return list(self.model.jobs.values())

    @rule(
        pick=PICK, kind=st.sampled_from(TYPES), count=st.sampled_from((1, 2, 3, 5, 8, 21)),
        form=st.sampled_from(("count", "array", "empty", "open", "open")),
    )  # fmt: skip
    def create_stage(self, pick: int, kind: TaskType, count: int, form: str) -> None:
        if not self.model.jobs:
            return
        job_id = self.one(self.jobs(), pick).job_id
        number = len(self.model.jobs[job_id].stages) + 1
        array = [{"n": n} for n in range(count)] if form == "array" else []

        def real() -> None:
            if form == "open":
                self.client.open_stage(job_id, number, kind.name)
            elif form == "count":
                self.client.create_stage_tasks(job_id, number, kind.name, count)
            else:
                self.client.create_stage_tasks_from_array(job_id, number, kind.name, array)

        def told(model: Model) -> None:
            producers.open_stage(model, job_id, number, kind)
            if form != "open":
                tasks = count if form == "count" else len(array)
                producers.append_tasks(model, job_id, number, tasks)
                producers.seal_stage(model, job_id, number)

        self.both(real, told)
        self.did(f"create_stage {form}")

    def filling(self) -> list[Stage]:
        return [stage for stage in self.all_stages() if stage.state == "filling"]

    @rule(
        pick=PICK,
        keys=st.lists(st.integers(1, 9), max_size=6),
        how=st.sampled_from((None, "error", "skip")),
    )
    def fill(self, pick: int, keys: list[int], how: str | None) -> None:
        if not self.filling():
            return
        stage = self.one(self.filling(), pick)
        at = (stage.job_id, stage.stage)
        if how is None:
            self.both(
                lambda: self.client.append_tasks(*at, [{} for _ in keys]),
                lambda model: producers.append_tasks(model, *at, len(keys)),
            )
        else:
            names = [str(key) for key in keys]
            self.both(
                lambda: self.client.execute(
                    "select stagebus.append_tasks(%s, %s, array(select jsonb_build_object('id', k)"
                    " from unnest(%s::text[]) as k), task_key => 'id', on_conflict => %s)",
                    *at, names, how,
                ),
                lambda model: producers.append_keyed_tasks(model, *at, names, how),
            )  # fmt: skip
        self.did(f"fill {how}")

    @rule(pick=PICK)
    def seal(self, pick: int) -> None:
        if not self.filling():
            return
        stage = self.one(self.filling(), pick)
        self.client.seal_stage(stage.job_id, stage.stage)
        producers.seal_stage(self.model, stage.job_id, stage.stage)
        self.did("seal")

    @rule(pick=PICK, minutes=st.sampled_from((1, 20)))
    def publish(self, pick: int, minutes: int) -> None:
        """A filling stage provisionally; now and then one is named that is sealed."""
        stages = self.filling() if self.filling() and pick % 8 else self.all_stages()
        if not stages:
            return
        stage = self.one(stages, pick)
        ids, at, timeout = self.new_ids(), (stage.job_id, stage.stage), timedelta(minutes=minutes)
        self.did(f"publish {stage.state}")
        self.both(
            lambda: self.client.publish_stage(*at, timeout),
            lambda model: producers.publish_stage(model, ids, *at, timeout),
        )

    @rule(pick=PICK)
    def withdraw(self, pick: int) -> None:
        provisional = [stage for stage in self.all_stages() if stage.state == "provisional"]
        stages = provisional if provisional and pick % 8 else self.all_stages()
        # Not all of them: others are to be confirmed.
        if not stages or pick % 3:
            return
        stage = self.one(stages, pick)
        ids, at = self.new_ids(), (stage.job_id, stage.stage)
        self.did(f"withdraw {stage.state}")
        self.both(
            lambda: self.client.withdraw_stage(*at),
            lambda model: operators.withdraw_stage(model, ids, model.stage(*at)),
        )

    @rule()
    def withdraw_overdue_stages(self) -> None:
        overdue = bridges.overdue_publications(self.model)
        assert self.client.value("select stagebus.withdraw_overdue_stages(1000)") == len(overdue)
        assigned = {
            (row.job_id, row.stage): row.order_id
            for row in self.client.rows("select * from stagebus_data.orders order by order_id")
        }
        for stage in overdue:
            self.model.withdraw(stage, lambda stage=stage: assigned[stage.job_id, stage.stage])
            self.did("withdraw_overdue_stages")

    @rule(pick=PICK)
    def finish_job(self, pick: int) -> None:
        if not self.model.jobs:
            return
        job_id = self.one(self.jobs(), pick).job_id
        if not self.model.jobs[job_id].stages:
            return
        self.both(
            lambda: self.client.finish_job(job_id),
            lambda model: producers.finish_job(model, job_id),
        )
        self.did("finish_job")

    # Bridges.

    @rule(times=FEW)
    def claim(self, times: int) -> None:
        for _ in range(times):
            lease = self.lease()
            found = self.client.claim_batches(1, lease)
            rows = self.client.rows("select batch_id, claim_epoch from stagebus.batches")
            taken = {
                row.batch_id for row in rows
                if row.claim_epoch != self.model.batch(row.batch_id).epoch
            }  # fmt: skip
            expected = bridges.claim(self.model, 1, lease, taken)
            assert [claim.batch_id for claim in found] == [batch.batch_id for batch in expected]
            self.holds += [Hold(claim, claim.published_through) for claim in found]
            self.done["claim"] += len(found)

    def held_batch(self, pick: int) -> tuple[Hold, Batch]:
        # The newest first: those before are mostly given back already.
        hold = self.one(self.holds[::-1], pick)
        return hold, self.model.batch(hold.claim.batch_id)

    @rule(
        pick=st.integers(0, 3), count=st.integers(1, 9),
        outcome=st.sampled_from(("accepted", "accepted", "accepted", "unknown")),
        arrives=st.booleans(),
    )  # fmt: skip
    def send(self, pick: int, count: int, outcome: Outcome, arrives: bool) -> None:
        if not self.holds:
            self.claim(1)
        if not self.holds:
            return
        hold, batch = self.held_batch(pick)
        messages = self.client.batch_messages(hold.claim, hold.through, count)
        epoch = hold.claim.claim_epoch
        indexes = bridges.messages(self.model, batch, epoch, hold.through)[:count]
        assert [message.task_index for message in messages] == indexes
        if not messages:
            return
        if outcome == "accepted" or arrives:
            for message in messages:
                self.arrive(batch, message)
        lease = self.lease()
        error = None if outcome == "accepted" else "nobody answered"
        found = self.client.record_send(
            hold.claim, indexes[0], indexes[-1], outcome, error, lease, len(messages)
        )
        assert found == bridges.record_send(self.model, batch, epoch, indexes[-1], outcome, lease)
        if outcome == "accepted" and found:
            hold.through = indexes[-1]
            if arrives:
                self.finish(self.holds[::-1].index(hold))
        else:
            # A bridge stops here: it reports a failure, or drops what is no longer its own.
            self.holds.remove(hold)
            if found:
                self.report_failure(hold, batch, 10)
        self.did(f"send {outcome} {found}")

    def arrive(self, batch: Batch, message: Any) -> None:
        """The broker drops a message whose id it has seen."""
        if batch.kind == "tasks" and message.message_id not in self.seen:
            self.seen.add(message.message_id)
            key = (batch.job_id, batch.stage, message.task_index)
            self.broker.append(Letter(key, message.attempt, message.nonce, message.message_id))

    @rule(pick=st.integers(0, 3))
    def finish(self, pick: int) -> None:
        if not self.holds:
            return
        hold, batch = self.held_batch(pick)
        if self.client.batch_messages(hold.claim, hold.through):
            return
        epoch = hold.claim.claim_epoch
        found = self.client.finish_batch(hold.claim)
        assert found == bridges.finish_batch(self.model, batch, epoch)
        self.did(f"finish_batch {found}")
        # Once in a while the answer is lost and it is said again.
        if pick < 3:
            self.holds.remove(hold)

    @rule(pick=st.integers(0, 3), most=st.sampled_from((1, 2, 10)))
    def fail_batch(self, pick: int, most: int) -> None:
        if not self.holds:
            self.claim(1)
        if not self.holds:
            return
        hold, batch = self.held_batch(pick)
        self.holds.remove(hold)
        self.report_failure(hold, batch, most)

    def report_failure(self, hold: Hold, batch: Batch, most: int) -> None:
        ids = self.new_ids()
        found = self.client.fail_batch(hold.claim, max_attempts=most)
        assert found == bridges.fail_batch(self.model, batch, hold.claim.claim_epoch, most, ids)
        self.did(f"fail_batch {found}")

    @rule(pick=st.integers(0, 3), seconds=st.sampled_from((0, 20)))
    def release_batch(self, pick: int, seconds: int) -> None:
        if not self.holds:
            return
        hold, batch = self.held_batch(pick)
        self.holds.remove(hold)
        delay = timedelta(seconds=seconds)
        found = self.client.release_batch(hold.claim, delay)
        assert found == bridges.release_batch(self.model, batch, hold.claim.claim_epoch, delay)
        self.did(f"release_batch {found}")

    @rule()
    def publish_all(self) -> None:
        """A bridge at work for a while: the rules above do it in small steps."""
        lease = self.lease()
        for batch in bridges.claim(self.model, 100, lease):
            indexes = bridges.messages(self.model, batch, batch.epoch, batch.through)
            if indexes:
                bridges.record_send(self.model, batch, batch.epoch, indexes[-1], "accepted", lease)
            bridges.finish_batch(self.model, batch, batch.epoch)
        for claim in self.client.claim_batches(100, lease):
            messages = self.client.batch_messages(claim, claim.published_through)
            for message in messages:
                self.arrive(self.model.batch(claim.batch_id), message)
            if messages:
                first, last = messages[0].task_index, messages[-1].task_index
                assert self.client.record_send(
                    claim, first, last, lease=lease, messages=len(messages)
                )
            assert self.client.finish_batch(claim)
            self.did("publish_all")

    # Maintenance and time.

    @rule()
    def gather_retries(self) -> None:
        found = self.client.gather_retries()
        assert found == bridges.gather_retries(self.model)
        self.done["gather_retries"] += bool(found)

    @rule()
    def end_lost_attempts(self) -> None:
        found = self.client.end_lost_attempts()
        assert found == bridges.end_lost_attempts(self.model)
        self.done["end_lost_attempts"] += bool(found)

    @rule()
    def republish_unstarted(self) -> None:
        found = self.client.value("select stagebus.republish_unstarted(1000)")
        assert found == bridges.republish_unstarted(self.model)
        self.done["republish_unstarted"] += bool(found)

    @rule()
    def end_overdue_stages(self) -> None:
        overdue = sorted(
            bridges.overdue_stages(self.model), key=lambda s: s.deadline or self.model.now
        )
        ids = self.new_ids()
        assert self.client.value("select stagebus.end_overdue_stages(1000)") == len(overdue)
        assigned = {
            (row.job_id, row.stage): row.order_id
            for row in self.client.rows("select * from stagebus_data.orders order by order_id")
        }
        for stage in overdue:
            ids()
            bridges.end_overdue_stage(self.model, stage, assigned[stage.job_id, stage.stage])
            self.did("end_overdue_stages")

    @rule(seconds=st.sampled_from((1, 11, 61, 92, 301, 1801)))
    def time_passes(self, seconds: int) -> None:
        self.model.now = self.client.advance(timedelta(seconds=seconds))
        self.did("time_passes")

    # Workers, and the broker between.

    @rule(pick=PICK, count=FEW)
    def start(self, pick: int, count: int) -> None:
        if not self.broker:
            self.publish_all()
        if not self.broker:
            return
        letters = self.some(self.broker, pick, count)
        token = self.token()
        found = self.ask(letters, token)
        for letter, verdict in zip(letters, found, strict=True):
            if verdict == "wait":
                continue
            self.broker.remove(letter)
            if verdict == "run":
                self.works.append(Work(letter, token))

    def ask(self, letters: list[Letter], token: UUID) -> list[str]:
        looking.learn_nonces(self.model, self.client)
        answers = self.client.start_tasks(
            [letter.task_id for letter in letters],
            [letter.attempt for letter in letters],
            [letter.nonce for letter in letters],
            token,
        )
        found = [answer.verdict for answer in answers]
        assert found == workers.start(self.model, letters, token)
        for verdict in found:
            self.did(f"start: {verdict}")
        return found

    @rule(pick=PICK, same=st.booleans())
    def deliver_again(self, pick: int, same: bool) -> None:
        """The worker lost its answer and asks again, or another gets the message."""
        if not self.works:
            return
        work = self.one(self.works, pick)
        token = work.token if same else self.token()
        if self.ask([work.letter], token) == ["run"] and not same:
            self.works.append(Work(work.letter, token))

    def at_hand(self, pick: int, count: int) -> list[Work]:
        """Tasks of one worker."""
        token = self.one(self.works, pick).token
        return [work for work in self.works if work.token == token][:count]

    @rule(pick=PICK, count=FEW)
    def complete(self, pick: int, count: int) -> None:
        if not self.works:
            self.start(pick, count)
        if not self.works:
            return
        works = self.at_hand(pick, count)
        token = works[0].token
        found = self.client.complete_tasks([work.letter.task_id for work in works], token)
        assert found == workers.complete(self.model, [work.letter.key for work in works], token)
        for work, verdict in zip(works, found, strict=True):
            self.works.remove(work)
            self.did(f"complete: {verdict}")

    @rule(pick=PICK, count=FEW, retry=st.booleans())
    def fail(self, pick: int, count: int, retry: bool) -> None:
        if not self.works:
            self.start(pick, count)
        if not self.works:
            return
        works = self.at_hand(pick, count)
        token = works[0].token
        known = {work.letter.key: self.model.task(work.letter.key).due_at for work in works}
        found = self.client.fail_tasks(
            [work.letter.task_id for work in works], token, ["no luck"] * len(works), retry
        )
        expected = workers.fail(self.model, [work.letter.key for work in works], token, retry=retry)
        assert [answer.verdict for answer in found] == expected
        for work, answer in zip(works, found, strict=True):
            self.works.remove(work)
            self.did(f"fail: {answer.verdict}")
            if answer.retry_at is not None:
                task = self.model.task(work.letter.key)
                assert task.due_at is not None
                if known[task.key] is not None:
                    # Said too late: another attempt was scheduled before.
                    assert answer.retry_at == task.due_at
                    continue
                delay = task.due_at - self.model.now
                assert delay / 2 <= answer.retry_at - self.model.now <= delay
                task.due_at = answer.retry_at

    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        if not self.works:
            return
        work = self.one(self.works, pick)
        until = self.client.heartbeat_task(work.letter.task_id, work.token)
        found = workers.heartbeat(self.model, work.letter.key, work.token)
        assert (until is not None) == found
        self.did(f"heartbeat {found}")

    @rule(pick=PICK)
    def worker_dies(self, pick: int) -> None:
        """Its message goes back to the broker."""
        if not self.works:
            return
        work = self.one(self.works, pick)
        self.works.remove(work)
        self.broker.append(work.letter)
        self.did("worker_dies")

    @rule(pick=PICK)
    def message_is_lost(self, pick: int) -> None:
        """Of a stage whose task type looks after that."""
        guarded = [
            letter for letter in self.broker
            if (stage := workers.stage_of(self.model, letter)) and stage.type.start_timeout
        ]  # fmt: skip
        if guarded:
            self.broker.remove(self.one(guarded, pick))
            self.did("message_is_lost")

    # Operators.

    @rule(
        pick=PICK,
        action=st.sampled_from(("hold_batch", "unhold_batch", "retry_batch", "retry unfinished")),
    )
    def order_about_a_batch(self, pick: int, action: str) -> None:
        if not self.model.batches:
            return
        state = {"hold_batch": ("pending_queue", "publishing", "failed"), "unhold_batch": ("held",)}
        fitting = [
            b
            for b in self.model.batches
            if b.state in state.get(action, ("queued", "publishing", "failed"))
        ]
        if action == "retry unfinished":
            running = {t.batch for t in self.model.tasks() if t.state == "processing"}
            fitting = [batch for batch in fitting if batch in running] or fitting
        # Now and then one that is refused.
        batch = self.one(fitting if fitting and pick % 8 else self.model.batches, pick)
        ids, at = self.new_ids(), (batch.job_id, batch.batch_id)
        if action == "retry unfinished" or action == "retry_batch":
            unfinished = action != "retry_batch"
            self.both(
                lambda: self.client.order("retry_batch", *at, unfinished=unfinished),
                lambda m: operators.retry_batch(m, ids, m.batch(at[1]), unfinished=unfinished),
            )
        else:
            verb = getattr(operators, action)
            self.both(
                lambda: self.client.order(action, *at), lambda m: verb(m, ids, m.batch(at[1]))
            )
        self.did(action)

    @rule(pick=PICK, status=st.sampled_from(("failed", "cancelled", "retry_wait")))
    def retry_tasks(self, pick: int, status: str) -> None:
        if not self.all_stages():
            return
        fitting = [stage for stage in self.all_stages() if stage.number(status)]
        stage = self.one(fitting or self.all_stages(), pick)
        ids, at = self.new_ids(), (stage.job_id, stage.stage)
        self.both(
            lambda: self.client.order("retry_tasks", *at, status),
            lambda m: operators.retry_tasks(m, ids, m.stage(*at), status),
        )
        self.did(f"retry_tasks {status} {bool(fitting)}")

    @rule(pick=PICK)
    def cancel_stage(self, pick: int) -> None:
        if not self.all_stages():
            return
        stage = self.one(self.all_stages(), pick)
        ids, at = self.new_ids(), (stage.job_id, stage.stage)
        self.both(
            lambda: self.client.order("cancel_stage", *at),
            lambda m: operators.cancel_stage(m, ids, m.stage(*at)),
        )
        self.did(f"cancel_stage {stage.state}")

    @rule(pick=PICK)
    def cancel_job(self, pick: int) -> None:
        if not self.model.jobs:
            return
        job_id = self.one(self.jobs(), pick).job_id
        ids = self.new_ids()
        self.did(f"cancel_job {self.model.jobs[job_id].state}")
        self.both(
            lambda: self.client.order("cancel_job", job_id),
            lambda m: operators.cancel_job(m, ids, m.jobs[job_id]),
        )

    @rule(
        pick=PICK, tolerated=st.sampled_from((None, "0", "1", "50%", "100%")),
        minutes=st.sampled_from((None, None, 1, 10)),
        on_failure=st.sampled_from((None, "wait", "fail_job")),
    )  # fmt: skip
    def set_stage(
        self, pick: int, tolerated: str | None, minutes: int | None, on_failure: str | None
    ) -> None:
        if not self.all_stages():
            return
        failed = [stage for stage in self.all_stages() if stage.state == "failed"]
        stage = self.one(failed if failed and pick % 2 else self.all_stages(), pick)
        ids, at = self.new_ids(), (stage.job_id, stage.stage)
        deadline = None if minutes is None else self.model.now + timedelta(minutes=minutes)
        self.both(
            lambda: self.client.order(
                "set_stage", *at, tolerated_failures=tolerated, deadline=deadline,
                on_failure=on_failure,
            ),
            lambda m: operators.set_stage(
                m, ids, m.stage(*at), tolerated, deadline, on_failure
            ),
        )  # fmt: skip
        self.did(f"set_stage {stage.state}")

    def working(self) -> list[Order]:
        return [order for order in self.model.orders.values() if order.state == "working"]

    @rule(pick=PICK, limit=st.sampled_from((1, 2, 5, 1000)))
    def work_order(self, pick: int, limit: int) -> None:
        if not self.working():
            return
        order = self.one(self.working()[::-1], pick)
        report = self.client.order("work_order", order.order_id, limit)
        operators.work_order(self.model, order, limit)
        assert report.status == order.state
        self.did(f"work_order {order.action}")

    @rule(pick=PICK)
    def stop_order(self, pick: int) -> None:
        if not self.model.orders:
            return
        order_id = self.one(self.working() or list(self.model.orders.values()), pick).order_id
        self.both(
            lambda: self.client.order("stop_order", order_id),
            lambda m: operators.stop_order(m, m.orders[order_id]),
        )
        self.did(f"stop_order {self.model.orders[order_id].action}")

    @rule(pick=PICK)
    def undo_order(self, pick: int) -> None:
        if not self.model.orders:
            return
        orders = list(self.model.orders.values())[::-1]
        undoable = [order for order in orders if order.action in operators.UNDOABLE]
        # Now and then one that is refused.
        order_id = self.one(undoable if undoable and pick % 8 else orders, pick % 4).order_id
        ids = self.new_ids()
        self.both(
            lambda: self.client.orders("undo_order", order_id),
            lambda m: operators.undo_order(m, ids, m.orders[order_id]),
        )
        self.did(f"undo_order {self.model.orders[order_id].action}")

    # What is always true.

    @invariant()
    def all_is_well(self) -> None:
        Life.steps += 1
        self.the_database_is_as_the_model_says()
        self.the_counters_say_what_the_rows_say()
        self.somebody_moves_every_task_on()
        self.what_is_being_cancelled_is_worked_off()
        self.a_running_job_is_due_once_its_stages_have_ended()

    def the_database_is_as_the_model_says(self) -> None:
        looking.learn_batches(self.model, self.client)
        found = looking.differences(looking.of_model(self.model), looking.of_database(self.client))
        assert not found, "\n".join(found)

    def the_counters_say_what_the_rows_say(self) -> None:
        assert looking.miscounts(self.client) == []

    def somebody_moves_every_task_on(self) -> None:
        looking.learn_nonces(self.model, self.client)
        on_the_way = {
            (letter.key, letter.attempt)
            for letter in self.broker
            if workers.stage_of(self.model, letter)
        }
        for task in self.model.tasks():
            assert bridges.is_covered(self.model, task), f"nobody moves on {task}"
            if bridges.message_is_needed(self.model, task):
                assert (task.key, task.attempt) in on_the_way, f"no message moves on {task}"

    def what_is_being_cancelled_is_worked_off(self) -> None:
        for job in self.model.jobs.values():
            left = [stage for stage in job.stages if not stage.ended]
            for stage in left:
                assert stage.ending is None or self.model.working(stage), "nobody cancels it"
                assert stage.ending or not job.cancelling, "it is not cancelled with its job"
            assert left or job.ended or not job.cancelling, "its job hangs"

    def a_running_job_is_due_once_its_stages_have_ended(self) -> None:
        for job in self.model.jobs.values():
            if job.state == "running" and all(stage.ended for stage in job.stages):
                last = job.stages[-1]
                assert last.state == "failed" or job.due == {last.stage}, f"{job} hangs"
            else:
                assert not job.due

    def teardown(self) -> None:
        # What has failed already is what should be read.
        if sys.exc_info()[1] is None:
            drain(self.client, self.broker + [work.letter for work in self.works])
            assert looking.miscounts(self.client) == []
