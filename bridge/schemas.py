"""The JSON Schemas of the contracts: `python -m bridge.schemas [folder]` writes them.

Draft 2020-12, one file per contract. A schema says what a document of this version looks like; it
cannot say that a task_id is made of its parts, or which event has a stage: the models check that.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from bridge.contracts.base import VERSION, Contract
from bridge.contracts.jobs import JobQueueMessage, JobRecord
from bridge.contracts.tasks import TaskQueueMessage, TaskRecord

#: In the order in which docs/contracts.md describes them.
CONTRACTS: tuple[type[Contract], ...] = (JobRecord, TaskRecord, JobQueueMessage, TaskQueueMessage)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "schemas"


def schema_of(contract: type[Contract]) -> dict[str, Any]:
    """The contract's schema, with its own address: a URN, since nothing is served."""
    schema = contract.model_json_schema()
    described = {
        "$schema": DIALECT,
        "$id": f"urn:stagebus:schema:{_words(contract)}:{VERSION}",
        "title": contract.__name__,
        "description": schema.pop("description"),
    }
    for name, field in schema["properties"].items():
        # The name says it already.
        if field.get("title", "").replace(" ", "").lower() == name.replace("_", ""):
            del field["title"]
    return described | {key: value for key, value in schema.items() if key != "title"}


def file_name(contract: type[Contract]) -> str:
    return f"{_words(contract)}.schema.json"


def text_of(contract: type[Contract]) -> str:
    return json.dumps(schema_of(contract), indent=2, ensure_ascii=False) + "\n"


def _words(contract: type[Contract]) -> str:
    """TaskQueueMessage: task-queue-message."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", contract.__name__).lower()


def write(folder: Path) -> None:
    """Writes the files, and removes those of contracts that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.schema.json"):
        old.unlink()
    for contract in CONTRACTS:
        (folder / file_name(contract)).write_text(text_of(contract), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
