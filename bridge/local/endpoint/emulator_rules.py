"""The rules of a subscription in the emulator's `Config.json`: only those that let all through.

Filters are not built. A rule that is none, such as the service's default rule, is taken; another
one is a problem, unless the caller wants filters ignored.
"""

from __future__ import annotations

from typing import Any

from bridge.local.endpoint.config_values import (
    Read,
    Reading,
    ignore,
    read_array,
    read_object,
    read_text,
)
from bridge.local.endpoint.jsonc import Node


def read_rules(reading: Reading, node: Node, path: str) -> None:
    """Check the rules of one subscription."""
    keys: dict[str, Read] = {"Name": read_text, "Properties": _properties}
    for number, item in enumerate(read_array(reading, node, path)):
        where = f"{path}[{number}]"
        found = read_object(reading, item, where, keys, required=("Name", "Properties"))
        if found.get("Properties") is not False:
            continue
        if reading.ignore_rules:
            reading.note(item, where, "the rule is ignored; its subscription gets every message")
        else:
            reading.wrong(
                item,
                where,
                "filters are not built here: every subscription gets every message; remove the"
                " rule, or use --ignore-rules to take it so",
            )


def _properties(reading: Reading, node: Node, path: str) -> Any:
    """Whether the rule lets every message through as it is; None with a problem."""
    keys: dict[str, Read] = {
        "FilterType": _filter_type,
        "CorrelationFilter": ignore,
        "SqlFilter": _sql,
        "Action": _sql,
    }
    found = read_object(reading, node, path, keys, required=("FilterType",))
    kind = found.get("FilterType")
    if kind is None:
        return None
    return kind == "Sql" and found.get("SqlFilter") == "1=1" and not found.get("Action")


def _filter_type(reading: Reading, node: Node, path: str) -> str | None:
    kind = read_text(reading, node, path)
    if kind is not None and kind not in ("Correlation", "Sql"):
        # The emulator drops such a rule without a word: issue 127 of its installer.
        reading.wrong(node, path, f"{kind!r} is neither 'Correlation' nor 'Sql'")
        return None
    return kind


def _sql(reading: Reading, node: Node, path: str) -> str:
    found = read_object(reading, node, path, {"SqlExpression": read_text})
    return "".join((found.get("SqlExpression") or "").split())
