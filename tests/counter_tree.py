"""The counter tree in Python, apart from the SQL that it is held against."""

from __future__ import annotations


def slot_of(index: int) -> int:
    if index <= 4096:
        return (index - 1) % 64
    if index <= 20480:
        return 64 + (index - 4097) % 256
    return 320 + (index - 20481) // 65536 * 1024 + (index - 20481) % 1024
