"""All tests, in two lanes at the same time, each on a system of its own: while one waits, the other computes. `make test`.

Each line begins with the name of its lane. At the end stands once more what failed, and the last line counts the tests of both.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.home import NAME

LANES = {
    "system": [["tests/integration", "tests/faults", "tests/homes"]],
    "labs": [["tests/unit", "data-generator/tests", "tests/e2e", "tests/notebooks"], ["--nbval-lax", "solutions"]],
}
"""What pytest is called with, one call after the other. The lanes are to end at about the same time."""
SLOWEST = ("--durations=25", "--durations-min=5")
"""Each call ends with its slowest tests: where to look when all of it takes too long."""
LAST_LINES = 12
"""So much of a failure is told once more at the end; the log of a CI may show nothing else."""
HOMES = {"system": "test", "labs": "test labs"}
"""Of their systems, in the environment's home. One has a space in its name, as somebody's folder may have."""


@dataclass
class Lane:
    """One of the two. `passed` and `skipped` count what has run; `failures` says of each test that failed how."""

    name: str
    results: Path
    passed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def run(self) -> bool:
        """Runs all calls, also after one that failed. Returns whether all passed."""
        done = [self._call(arguments, number) for number, arguments in enumerate(LANES[self.name])]
        return all(done)

    def interrupt(self) -> None:
        """Lets pytest end as after Ctrl-C: it stops its system."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)

    def _call(self, arguments: list[str], number: int) -> bool:
        report = self.results / f"{self.name}-{number}.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *SLOWEST, *arguments]
        environment = os.environ | {NAME: HOMES[self.name]}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as self.process:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                print(f"{self.name:6} {time.strftime('%H:%M:%S')} | {line}", end="", flush=True)
        self._count(report)
        return self.process.returncode == 0

    def _count(self, report: Path) -> None:
        if not report.exists():
            self.failures.append(f"{self.name}: pytest ended without a report")
            return
        for test in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has just written it
            outcomes = {outcome.tag: outcome for outcome in test}
            broken = outcomes.get("failure", outcomes.get("error"))
            if broken is not None:
                self.failures.append(f"{test.get('classname')}::{test.get('name')}\n{shown(broken)}")
            elif "skipped" in outcomes:
                self.skipped += 1
            else:
                self.passed += 1


def shown(broken: ET.Element) -> str:
    """The end of what pytest tells of a failure: the assertion, and where it stands."""
    lines = (broken.text or broken.get("message") or "").rstrip().splitlines()
    return "\n".join(f"  {line}" for line in lines[-LAST_LINES:])


def main() -> int:
    """Runs both lanes. Returns the exit status."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as results, ThreadPoolExecutor(len(LANES)) as pool:
        lanes = [Lane(name, Path(results)) for name in LANES]
        signal.signal(signal.SIGTERM, lambda *_: interrupt(lanes))
        signal.signal(signal.SIGINT, lambda *_: print("Interrupted: the systems of the tests are being stopped."))
        passed = [run.result() for run in [pool.submit(lane.run) for lane in lanes]]
    print(*failed(lanes), f"It took {(time.monotonic() - began) / 60:.1f} minutes.", counted(lanes), sep="\n")
    return 0 if all(passed) else 1


def failed(lanes: list[Lane]) -> list[str]:
    """What failed, and how."""
    return [f"Failed: {failure}" for lane in lanes for failure in lane.failures]


def counted(lanes: list[Lane]) -> str:
    """How many tests there were, by their outcome."""
    passed, skipped = (sum(getattr(lane, what) for lane in lanes) for what in ("passed", "skipped"))
    return f"{passed} passed, {len(failed(lanes))} failed, {skipped} skipped"


def interrupt(lanes: list[Lane]) -> None:
    """What Ctrl-C on a terminal does by itself: it reaches all processes there."""
    for lane in lanes:
        lane.interrupt()


if __name__ == "__main__":
    sys.exit(main())
