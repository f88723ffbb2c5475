"""Says in one line which OS package the set-up needs and does not find; runs on bare Python."""

import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path


def missing() -> list[str]:
    """What is missing, each with the package that brings it."""
    found: list[str] = []
    if sys.version_info < (3, 11):  # noqa: UP036
        version = ".".join(map(str, sys.version_info[:3]))
        found.append(
            f"Python 3.11 or newer (this is {version}; name another: make PYTHON=python3.12)"
        )
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        found.append("Python's venv (Debian: python3-venv)")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        found.append("Python's headers (Debian: python3-dev)")
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        found.append("a C compiler (Debian: gcc libc6-dev)")
    return found


if __name__ == "__main__":
    if found := missing():
        sys.exit("stagebus needs " + "; ".join(found))
