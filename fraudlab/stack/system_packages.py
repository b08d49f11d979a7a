"""What the operating system must have: Java, Maven and two libraries. Standard library only: `bootstrap.py` uses it."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fraudlab.stack.errors import StackError

LIBRARY_FOLDERS = ("/usr/lib/*-linux-gnu", "/lib/*-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib")
LIBAIO, LIBAIO_64_BIT_TIME = "libaio.so.1", "libaio.so.1t64"
APT_TIMEOUT_S = 600
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing(home: Path) -> list[str]:
    """What this machine lacks of `java`, `maven`, `libaio` and `libnuma`; links libaio where it was renamed."""
    checks: dict[str, Callable[[], bool]] = {
        "java": _has_java,
        "maven": lambda: shutil.which("mvn") is not None,
    }
    if sys.platform == "linux":
        checks["libaio"] = lambda: _loads(LIBAIO) or _link_renamed_libaio(home)
        checks["libnuma"] = lambda: _loads("libnuma.so.1")
    return [name for name, is_there in checks.items() if not is_there()]


def chromium() -> str:
    """The path of Chromium, which only the tests of the pages need. Raises StackError where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise StackError("This machine lacks Chromium.", "`make test` installs it, or says with which command.")
    return found


def has_chromium() -> bool:
    """Whether there is a Chromium."""
    return any(shutil.which(name) for name in BROWSERS)


def install(needs: Sequence[str], say: Callable[[str], None]) -> None:
    """Install what is needed (`venv` and `chromium` may be among it) with apt-get, as root or with a sudo that asks no password.

    Raises StackError with one command to copy where that is not possible.
    """
    if shutil.which("apt-get") is None:
        raise StackError(
            f"This machine lacks {', '.join(needs)}.",
            "Install it with the system's package manager (Java 17, Maven, libaio.so.1, libnuma.so.1; for the tests "
            "Chromium), then run the command again; or use Docker Compose, which needs none of it: `docker compose up`.",
        )
    prefix = _privilege()
    if prefix is None:
        packages = " ".join(_debian_packages(needs))
        raise StackError(
            f"This machine lacks {', '.join(needs)}, and installing it needs a password.",
            f"Run this, then the command again:\n  sudo apt-get update && sudo apt-get install -y {packages}",
        )
    say(f"installing system packages for {', '.join(needs)}")
    _apt([*prefix, "apt-get", "update", "-qq"], must_work=False)
    _apt(
        [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *_debian_packages(needs)],
        must_work=True,
    )


def _apt(command: list[str], must_work: bool) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=APT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"`{' '.join(command)}` took over {APT_TIMEOUT_S} s.", "Run it by hand to see why.") from error
    if must_work and done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-8:])
        raise StackError(f"`{' '.join(command)}` failed:\n{last}", "Put that right, then run the command again.")


def _privilege() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def _debian_packages(needs: Sequence[str]) -> list[str]:
    """Package names; those that differ between releases are looked up in what apt knows."""
    choices = {
        "java": ("openjdk-17-jre-headless", "openjdk-21-jre-headless"),
        "maven": ("maven",),
        "libaio": ("libaio1", "libaio1t64"),
        "libnuma": ("libnuma1",),
        "chromium": ("chromium", "chromium-browser"),
        "venv": (f"python{sys.version_info.major}.{sys.version_info.minor}-venv", "python3-venv"),
    }
    return [next((name for name in choices[need] if _apt_has(name)), choices[need][0]) for need in needs]


def _apt_has(package: str) -> bool:
    """Whether apt can install a package of this very name (one that is only provided by others has no candidate)."""
    done = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate:" in done.stdout and "Candidate: (none)" not in done.stdout


def _has_java() -> bool:
    from fraudlab.stack import java

    try:
        java.find()
    except StackError:
        java.find.cache_clear()
        return False
    return True


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _link_renamed_libaio(home: Path) -> bool:
    """Debian 13 and Ubuntu 24.04 renamed libaio.so.1; on 64-bit machines only its name changed."""
    for folder in LIBRARY_FOLDERS:
        for renamed in Path("/").glob(f"{folder.removeprefix('/')}/{LIBAIO_64_BIT_TIME}"):
            link = home / "lib" / LIBAIO
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(renamed)
            return True
    return False
