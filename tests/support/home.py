"""A home for the tests' own system, beside that of the demo: software is shared, data and ports are not."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudlab.settings import Settings
from fraudlab.stack import second_stack
from fraudlab.stack.supervisor import Stack
from tests.support.waiting import patient

KEEP = "FRAUDLAB_TEST_KEEP"
"""Set in the environment, it leaves the system running after the tests, and the next run uses it as it is."""

NAME = "FRAUDLAB_TEST_HOME"
"""The name of the tests' system in the environment, where there are two at the same time."""

JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"
"""Where in the environment every JVM looks for options."""

Progress = Callable[[str], None]


@contextmanager
def running_system(progress: Progress, *, with_jobs: bool = True) -> Iterator[Settings]:
    """Starts an empty system with all jobs and services (or without them), and stops it at the end, whatever happens.

    `Settings()` gives its settings meanwhile, in this process and in those that it starts. In a container the system is already there.
    """
    if Settings().in_container:
        fraudlab(progress, *(["up"] if with_jobs else ["lab", "--no-serve"]))
        yield Settings()
        return
    before = dict(os.environ)
    keep = bool(os.environ.get(KEEP))
    try:
        os.environ.update(second_stack.environment(Settings(), os.environ.get(NAME, "test"), progress))
        settings = Settings()
        stack = Stack(settings, progress)
        if not (keep and stack.is_running()):
            stack.reset()
        try:
            fraudlab(progress, *(["up"] if with_jobs else ["lab", "--no-serve"]))
            yield settings
        finally:
            if not keep:
                stack.stop()
    finally:
        os.environ.clear()
        os.environ.update(before)


def fraudlab(progress: Progress, *arguments: str) -> None:
    """Runs the command, in a process of its own: PyFlink's JVM would stay in this one to its end."""
    run([str(Path(sys.executable).with_name("fraudlab")), *arguments], progress)


def outside_pytest() -> dict[str, str]:
    """The environment for the processes of the system: NiceGUI takes pytest's mark for a test of NiceGUI itself."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def outcome(command: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
    """How a command ends, and what it prints, errors too."""
    return subprocess.run(
        command,
        env=outside_pytest() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=patient(240),
    )


def run(command: list[str], progress: Progress, environment: dict[str, str] | None = None) -> None:
    """Runs a command; its output is progress, line by line. Fails with that output when it fails."""
    lines = []
    with subprocess.Popen(
        command, env=outside_pytest() | (environment or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            progress(line.strip())
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{''.join(lines)}"


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Reads what a process prints until a line has these words, and gives that line; fails with all of it when none has."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} is not in:\n{''.join(lines)}")
