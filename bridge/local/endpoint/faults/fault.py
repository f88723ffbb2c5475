"""What a scripted fault is: which operations it is about, what it does to them, and how often.

The one definition of it, for JSON and Python alike; `reading` makes faults and words its errors.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Operation: TypeAlias = Literal["send", "attach", "token", "deliver", "settle", "connect", "now"]
Action: TypeAlias = Literal[
    "reject",
    "throttle",
    "release",
    "modify",
    "drop_before",
    "drop_after",
    "late",
    "never",
    "detach",
    "refuse",
    "disable",
    "fill",
]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
ACTIONS: tuple[Action, ...] = get_args(Action)

#: The operations an action is for; the first is meant where `on` is left out.
ALLOWED: dict[Action, tuple[Operation, ...]] = {
    "reject": ("send", "attach", "token", "settle"),
    "throttle": ("send", "attach", "token", "settle"),
    "release": ("send",),
    "modify": ("send",),
    "drop_before": ("send", "attach", "token", "deliver", "settle", "connect"),
    "drop_after": ("send", "attach", "token", "deliver", "settle"),
    "late": ("send", "attach", "token", "deliver", "settle", "connect"),
    "never": ("send", "attach", "token", "deliver", "settle", "connect"),
    "detach": ("send", "attach", "token", "deliver", "settle", "now"),
    "refuse": ("token", "attach", "connect"),
    "disable": ("attach", "send", "deliver"),
    "fill": ("send",),
}
#: Actions that say how things are rather than what befalls one operation: `times` is null.
STATES: frozenset[Action] = frozenset(("throttle", "disable", "fill"))

_ERROR: frozenset[Action] = frozenset(("reject", "throttle", "detach", "refuse", "disable", "fill"))
#: The actions that take a field; fields not named here go with every action.
TAKEN_BY: dict[str, frozenset[Action]] = {
    "condition": _ERROR,
    "description": _ERROR,
    "info": _ERROR,
    "seconds": frozenset(("late",)),
    "store": frozenset(("never", "detach")),
}

_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Fault(BaseModel):
    """One scripted fault; raises pydantic's ValidationError, which `reading` translates.

    name: what it is called in lists, counts and errors. on: the operation it befalls; "now": what
    is attached at the moment. entity: a queue or another entity by its name; None: all of them.
    condition, description, info: the AMQP error; what is left out is as the service would have
    it, a null is really left out of the error. seconds: how late. store: whether what is never
    answered, or followed by a detach, takes effect. holds: only sends with this text in their
    bytes, such as a message id. after: how many operations pass first. times:
    how many it befalls, None: all until it is removed. for_seconds: it ends so long after it was
    set. probability: of each operation, drawn from a generator that begins with `seed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    on: Operation
    do: Action
    entity: Annotated[str, Field(min_length=1)] | None = None
    condition: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")] | None = None
    description: Annotated[str, Field(max_length=4_096)] | None = None
    info: dict[str, str | int | float | bool] | None = None
    seconds: _Seconds | None = None
    store: bool = True
    holds: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None
    after: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = 1
    for_seconds: _Seconds | None = None
    probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    seed: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, given: object) -> object:
        """Fill in what depends on the action."""
        if not isinstance(given, dict) or given.get("do") not in ALLOWED:
            return given
        action: Action = given["do"]
        filled: dict[str, object] = {"on": ALLOWED[action][0]}
        if action in STATES or given.get("on") == "now":
            filled["times"] = None
        return filled | given

    @model_validator(mode="after")
    def _agrees(self) -> Fault:
        """Refuse what does not go together: Raises ValueError, the field before a tab."""
        if self.on not in ALLOWED[self.do]:
            raise ValueError(f"on\tthe action {self.do!r} is for {_names(ALLOWED[self.do])}")
        for field, actions in TAKEN_BY.items():
            if field in self.model_fields_set and self.do not in actions:
                raise ValueError(f"{field}\tit is for the action {_names(sorted(actions))} only")
        if self.holds is not None and self.on != "send":
            raise ValueError("holds\tonly a send has bytes that can hold it")
        if self.do == "late" and self.seconds is None:
            raise ValueError("seconds\tthe action 'late' must say how late")
        if "store" in self.model_fields_set and self.on not in ("send", "settle"):
            raise ValueError("store\tonly what is sent or settled takes effect or not")
        if self.on == "connect" and TAKEN_BY["condition"] & {self.do} and self._says():
            raise ValueError(f"{self._says()}\ta refused connection is told nothing")
        if (self.do == "disable" or self.on == "now") and (unused := self._limited()):
            raise ValueError(f"{unused}\tit befalls whatever is there; for_seconds can end it")
        return self

    def _says(self) -> str | None:
        said = ("condition", "description", "info")
        return next((field for field in said if field in self.model_fields_set), None)

    def _limited(self) -> str | None:
        limits = {"after": self.after, "times": self.times, "probability": self.probability != 1}
        return next((field for field, limit in limits.items() if limit), None)


def _names(values: list[Action] | tuple[Operation, ...]) -> str:
    return ", ".join(repr(each) for each in values)
