"""All tests, in two lanes at the same time, each with a system of its own: one computes while the other waits.

    python -m tests.run          # make test: everything that is not slow
    python -m tests.run --all    # make test-all: the same, then the slow tests, then the clean rooms

With FRAUDLAB_TEST_MINUTES in the environment, slow tests that have not begun within that time are skipped and listed.

Each line of output begins with the name of its lane. What failed is repeated at the end, and the last line counts all tests.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fraudlab.settings import REPOSITORY
from tests.support.home import JAVA_OPTIONS, NAME
from tests.support.plugin import MINUTES, TIME_IS_UP, UNTIL

PYTEST = (sys.executable, "-m", "pytest")
QUICK, SLOW = (*PYTEST, "-m", "not slow"), (*PYTEST, "-m", "slow")
SYSTEM = ("tests/integration", "tests/faults")
BROWSER = ("tests/e2e",)
PURE = ("tests/unit", "data-generator/tests")
MANY_CASES = ("tests/integration/test_bad_input.py", "tests/integration/test_verify.py")
"""The lane of the labs has time for their slow cases."""

Lanes = Mapping[str, Sequence[Sequence[str]]]
TEST: Lanes = {
    "system": [(*QUICK, *SYSTEM, *BROWSER)],
    "labs": [
        ("make", "--no-print-directory", "check"),
        (*QUICK, *PURE),
        (*QUICK, "--nbval-lax", "solutions"),
    ],
}
"""What each lane runs, one command after the other. The lanes should end at about the same time."""
THE_REST: Lanes = {
    "system": [(*SLOW, *SYSTEM, *(f"--ignore={file}" for file in MANY_CASES))],
    "labs": [
        (*SLOW, "--nbval-lax", "solutions"),
        (*SLOW, *PURE, "tests/homes", "tests/notebooks", *BROWSER, *MANY_CASES),
    ],
}
CLEAN_ROOMS: Lanes = {"rooms": [("tests/cleanroom/run.sh",)]}
"""They come last, alone: each room has a whole system of its own."""
SKIPPED = re.compile(r"\bskipped:", re.IGNORECASE)
QUICK_JAVA = "-XX:TieredStopAtLevel=1"
"""Of the tests' JVMs: none runs long enough to win back what its second compiler costs. The clean rooms run Java as people do."""
SLOWEST = ("--durations=25", "--durations-min=5")
"""Each call of pytest ends with its slowest tests: where to look when all of it takes too long."""
LAST_LINES = 12
"""How much of a failure is repeated at the end. A CI may show only the end of the log."""
LONGEST_LINE = 400
HOMES = {"system": "test", "labs": "test labs"}
"""Of the lanes' systems, in the environment's home. One name has a space, as somebody's folder may have."""


@dataclass
class Lane:
    """Commands that run one after the other, with `java` as options of every JVM.

    `passed` and `skipped` count tests; `failures` describes each failed one; `too_late` names those for which no time was left.

    A command that isn't pytest counts as one test; it is skipped if it succeeds and says `skipped:` with a reason.
    """

    name: str
    commands: Sequence[Sequence[str]]
    results: Path
    java: str = ""
    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    too_late: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)
    interrupted: bool = False

    def run(self) -> None:
        """Runs all commands, also after one that failed."""
        for number, command in enumerate(self.commands):
            if self.interrupted:
                return
            if tuple(command[: len(PYTEST)]) == PYTEST:
                self._run_pytest(command, self.results / f"{self.name}-{number}.xml")
            else:
                self._run_other(command)

    def interrupt(self) -> None:
        """Lets pytest end as after Ctrl-C: it stops its system. Nothing else is started."""
        self.interrupted = True
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)

    def _run_pytest(self, command: Sequence[str], report: Path) -> None:
        failed_before = len(self.failures)
        status, lines = self._call([*command, f"--junitxml={report}", *SLOWEST])
        if not report.exists():
            self.failures.append(f"{self.name}: pytest ended without a report\n{end_of(lines)}")
            return
        for test in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has just written it
            outcomes = {outcome.tag: outcome for outcome in test}
            broken = outcomes.get("failure", outcomes.get("error"))
            if broken is not None:
                self.failures.append(f"{test.get('classname')}::{test.get('name')}\n{shown(broken)}")
            elif "skipped" in outcomes:
                self.skipped += 1
                if TIME_IS_UP in (outcomes["skipped"].get("message") or ""):
                    self.too_late.append(f"{test.get('classname')}::{test.get('name')}")
            else:
                self.passed += 1
        if status and len(self.failures) == failed_before:
            self.failures.append(f"{self.name}: {' '.join(command)} ended with {status}, though no test failed")

    def _run_other(self, command: Sequence[str]) -> None:
        status, lines = self._call(command)
        if status:
            self.failures.append(f"{' '.join(command)} ended with {status}\n{end_of(lines)}".rstrip())
        elif any(SKIPPED.search(line) for line in lines):
            self.skipped += 1
        else:
            self.passed += 1

    def _call(self, command: Sequence[str]) -> tuple[int, list[str]]:
        """Runs a command, whose output is printed line by line; returns its exit status and its output."""
        java = f"{os.environ.get(JAVA_OPTIONS, '')} {self.java}".strip()
        environment = os.environ | {NAME: HOMES.get(self.name, self.name)} | ({JAVA_OPTIONS: java} if java else {})
        lines = []
        with subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as self.process:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                lines.append(line.rstrip())
                print(f"{self.name:6} {time.strftime('%H:%M:%S')} | {line}", end="", flush=True)
        return self.process.returncode, lines


def shown(broken: ET.Element) -> str:
    """The end of what pytest says about a failure: the assertion, and where it is."""
    return end_of((broken.text or broken.get("message") or "").rstrip().splitlines())


def end_of(lines: Sequence[str]) -> str:
    """The last lines, indented and cut."""
    return "\n".join(f"  {line[:LONGEST_LINE]}" for line in lines[-LAST_LINES:])


def main(arguments: Sequence[str]) -> int:
    """Runs the tests. Returns the exit status."""
    if set(arguments) - {"--all"}:
        print(__doc__)
        return 2
    stages = {"make test": TEST}
    if arguments:
        stages |= {"the slow tests": THE_REST, "the clean rooms": CLEAN_ROOMS}
    interrupted = False
    lanes: list[Lane] = []

    def interrupt(number: int, _: object) -> None:
        nonlocal interrupted
        interrupted = True
        print("Interrupted: the systems of the tests are being stopped.", flush=True)
        for lane in lanes:
            # Ctrl-C on a terminal has reached pytest by itself, and a second one would cut its clean-up short.
            lane.interrupted = True
            if number == signal.SIGTERM:
                lane.interrupt()

    if os.environ.get(MINUTES):
        os.environ[UNTIL] = str(time.time() + 60 * float(os.environ[MINUTES]))
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, commands) in enumerate(stages.items()):
            if interrupted:
                break
            began = time.monotonic()
            (results := Path(folder) / str(number)).mkdir()
            java = "" if commands is CLEAN_ROOMS else QUICK_JAVA
            stage = [Lane(name, calls, results, java) for name, calls in commands.items()]
            lanes += stage
            with ThreadPoolExecutor(len(stage)) as pool:
                list(pool.map(Lane.run, stage))
            print(f"{title}: {(time.monotonic() - began) / 60:.1f} minutes; {counted(stage)}", flush=True)
    print(*failed(lanes), *names_of_failed(lanes), *too_late(lanes), counted(lanes), sep="\n")
    return 1 if interrupted or failed(lanes) else 0


def failed(lanes: list[Lane]) -> list[str]:
    """What failed, and how."""
    return [f"Failed: {failure}" for lane in lanes for failure in lane.failures]


def names_of_failed(lanes: list[Lane]) -> list[str]:
    """A line for each failure, short enough for the end of a log."""
    return [failure.splitlines()[0] for failure in failed(lanes)]


def too_late(lanes: list[Lane]) -> list[str]:
    """A line for each file with tests for which no time was left, and how many."""
    files = Counter(test.partition("::")[0] for lane in lanes for test in lane.too_late)
    return [f"Skipped, because {TIME_IS_UP}: {count} of {file}" for file, count in files.items()]


def counted(lanes: list[Lane]) -> str:
    """How many tests there were, by their outcome."""
    passed, skipped = (sum(getattr(lane, what) for lane in lanes) for what in ("passed", "skipped"))
    return f"{passed} passed, {len(failed(lanes))} failed, {skipped} skipped"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
