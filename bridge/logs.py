"""Structured logs: one JSON object a line on stderr, with a stable event name and no payload."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_FIELDS = "stagebus_fields"

Field = str | int | float | bool | None


class JsonFormatter(logging.Formatter):
    """Renders a record as `{"at": …, "level": …, "event": …, …}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Field] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line.update(getattr(record, _FIELDS, {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class EventLog:
    """`log.info("batch.queued", batch_id=…)`: an event and its fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Field) -> None:
        self._logger.debug(event, extra={_FIELDS: fields})

    def info(self, event: str, **fields: Field) -> None:
        self._logger.info(event, extra={_FIELDS: fields})

    def warning(self, event: str, **fields: Field) -> None:
        self._logger.warning(event, extra={_FIELDS: fields})

    def error(self, event: str, *, with_traceback: bool = False, **fields: Field) -> None:
        self._logger.error(event, exc_info=with_traceback, extra={_FIELDS: fields})


def configure(level: str) -> None:
    """Sends stagebus' own events to stderr; libraries speak from WARNING on.

    The SDK's pyamqp is silenced below CRITICAL: each lost connection makes it log errors that the
    bridge reports itself, once, as an event.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("stagebus").setLevel(level.upper())
    logging.getLogger("azure.servicebus").setLevel(logging.CRITICAL)
