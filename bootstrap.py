"""Makes the Python environment and fetches the jars at the same time. Run by `make`, with the standard library only.

Usage: python3.11 bootstrap.py [--dev] [--browser]. Interrupted, it is just run again; with nothing to do it ends at once.
"""

from __future__ import annotations  # an older Python must get as far as the message that refuses it

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fraudlab.stack.setup_times import SetupTimes

REPOSITORY = Path(__file__).resolve().parent
REQUIREMENTS = REPOSITORY / "requirements"
LOCAL_PACKAGES = (REPOSITORY, REPOSITORY / "data-generator")
PYTHON_VERSION = (3, 11)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="with what tests and linting need")
    parser.add_argument("--browser", action="store_true", help="with the browser that the tests of the pages drive")
    arguments = parser.parse_args()
    dev: bool = arguments.dev
    if sys.version_info[:2] != PYTHON_VERSION:
        return refuse(
            f"This is Python {sys.version.split()[0]} ({sys.executable}); PyFlink 1.20 needs Python 3.11.",
            "Install Python 3.11 (Debian 12: `sudo apt-get install python3 python3-venv`; elsewhere from uv or pyenv). "
            "Then run `make PYTHON=<path of python3.11> <target>`.",
        )
    home = Path(os.environ.get("FRAUDLAB_HOME") or REPOSITORY / ".fraudlab").expanduser().resolve()
    venv = home / "venv"
    os.umask(0o022)  # a stricter one would hide the environment from nobody but make pip warn

    sys.path.insert(0, str(REPOSITORY))
    from fraudlab.stack import artifacts, home_folder, shell, system_packages
    from fraudlab.stack.errors import StackError
    from fraudlab.stack.home_lock import HomeLock
    from fraudlab.stack.setup_times import SetupTimes

    shell.settle([sys.executable, *sys.argv], home)

    def is_done() -> bool:
        browser_is_there = not arguments.browser or system_packages.has_chromium()
        return is_ready(venv, dev) and artifacts.are_complete(home) and browser_is_there

    if is_done():
        return 0
    try:
        home_folder.require_usable(home, REPOSITORY)
        times = SetupTimes(home)
        times.clear()
        with HomeLock(home)(say):
            if is_done():  # by whoever was waited for
                return 0
            return set_up(home, times, dev=dev, browser=arguments.browser)
    except StackError as error:
        return refuse(str(error), error.advice)
    except KeyboardInterrupt:
        return refuse("Interrupted.", "Run the command again: it goes on with what is missing.")


def set_up(home: Path, times: SetupTimes, *, dev: bool, browser: bool) -> int:
    """Makes and fetches what is missing; gives the exit status."""
    from fraudlab.stack import artifacts, system_packages
    from fraudlab.stack.errors import StackError

    say(f"Setting up under {home} (only the first time).")
    venv = home / "venv"
    environment_is_ready = is_ready(venv, dev)
    browser_is_there = not browser or system_packages.has_chromium()
    free_mib = artifacts.free_disk_mib(home)
    is_first = not environment_is_ready and not artifacts.are_complete(home)
    if is_first and free_mib < artifacts.NEEDED_DISK_MIB:
        return refuse(
            f"Only {free_mib} MiB are free for {home}; {artifacts.NEEDED_DISK_MIB} MiB are needed.",
            "Free some, or point FRAUDLAB_HOME to a larger disk. Then run the command again.",
        )

    try:
        needs = [] if has_venv() else ["venv"]
        needs += [] if artifacts.are_complete(home) else system_packages.missing(home)
        needs += [] if browser_is_there else ["chromium"]
        if "venv" in needs:  # then nothing can go on without apt-get, so it installs everything in one go
            with times.step("system_packages"):
                system_packages.install(needs, say)
            needs = []

        failures: list[StackError] = []

        def prepare_jvm() -> None:
            try:
                if needs:
                    with times.step("system_packages"):
                        system_packages.install(needs, say)
                if not artifacts.are_complete(home):
                    say("fetching Kafka, MySQL and Flink's connectors (Maven) …")
                    with times.step("jvm_artifacts"):
                        artifacts.fetch(home)
                    say("Kafka, MySQL and Flink's connectors are there")
            except StackError as error:
                failures.append(error)

        beside = threading.Thread(target=prepare_jvm, daemon=True)
        beside.start()
        if not environment_is_ready:
            make_environment(venv, dev, times.step)
        wait_for(beside)
        if failures:
            raise failures[0]
    except StackError as error:
        return refuse(str(error), error.advice)
    except subprocess.CalledProcessError as error:
        return refuse(
            f"`{' '.join(map(str, error.cmd))}` failed (exit status {error.returncode}); its own words are above.",
            "Where the network or a proxy is the cause, put that right. "
            "Then run the command again: what has arrived is kept.",
        )
    say("Python environment and jars are complete.")
    return 0


def wait_for(work: threading.Thread) -> None:
    """Until it has ended; a terminal shows meanwhile how long that takes."""
    began = time.monotonic()
    while work.is_alive():
        if sys.stdout.isatty():
            print(f"\r  waiting for the jars, {time.monotonic() - began:.0f} s ", end="\r", flush=True)
        work.join(1)


def has_venv() -> bool:
    """Whether this Python can make virtual environments with pip in them (Debian puts that in a package of its own)."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def is_ready(venv: Path, dev: bool) -> bool:
    """Whether the environment holds what today's locks name; one with development tools will do for the plain one."""
    from fraudlab.stack import own_packages

    stamp = venv / "complete-for"
    if not stamp.exists() or not (venv / "bin" / "python").exists() or not own_packages.are_in(venv, REPOSITORY):
        return False
    return stamp.read_text(encoding="utf-8") in ([digest(dev=True)] if dev else [digest(dev=False), digest(dev=True)])


def digest(dev: bool) -> str:
    """Of everything that decides what is in the environment."""
    parts = [lock(dev), REQUIREMENTS / "installer.lock", *(package / "pyproject.toml" for package in LOCAL_PACKAGES)]
    text = b"\0".join(part.read_bytes() if part.exists() else b"" for part in parts)
    return ("dev " if dev else "run ") + hashlib.sha256(text).hexdigest()


def lock(dev: bool) -> Path:
    return REQUIREMENTS / ("dev.lock" if dev else "run.lock")


def make_environment(venv: Path, dev: bool, step: Callable[[str], AbstractContextManager[None]]) -> None:
    """Make or complete the virtual environment. Raises subprocess.CalledProcessError."""
    stamp = venv / "complete-for"
    stamp.unlink(missing_ok=True)
    python = venv / "bin" / "python"
    if not is_usable(python):
        with step("python"):
            if venv.exists():
                shutil.rmtree(venv)
            say("making the Python environment …")
            run([sys.executable, "-m", "venv", venv])
    with step("packages"):
        say("installing Python packages (500 MB, most of it Flink) …")
        run([*pip(python), "--require-hashes", "--no-deps", "-r", REQUIREMENTS / "installer.lock"])
        with_uv = uv_environment(python)
        if run([*uv(python), *locked(lock(dev))], with_uv, must_work=False) != 0:
            say("uv could not do it (see above); trying once more with pip, which takes longer …")
            run([*pip(python), "--no-build-isolation", *locked(lock(dev))])
        from fraudlab.stack import own_packages

        own_packages.put_into(venv, REPOSITORY)
    stamp.write_text(digest(dev), encoding="utf-8")
    say("Python packages are there")


def is_usable(python: Path) -> bool:
    """Whether an environment's Python is there, is of the right version and has pip: not one that was interrupted."""
    code = "import sys, pip; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.split() == [str(part) for part in PYTHON_VERSION]


def locked(file: Path) -> list[str]:
    return ["--require-hashes", "--no-deps", "-r", str(file)]


def pip(python: Path) -> list[str | Path]:
    return [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-warn-script-location"]


def uv(python: Path) -> list[str | Path]:
    quiet = [] if sys.stderr.isatty() else ["-q"]  # on a terminal it shows how far it is
    return [python.with_name("uv"), "pip", "install", *quiet, "--no-config", "--no-build-isolation", "--python", python]


def uv_environment(python: Path) -> dict[str, str]:
    """uv reads none of pip's settings: hand over those that decide whence and how securely packages come."""
    listed = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    settings = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2].strip(":")] = value.strip("'\"").replace("\\n", " ").strip()
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "cert": "SSL_CERT_FILE",
    }
    handed_over = {names[name]: value for name, value in settings.items() if name in names}
    return {"UV_SYSTEM_CERTS": "true", **os.environ, **handed_over}


def run(command: Sequence[str | Path], environment: dict[str, str] | None = None, must_work: bool = True) -> int:
    """Run a command, its output shown; gives its exit status. Raises CalledProcessError where it must work."""
    return subprocess.run([str(part) for part in command], env=environment, cwd=REPOSITORY, check=must_work).returncode


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def refuse(what: str, advice: str) -> int:
    print(f"{what}\nNext: {advice}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
