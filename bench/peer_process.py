"""Peers of the detector that are programs of their own, each with a locked environment: made when it is first needed, and run."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import EUR_RATE_SCALE, eur_rates
from fraudlab.settings import Settings
from fraudlab.stack.provision.uv import Uv

HERE = Path(__file__).parent / "peers"
DEADLINE_S = 360
"""Twice what a program is thought to need at most when it gets all payments."""


def environment(home: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """The Python of the environment that `folder/requirements.lock` describes, in `home/bench-environments`; installed if it is missing."""
    locked = folder / "requirements.lock"
    there = (home / "bench-environments" / folder.name).absolute()  # peers run in another folder
    python, stamp = there / "bin" / "python", there / "complete-for"
    wanted = hashlib.sha256(locked.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        say(f"installing what {folder.name} needs")
        uv = Uv(home, say)
        uv.bring()
        uv.run("venv", "--clear", "--python", sys.executable, "--no-python-downloads", there)
        uv.run("pip", "install", "--python", python, "--require-hashes", "--no-deps", "-r", locked)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def run(settings: Settings, python: Path, program: Path, source: str, sink: str, count: int) -> tuple[float, int]:
    """Runs a peer to the end of a topic. Returns its seconds since it was loaded, and the most memory that it had, in MiB.

    Raises UserError if it fails or does not end.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = {
            "kafka": system.kafka(settings).librdkafka_options(),
            "source": source,
            "sink": sink,
            "count": count,
            "folder": folder,
            "rates": eur_rates(),
            "rate_scale": EUR_RATE_SCALE,
            "window_ms": settings.rule.window_ms,
            "threshold_eur_cents": settings.rule.threshold_eur_cents,
            "min_countries": settings.rule.min_countries,
        }
        log = Path(folder) / "log"
        with (
            log.open("wb") as words,
            subprocess.Popen(
                [python, program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                cwd=HERE,
                env=_environment(),
            ) as process,
        ):
            assert process.stdin is not None, "asked for above"
            assert process.stdout is not None, "asked for above"
            # On standard input: arguments are for all to see, and the task holds a password.
            process.stdin.write(json.dumps(task).encode())
            process.stdin.close()
            process.stdout.readline()
            began, most = time.monotonic(), 0
            while process.poll() is None and time.monotonic() < began + DEADLINE_S:
                most = max(most, resident_mib(process.pid))
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
            seconds = time.monotonic() - began
            if process.poll() is None:
                process.kill()
                raise UserError(f"{program.parent.name} did not end within {DEADLINE_S} s.", "Give it fewer payments.")
            if process.wait() != 0:
                last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
                raise UserError(
                    f"{program.parent.name} ended with status {process.returncode}:\n{last}",
                    "Run `make bench` again; `--only` leaves it out.",
                )
    return seconds, most


def _environment() -> dict[str, str]:
    """This process's, so that a program with the product's environment finds the settings; `task` can be imported."""
    return os.environ | {"PYTHONPATH": str(HERE), "TZ": "UTC"}


def resident_mib(pid: int) -> int:
    """Resident memory of a process and those that it has started, in MiB; 0 if it has ended."""
    try:
        process = psutil.Process(pid)
        together = [process, *process.children(recursive=True)]
        return int(sum(one.memory_info().rss for one in together) / 2**20)
    except psutil.NoSuchProcess:
        return 0
