"""JSON whose numbers keep their value on the way in and out: `loads` and `dumps`.

PostgreSQL's jsonb holds numbers as `numeric`, with up to 131,072 digits before the point and 16,383
after it; a double holds about 16. A number is read as

- an `int`, when it is written without a point and an exponent;
- a `float`, when it is the number that Python writes for that float (`0.1`, `2.50`);
- a `decimal.Decimal`, when no float is (`0.1234567890123456789`, `1e-400`), and when an integer has
  more digits than Python turns into an `int` (4,300: `sys.set_int_max_str_digits`).

What SQL had as `double precision` therefore arrives as a float, or as an int when it is whole.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeAlias, cast

#: What `loads` returns.
Json: TypeAlias = "dict[str, Json] | list[Json] | str | bool | int | float | Decimal | None"


def loads(text: str | bytes) -> Json:
    """Reads JSON, of bytes as UTF-8. Raises ValueError for what is not, or nests too deep."""
    if not isinstance(text, str):
        text = text.decode("utf-8")
    try:
        try:
            return cast(Json, _DECODER.decode(text))
        except json.JSONDecodeError:
            raise
        except ValueError:
            # An integer of more digits than Python reads; the fast decoder gives up on it.
            return cast(Json, _PATIENT_DECODER.decode(text))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def dumps(value: object) -> str:
    """Writes JSON, in ASCII. Raises TypeError for what has no JSON form, ValueError for NaN,
    infinity, and what nests too deep or contains itself."""
    try:
        try:
            return json.dumps(value, allow_nan=False)
        except TypeError:
            return _write(value)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _write(value: object) -> str:
    """`dumps` for what holds a Decimal, which the json module cannot write as a number."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)}: {_write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no JSON number")
        return str(value)
    return json.dumps(value, allow_nan=False)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of an object is a string, not {type(key).__name__}")
    return json.dumps(key)


def _number(text: str) -> float | Decimal:
    value = float(text)
    written = repr(value)
    if written == text:
        return value
    try:
        exact = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("a number is beyond what can be read") from error
    return value if Decimal(written) == exact else exact


def _integer(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_refuse)
_PATIENT_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_refuse)
