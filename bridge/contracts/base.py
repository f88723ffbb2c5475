"""What the contracts share: their version, how they are read, and why one cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bridge.exact_json import Json, loads

EndStatus = Literal["completed", "completed_with_errors", "failed", "cancelled"]
StageStatus = Literal["filling", "provisional", "open", EndStatus]

TypeName = Annotated[str, Field(min_length=1, max_length=100)]
Stage = Annotated[int, Field(strict=True, ge=1, le=32_767)]
SchemaVersion = Annotated[int, Field(strict=True, ge=1)]

# The values come from exact_json or from the database: nothing of them is left to check.
if TYPE_CHECKING:
    JsonObject: TypeAlias = dict[str, Json]
    JsonValue: TypeAlias = Json
else:
    JsonObject, JsonValue = dict[str, Any], Any

#: The version of the four contracts; messages carry it as schema_version.
VERSION = 1

# Who sets a field; in the schemas as "x-set-by".
BY_CALLER: dict[str, Any] = {"x-set-by": "caller"}
BY_SQL: dict[str, Any] = {"x-set-by": "SQL"}
BY_BRIDGE: dict[str, Any] = {"x-set-by": "bridge"}
BY_WORKER: dict[str, Any] = {"x-set-by": "worker"}


class Contract(BaseModel):
    """A newer writer may add fields: a reader passes over what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Reads UTF-8 JSON without changing a number (see exact_json).

        Raises ValueError (a ValidationError is one) for what is not this contract's.
        """
        text = json_data if isinstance(json_data, str) else bytes(json_data)
        return cls.model_validate(loads(text), **options)


def reasons(error: Exception) -> str:
    """Why a message cannot be read: one line of at most 1,000 characters, without its values."""
    if not isinstance(error, ValidationError):
        return str(error)[:1000]
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(": ".join([*map(str, each["loc"]), each["msg"]]) for each in found)[:1000]
