"""A home for the tests' own system, beside that of the demo: software is shared, data and ports are not."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.supervisor import Stack

KEEP = "FRAUDLAB_TEST_KEEP"
"""Set in the environment, it leaves the system running after the tests, and the next run uses it as it is."""

PORTS = (
    "MYSQL",
    "KAFKA",
    "KAFKA_CONTROLLER",
    "ZOOKEEPER",
    "FLINK_REST",
    "FLINK_RPC",
    "INBOX_SMTP",
    "INBOX_HTTP",
    "DASHBOARD",
)
PORT_RANGE = range(20_000, 30_000)
"""Below those that outgoing connections take: one of them could sit on the port of a service that was just killed."""

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
        os.environ.update(_environment(Settings(), progress))
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


def _environment(shared: Settings, progress: Progress) -> dict[str, str]:
    home = shared.home.expanduser().resolve() / "test"
    home.mkdir(parents=True, exist_ok=True)
    Stack(shared, progress).install()
    (shared.home / "lib").mkdir(exist_ok=True)
    for folder in ("jars", "lib"):
        if not (home / folder).is_symlink():
            (home / folder).symlink_to(shared.home.expanduser().resolve() / folder)
    chosen = {"FRAUDLAB_HOME": str(home), "FRAUDLAB_LEARNER": ""}
    remembered = home / "ports.json"
    if remembered.exists() and Stack(shared.model_copy(update={"home": home})).is_running():
        chosen |= json.loads(remembered.read_text(encoding="utf-8"))
        return chosen
    free = free_ports(len(PORTS))
    numbers = {f"FRAUDLAB_{name}_PORT": str(port) for name, port in zip(PORTS, free, strict=True)}
    remembered.write_text(json.dumps(numbers), encoding="utf-8")
    return chosen | numbers


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    free: list[int] = []
    while len(free) < count:
        port = random.choice(PORT_RANGE)
        if port not in free and ports.is_free(LOOPBACK, port):
            free.append(port)
    return free
