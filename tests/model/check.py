"""The protocol, checked exhaustively by spin: `python -m tests.model.check`, or `make model`.

The correct model is run at several sizes and must have no error; each deliberately broken one must
break the promise that is named for it. All of it at once (2 bridges, 2 workers, 2 batches of 2
tasks, two creations, a cancel, a retry, a second dispatch) is more states than 2 GB hold, so each
size leaves something out; SIZES says what. Besides, everywhere: a claim meets with accidents only
in epochs below EPOCHS, one task has a second attempt, one batch a second dispatch, and a send
carries one message. Batches share nothing but bridges and the counters of the stage.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROTOCOL = Path(__file__).with_name("protocol.pml")

#: What `pan` may use, in MB, and for how long, in seconds.
MEMORY = 2000
PATIENCE = 90

#: macro -> value: BRIDGES, WORKERS, BATCHES, LIVES, EPOCHS, DISPATCHES, ATTEMPTS, CANCELS.
#: A batch has two tasks. PUBLISHED: it is on the broker as soon as the job is created.
SIZES = {
    "publish": "2 0 2 1 2 2 1 0",
    "create again": "2 0 1 2 2 2 1 0",
    "work": "1 1 1 1 1 2 2 0",
    "count": "0 2 2 1 1 1 1 0 PUBLISHED",
    "cancel": "0 2 1 1 1 1 1 1 PUBLISHED",
    "ghosts": "1 1 1 2 2 1 1 0",
    "whole": "2 1 1 1 2 1 1 1",
}
_NAMES = ("BRIDGES", "WORKERS", "BATCHES", "LIVES", "EPOCHS", "DISPATCHES", "ATTEMPTS", "CANCELS")


@dataclass(frozen=True)
class Variant:
    """A model to run; `breaks` is the promise that must be broken, none for the correct one."""

    size: str
    defect: str | None = None
    breaks: str | None = None

    @property
    def name(self) -> str:
        return self.defect or f"correct: {self.size}"

    @property
    def macros(self) -> list[str]:
        values = SIZES[self.size].split()
        sizes = [f"{name}={value}" for name, value in zip(_NAMES, values, strict=False)]
        defects = [] if self.defect is None else [self.defect]
        return [f"-D{macro}" for macro in sizes + values[len(_NAMES) :] + defects]


VARIANTS = [
    *(Variant(size) for size in SIZES),
    Variant("publish", "WITHOUT_FENCE", "fence_holds"),
    Variant("publish", "WITHOUT_FENCE", "nothing_lost"),
    Variant("publish", "WITHOUT_DUPLICATE_DETECTION", "stored_once"),
    Variant("publish", "WITHOUT_UNKNOWN_ROW", "explained"),
    Variant("publish", "RENDERS_WITHOUT_EPOCH", "explained"),
    Variant("create again", "PUBLISHES_BEFORE_COMMIT", "no_phantom"),
    Variant("create again", "ID_WITHOUT_NONCE", "nothing_lost"),
    Variant("publish", "ID_WITHOUT_DISPATCH", "nothing_lost"),
    Variant("work", "ID_WITHOUT_ATTEMPT", "nothing_lost"),
    Variant("ghosts", "MESSAGE_WITHOUT_NONCE", "no_ghost_runs"),
    Variant("cancel", "WITHOUT_TOKEN", "last_starter_completes"),
    Variant("cancel", "COUNTS_TASKS", "nothing_lost"),
    Variant("cancel", "CANCELS_BATCH_ONLY", "counted_once"),
    Variant("cancel", "CANCELS_WITHOUT_LOCK", "terminal_stays"),
]


class Outcome(NamedTuple):
    """What spin says of one variant."""

    states: int
    seconds: float
    broken: str | None
    """The promise that was broken first, if any."""
    complete: bool
    """No bound was reached before the search was over."""

    def is_as_meant(self, variant: Variant) -> bool:
        if variant.breaks is None:
            return self.broken is None and self.complete
        return self.broken == variant.breaks


def missing() -> list[str]:
    """The programs that are wanted and not installed."""
    return [program for program in ("spin", "gcc") if shutil.which(program) is None]


def run(variant: Variant) -> Outcome:
    """Generates, compiles and runs the verifier. Raises CalledProcessError, TimeoutExpired."""
    started = time.monotonic()
    # A broken model may break another promise first, which is a consequence: only one is asked.
    promises = [] if variant.breaks is None else [f"-DONLY_{variant.breaks}", "-DONLY"]
    with tempfile.TemporaryDirectory(prefix="stagebus-model-") as folder:
        _call(["spin", *variant.macros, *promises, "-a", str(PROTOCOL)], folder)
        _call(
            [
                "gcc",
                "-O2" if variant.breaks is None else "-O0",
                "-w",
                "-DSAFETY",
                "-DNOFAIR",
                "-DCOLLAPSE",
                f"-DMEMLIM={MEMORY}",
                "-o",
                "pan",
                "pan.c",
            ],
            folder,
        )
        said = _call(["./pan", "-E", "-n", "-m100000"], folder)
    broken = re.search(r"assertion violated\s+!\(\((\w+)&&", said)
    stored = re.search(r"(\d+) states, stored", said)
    if stored is None or ("errors: 0" not in said) != (broken is not None):
        raise ValueError(said)
    return Outcome(
        int(stored[1]),
        time.monotonic() - started,
        None if broken is None else broken[1],
        "reached -DMEMLIM" not in said and "max search depth too small" not in said,
    )


def _call(command: list[str], folder: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return done.stdout


def main() -> int:
    if missing():
        print(f"missing: {', '.join(missing())}; .ci/spin installs them", file=sys.stderr)
        return 1
    failures = 0
    print(f"{'variant':34} {'size':14} {'states':>9} {'s':>5}  result")
    for variant in VARIANTS:
        outcome = run(variant)
        right = outcome.is_as_meant(variant)
        failures += not right
        result = outcome.broken or ("no error" if outcome.complete else "not completed")
        print(
            f"{variant.name:34} {variant.size:14} {outcome.states:9} {outcome.seconds:5.1f}  "
            f"{result}{'' if right else '  NOT AS MEANT'}",
            flush=True,
        )
    return min(failures, 1)


if __name__ == "__main__":
    raise SystemExit(main())
