"""Where a process begins: `stagebus`, or `python -m bridge`.

Importing the rest takes up to a second. A bridge that is told to stop meanwhile has claimed nothing
yet, and exits with 0 at once; the bridge's own handlers take over when it runs. Before the first
line here, while the interpreter itself starts (some 20 ms), SIGTERM does what it does by default.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Runs the command that the arguments name."""
    if sys.argv[1:2] == ["bridge"]:
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not by an exception: what is being imported might catch it.
            signal.signal(number, lambda *_: os._exit(0))
    from bridge.cli import main as commands

    commands()


if __name__ == "__main__":
    main()
