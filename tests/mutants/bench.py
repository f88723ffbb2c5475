"""A copy of the checkout in which mutants are tried, one at a time."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tests.mutants.mutant import DoesNotApply, Mutant

ROOT = Path(__file__).resolve().parents[2]

#: What a copy does without: it is made anew, or belongs to a person's checkout.
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "__pycache__", ".*_cache", ".hypothesis"
)

#: Seconds after which a mutant's tests are stopped.
PATIENCE = 120.0

#: What a mutant's tests begin with: replay does not look into the bodies of functions, so one that
#: cannot even be read would otherwise fail in a test and pass for a defect that was noticed.
INSTALLS = ("tests/migrations/test_code.py::test_the_bodies_of_functions_hold",)

#: A failure that says that the mutant's SQL is nonsense, not that a promise is broken.
NONSENSE = re.compile(
    r"psycopg\.errors\.(?:SyntaxError|Undefined\w+|Ambiguous\w+|DatatypeMismatch|GroupingError)"
    r"|^AssertionError: 42(?:601|70\d|883|P0[12]|804|803)"
)

KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    kind: str
    """killed: a test failed; survived: none did; broken: the mutant proves nothing."""
    what: str
    """The test that killed it, or what is wrong."""
    seconds: float


@dataclass
class Report:
    """What a run of pytest says: the names of tests, and of those that did not pass why."""

    code: int | None
    """Its exit code; None when it was stopped."""
    passed: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """Of setting up, taking down and collecting."""
    output: str = ""


@dataclass(frozen=True)
class Bench:
    """Where mutants are tried."""

    copy: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    installs: Sequence[str] = INSTALLS

    def unharmed(self, mutants: Sequence[Mutant]) -> Report:
        """All tests of the mutants, without any mutant."""
        tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
        return self._run([*self.installs, *tests], patience=PATIENCE + 5 * len(tests))

    def judge(self, mutant: Mutant, passing: set[str]) -> Verdict:
        """Tries one; `passing` are the tests that pass without it."""
        began = time.monotonic()
        file = self.copy / mutant.file
        try:
            text = mutant.mutated(self.copy)
        except DoesNotApply as error:
            return Verdict(mutant, BROKEN, str(error), 0.0)
        original = file.read_bytes()
        try:
            file.write_text(text, "utf-8")
            report = self._run([*self.installs, *mutant.tests], "--exitfirst")
        finally:
            file.write_bytes(original)
        kind, what = self._judged(report, passing)
        return Verdict(mutant, kind, what, time.monotonic() - began)

    def _judged(self, report: Report, passing: set[str]) -> tuple[str, str]:
        if report.code is None:
            return BROKEN, f"its tests did not end within {PATIENCE:.0f} s"
        if report.errors:
            test, why = next(iter(report.errors.items()))
            return BROKEN, f"it does not install: {test}: {why}"
        if report.code == 0 and report.passed:
            return SURVIVED, f"{len(report.passed)} tests passed"
        if report.code != 1 or not report.failed:
            return BROKEN, f"pytest ended with {report.code}: {report.output[-500:]}"
        test, why = next(iter(report.failed.items()))
        if NONSENSE.search(why) or any(test == _name(each) for each in self.installs):
            return BROKEN, f"it cannot be run: {test}: {why}"
        if test not in passing:
            return BROKEN, f"{test} does not pass without it either"
        return KILLED, test

    def _run(self, tests: Sequence[str], *options: str, patience: float = PATIENCE) -> Report:
        with tempfile.TemporaryDirectory(prefix="stagebus-mutant-") as folder:
            results = Path(folder) / "results.xml"
            command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]
            command += [f"--junit-xml={results}", *options, *tests]
            code, output = _call(command, self.copy, self._environment(), patience)
            return _read(results, code, output)

    def _environment(self) -> dict[str, str]:
        """So that the packages are the copy's; the checkout's are installed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        return {**kept, **self.environment, "PYTHONPATH": str(self.copy)}


@contextmanager
def bench(environment: Mapping[str, str]) -> Iterator[Bench]:
    """A bench with a fresh copy of the checkout, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="stagebus-mutants-") as folder:
        copy = Path(folder).resolve() / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        made = Bench(copy, environment)
        command = [sys.executable, "-c", "import bridge; print(bridge.__file__)"]
        code, output = _call(command, copy, made._environment(), PATIENCE)
        if code != 0 or copy not in Path(output.strip()).parents:
            raise RuntimeError(f"the copy in {copy} is not what Python imports: {output}")
        yield made


def _call(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float
) -> tuple[int | None, str]:
    """The exit code and what was said; None when it had to be stopped, with all that it started."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, output


def _read(results: Path, code: int | None, output: str) -> Report:
    report = Report(code, output=output)
    if not results.exists():
        return report
    for case in ElementTree.parse(results).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        failure, error = case.find("failure"), case.find("error")
        if failure is not None:
            report.failed[name] = str(failure.get("message"))
        elif error is not None:
            report.errors[name] = str(error.get("message"))
        elif case.find("skipped") is None:
            report.passed.add(name)
    return report


def _name(test: str) -> str:
    """What the report calls a test that was selected as `tests/a.py::test_b`."""
    file, _, rest = test.partition("::")
    return f"{file.removesuffix('.py').replace('/', '.')}::{rest}"
