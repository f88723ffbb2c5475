"""Walking over encoded AMQP 1.0 values without decoding them.

The encodings are those of the AMQP 1.0 specification, part 1 (types) and part 3 (messaging):
a constructor byte whose high nibble says how long the value is, and sections that are described
values whose descriptor is a small number.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray

HEADER = 0x70
DELIVERY_ANNOTATIONS = 0x71
MESSAGE_ANNOTATIONS = 0x72
PROPERTIES = 0x73
APPLICATION_PROPERTIES = 0x74
DATA = 0x75
FOOTER = 0x78

_UINT = Struct(">I")
_ULONG = Struct(">Q")
# The high nibble of a constructor of fixed width, and that width in bytes (part 1, 1.2).
_FIXED_WIDTH = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}


class Malformed(Exception):
    """The bytes are not what AMQP 1.0 says they should be."""


def skip(buffer: Buffer, at: int) -> int:
    """The position after the value whose constructor is at `at`. Raises Malformed."""
    try:
        code = buffer[at]
        while code == 0:
            at = skip(buffer, at + 1)
            code = buffer[at]
        kind = code >> 4
        if kind in _FIXED_WIDTH:
            end = at + 1 + _FIXED_WIDTH[kind]
        elif kind in (0xA, 0xC, 0xE):
            end = at + 2 + buffer[at + 1]
        elif kind in (0xB, 0xD, 0xF):
            end = at + 5 + uint_at(buffer, at + 1)
        else:
            raise Malformed(f"unknown constructor 0x{code:02x}")
    except (IndexError, RecursionError) as error:
        raise Malformed("a value is cut short") from error
    if end > len(buffer):
        raise Malformed("a value is longer than what holds it")
    return end


def uint_at(buffer: Buffer, at: int) -> int:
    """The four bytes at `at` as a number. Raises Malformed."""
    if at + 4 > len(buffer):
        raise Malformed("a number is cut short")
    number: int = _UINT.unpack_from(buffer, at)[0]
    return number


def unsigned(buffer: Buffer, at: int) -> int | None:
    """The uint or ulong whose constructor is at `at`, or None for null. Raises Malformed."""
    end = skip(buffer, at)
    code = buffer[at]
    if code == 0x40:
        return None
    if code in (0x43, 0x44):
        return 0
    if code in (0x52, 0x53):
        return buffer[at + 1]
    if code in (0x70, 0x80):
        return int.from_bytes(buffer[at + 1 : end], "big")
    raise Malformed(f"0x{code:02x} is not an unsigned number")


def moment(buffer: Buffer, at: int) -> int | None:
    """The timestamp or long whose constructor is at `at`, or None for null. Raises Malformed."""
    end = skip(buffer, at)
    code = buffer[at]
    if code == 0x40:
        return None
    if code in (0x81, 0x83):
        return int.from_bytes(buffer[at + 1 : end], "big", signed=True)
    raise Malformed(f"0x{code:02x} is not a time")


def descriptor(buffer: Buffer, at: int) -> tuple[int, int]:
    """The numeric descriptor at `at`, and where the described value begins. Raises Malformed."""
    try:
        if buffer[at] != 0:
            raise Malformed("a described value was expected")
        if buffer[at + 1] == 0x53:
            return buffer[at + 2], at + 3
    except IndexError as error:
        raise Malformed("a described value is cut short") from error
    number = unsigned(buffer, at + 1)
    if number is None:
        raise Malformed("a descriptor is null")
    return number, skip(buffer, at + 1)


def sections(buffer: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Every section between `at` and `end`: its number, start, start of its value, and end."""
    while at < end:
        number, value = descriptor(buffer, at)
        after = skip(buffer, value)
        if after > end:
            raise Malformed("a section is longer than its message")
        yield number, at, value, after
        at = after


def items(buffer: Buffer, at: int) -> tuple[int, int, int]:
    """Of the list or map at `at`: how many items, where the first begins, where the last ends."""
    end = skip(buffer, at)
    code = buffer[at]
    if code == 0x45:
        return 0, end, end
    if code in (0xC0, 0xC1):
        return buffer[at + 2], at + 3, end
    if code in (0xD0, 0xD1):
        return uint_at(buffer, at + 5), at + 9, end
    raise Malformed(f"0x{code:02x} is neither a list nor a map")


def fields(buffer: Buffer, at: int, most: int) -> list[int]:
    """Where each of the first `most` items of the list at `at` begins. Raises Malformed."""
    count, position, end = items(buffer, at)
    starts = []
    for _ in range(min(count, most)):
        starts.append(position)
        position = skip(buffer, position)
        if position > end:
            raise Malformed("an item is longer than its list")
    return starts


def entries(buffer: Buffer, at: int) -> list[tuple[int, int, int]]:
    """Of each entry of the map at `at`: where its key, its value and the next one begin."""
    count, position, end = items(buffer, at)
    found = []
    for _ in range(count // 2):
        value = skip(buffer, position)
        after = skip(buffer, value)
        if after > end:
            raise Malformed("an entry is longer than its map")
        found.append((position, value, after))
        position = after
    return found


def payload(buffer: Buffer, at: int) -> tuple[int, int]:
    """Where the bytes of the binary, string or symbol at `at` begin and end. Raises Malformed."""
    end = skip(buffer, at)
    kind = buffer[at] >> 4
    if kind == 0xA:
        return at + 2, end
    if kind == 0xB:
        return at + 5, end
    raise Malformed(f"0x{buffer[at]:02x} is neither binary, string nor symbol")
