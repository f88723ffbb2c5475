"""An exception for each error that the functions in SQL raise; docs/errors.md says more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bridge.errors import CallRefused


class JobNotFound(CallRefused):
    """The job does not exist."""

    code = "SB101"


class JobEnded(CallRefused):
    """The job has ended, or is being cancelled."""

    code = "SB102"


class StageOutOfOrder(CallRefused):
    """The stage's number leaves a gap, or the stage before has not ended."""

    code = "SB103"


class StageExists(CallRefused):
    """The stage exists already, or was opened differently."""

    code = "SB104"


class StageNotFound(CallRefused):
    """The stage does not exist."""

    code = "SB105"


class StageSealed(CallRefused):
    """The stage is sealed and takes no more tasks."""

    code = "SB106"


class TaskTypeNotFound(CallRefused):
    """The task type is not defined."""

    code = "SB107"


class TaskCountOutOfRange(CallRefused):
    """The count of tasks is below 1, or takes the stage beyond its limit."""

    code = "SB108"


class CommonParametersRefused(CallRefused):
    """The parameters of a job or stage are not a JSON object."""

    code = "SB109"


class TaskParametersRefused(CallRefused):
    """The parameters of a task are not a JSON object."""

    code = "SB110"


class MessageTooBig(CallRefused):
    """A message cannot fit in one send of its destination."""

    code = "SB111"


class QueryRefused(CallRefused):
    """The query does not return exactly one column."""

    code = "SB112"


class JobNotFinished(CallRefused):
    """The job has a stage that has not ended."""

    code = "SB113"


class UnknownChoice(CallRefused):
    """if_exists or on_conflict is neither error nor skip."""

    code = "SB114"


class WrongIsolationLevel(CallRefused):
    """The transaction is not read committed."""

    code = "SB115"


class ArgumentRefused(CallRefused):
    """An argument is out of its range, or does not fit the others."""

    code = "SB116"


class ResultTooLarge(CallRefused):
    """The result of a task is too large."""

    code = "SB117"


class NestedTooDeep(CallRefused):
    """Parameters or a result nest too deep."""

    code = "SB118"


class BatchNotFound(CallRefused):
    """The batch does not exist."""

    code = "SB119"


class OrderRefused(CallRefused):
    """What is ordered does not fit the state of what it is about."""

    code = "SB120"


class OrderNotFound(CallRefused):
    """The order does not exist."""

    code = "SB121"


class TaskKeyRefused(CallRefused):
    """A task has no usable key, or one that the stage has already."""

    code = "SB122"


class LocksTakenAnew(CallRefused):
    """Caught inside; never seen."""

    code = "SB123"


class CountersWrong(CallRefused):
    """A defect: a counter would fall below zero."""

    code = "SB124"


class DestinationNotFound(CallRefused):
    """The destination does not exist."""

    code = "SB125"


class DoesNotFitInOneSend(CallRefused):
    """A batch of an atomic stage cannot be packed into one send of its destination."""

    code = "SB126"


class BeyondALimit(CallRefused):
    """More than an operator allows the role that made the job."""

    code = "SB127"


class StageNotPublished(CallRefused):
    """The stage was not published by publish_stage, or not with that nonce."""

    code = "SB130"


class StageBeingWithdrawn(CallRefused):
    """What is left of a withdrawn stage of that number is still going away."""

    code = "SB131"


class PlanRefused(CallRefused):
    """A plan is not usable, or is another role's."""

    code = "SB140"


class PlanCycle(CallRefused):
    """Stages of a plan wait for each other."""

    code = "SB141"


class PlanFunctionRefused(CallRefused):
    """A function cannot be called by a plan."""

    code = "SB142"


class NoPlan(CallRefused):
    """The job, or its type, has no plan."""

    code = "SB143"


class JobHasPlan(CallRefused):
    """The job's plan makes its stages, and nobody else does."""

    code = "SB144"


class PlanValueRefused(CallRefused):
    """A count, condition or group of a plan gives nothing usable for this job."""

    code = "SB145"


#: The exception of each SQLSTATE.
BY_CODE: dict[str, type[CallRefused]] = {
    refusal.code: refusal for refusal in CallRefused.__subclasses__()
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises what BY_CODE has for an error that a function of stagebus raised."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate not in BY_CODE:
            raise
        raise BY_CODE[error.sqlstate](
            error.diag.message_primary or "",
            error.diag.message_detail or "",
            error.diag.message_hint or "",
        ) from error
