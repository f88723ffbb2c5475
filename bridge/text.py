"""Text of others, as PostgreSQL takes it."""

from __future__ import annotations


def storable(value: object) -> str:
    """The text of anything; what is not UTF-8, and the character 0, becomes a replacement."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return (
        text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )
