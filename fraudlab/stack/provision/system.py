"""What the operating system must have: two libraries for MySQL, and Chromium for the tests of the pages.

Libraries are found by loading them. On Debian and Ubuntu missing ones are downloaded with apt and unpacked into the home, which
needs no root. Elsewhere, and for Chromium, the system's package manager is called if it asks for no password; otherwise there is
one command to copy.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack.provision import bundle
from fraudlab.stack.provision.progress import Say

LIBRARIES = {"libaio": "libaio.so.1", "libnuma": "libnuma.so.1"}
"""What mysqld loads, by the names under which packages are looked up."""

TIMEOUT_S = 600
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

INSTALL = {
    "apt-get": "apt-get install -y --no-install-recommends",
    "dnf": "dnf install -y",
    "zypper": "zypper --non-interactive install",
    "pacman": "pacman -S --needed --noconfirm",
}
PACKAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "apt-get": {
        "libaio": ("libaio1", "libaio1t64"),
        "libnuma": ("libnuma1",),
        "python": ("python3.11",),
        "libpython": ("libpython3.11",),
        "pip": ("python3-pip",),
        "chromium": ("chromium", "chromium-browser"),
    },
    "dnf": {
        "libaio": ("libaio",),
        "libnuma": ("numactl-libs",),
        "python": ("python3.11",),
        "libpython": ("python3.11-libs",),
        "pip": ("python3-pip",),
        "chromium": ("chromium",),
    },
    "zypper": {
        "libaio": ("libaio1",),
        "libnuma": ("libnuma1",),
        "python": ("python311",),
        "libpython": ("libpython3_11-1_0",),
        "pip": ("python3-pip",),
        "chromium": ("chromium",),
    },
    "pacman": {
        "libaio": ("libaio",),
        "libnuma": ("numactl",),
        "pip": ("python-pip",),
        "chromium": ("chromium",),
    },
}
"""Package names by package manager; of several the first that the system offers. Arch Linux has no Python 3.11."""


def libraries(home: Path) -> Path:
    """The folder, in a home, of shared libraries that the system lacks."""
    return home / "lib"


def unpacked(home: Path) -> Path:
    """The folder, in a home, into which packages were unpacked: as the root of a file system."""
    return home / "packages" / "root"


def missing_libraries(home: Path) -> list[str]:
    """Which of LIBRARIES neither the system nor the home has."""
    return [name for name, file in LIBRARIES.items() if not loads(file) and not loads(str(libraries(home) / file))]


def loads(library: str) -> bool:
    """Whether a shared library can be loaded, by its name or by its path."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def bring_libraries(home: Path, say: Say) -> None:
    """Bring the libraries that are missing. Raises UserError, with a command to copy, if that is not possible."""
    _link_renamed_libaio(home, Path("/"))
    _copy_bundled_libraries(home)
    needs = missing_libraries(home)
    if not needs:
        return
    if can_unpack_debs():
        say(f"unpacking {' and '.join(needs)} into the home")
        unpack_debs([package(need) for need in needs], home)
        _link_libraries(home)
        needs = missing_libraries(home)
    if needs:
        install(needs, say)
        _link_renamed_libaio(home, Path("/"))
    still = missing_libraries(home)
    if still:
        raise UserError(
            f"{' and '.join(LIBRARIES[one] for one in still)} cannot be loaded, even after installing the package.",
            "`fraudlab doctor` says what was looked for.",
        )


def chromium() -> str:
    """The path of Chromium, which only the tests of the pages need. Raises UserError if there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise UserError("This machine has no Chromium.", command_to_install(["chromium"]))
    return found


def has_chromium() -> bool:
    """Whether there is a Chromium."""
    return any(shutil.which(name) for name in BROWSERS)


def install(needs: Sequence[str], say: Say) -> None:
    """Install what is needed with the system's package manager, as root or with a sudo that asks for no password.

    Raises UserError with one command to copy if that is not possible.
    """
    manager = package_manager()
    prefix = _privilege()
    names = packages(needs)
    if manager is None or prefix is None or not names:
        raise UserError(f"This machine lacks {', '.join(needs)}.", command_to_install(needs))
    say(f"installing {', '.join(names)} with {manager}")
    if manager == "apt-get":
        _run([*prefix, "apt-get", "update", "-qq"], must_work=False)
    _run([*prefix, *INSTALL[manager].split(), *packages(needs)])


def command_to_install(needs: Sequence[str]) -> str:
    """What to do about missing packages: one command to copy, for the package manager that is here."""
    manager, names = package_manager(), packages(needs)
    if manager is None or not names:
        return (
            f"Install {', '.join(needs)} with the system's package manager, then run the command again; "
            "or use containers, which need none of it:\n  sh containers/make-env.sh\n  docker compose up"
        )
    update = "sudo apt-get update && " if manager == "apt-get" else ""
    return f"Run this, then the command again:\n  {update}sudo {INSTALL[manager]} {' '.join(names)}"


def package_manager() -> str | None:
    """Which of the package managers that we know is here."""
    return next((name for name in INSTALL if shutil.which(name)), None)


def packages(needs: Sequence[str]) -> list[str]:
    """The names of what is needed here; empty if the package manager does not have it all."""
    manager = package_manager()
    if manager is None or any(need not in PACKAGES[manager] for need in needs):
        return []
    return [package(need) for need in needs]


def package(need: str) -> str:
    """The package of one need, as the package manager here calls it."""
    choices = PACKAGES[package_manager() or "apt-get"][need]
    return next((name for name in choices if len(choices) > 1 and _apt_has(name)), choices[0])


def can_unpack_debs() -> bool:
    """Whether packages can be fetched and unpacked without root: on Debian, Ubuntu and what descends from them.

    Not with a bundle: there is no network then, and apt takes minutes to notice that.
    """
    return not bundle.is_here() and all(shutil.which(program) for program in ("apt-get", "apt-cache", "dpkg-deb"))


def unpack_debs(names: Sequence[str], home: Path) -> bool:
    """Fetch Debian packages, which apt verifies, and unpack them into the home. Returns whether that worked.

    The system's own lists of packages may be old or missing, so the second try fetches lists into the home.
    """
    folder = home / "packages"
    root = unpacked(home)
    for part in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    own_lists = [
        f"-oDir::State::Lists={folder / 'lists'}",
        f"-oDir::Cache={folder / 'cache'}",
        "-oAPT::Sandbox::User=",
    ]
    download = ["download", "-qq", *names]
    for attempt in (
        [["apt-get", *download]],
        [["apt-get", *own_lists, "update", "-qq"], ["apt-get", *own_lists, *download]],
    ):
        if all(_succeeds(command, folder / "debs") for command in attempt):
            break
    else:
        return False
    return all(_succeeds(["dpkg-deb", "-x", str(deb), str(root)], folder) for deb in (folder / "debs").glob("*.deb"))


def _link_libraries(home: Path) -> None:
    """Link what was unpacked into the one folder that programs are told of."""
    libraries(home).mkdir(parents=True, exist_ok=True)
    for file in [*unpacked(home).glob("lib/*/*.so*"), *unpacked(home).glob("usr/lib/*/*.so*")]:
        link = libraries(home) / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(file, link.parent))
    _link_renamed_libaio(home, unpacked(home))


def _copy_bundled_libraries(home: Path) -> None:
    """Copy those that are missing from the bundle, if there is one."""
    for file in (bundle.libraries(bundle.FOLDER) / LIBRARIES[name] for name in missing_libraries(home)):
        if file.exists():
            libraries(home).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, libraries(home) / file.name)


def bring_libpython(home: Path, name: str) -> Path | None:
    """Python's shared library, unpacked into the home from Debian's package; None if there is none for this system."""
    file = libraries(home) / name
    if not file.exists() and can_unpack_debs() and unpack_debs([package("libpython")], home):
        _link_libraries(home)
    return file if file.exists() else None


def _link_renamed_libaio(home: Path, root: Path) -> None:
    """Debian 13 and Ubuntu 24.04 renamed libaio.so.1 to libaio.so.1t64; on 64-bit machines only its name changed."""
    file = LIBRARIES["libaio"]
    renamed = next((found for place in ("usr/lib", "lib") for found in root.glob(f"{place}/*/{file}t64")), None)
    link = libraries(home) / file
    if renamed is not None and not loads(file) and not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(renamed)


def _run(command: list[str], *, must_work: bool = True) -> None:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`{' '.join(command)}` took over {TIMEOUT_S} s.", "Run it by hand to see why.") from error
    if must_work and done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-8:])
        raise UserError(f"`{' '.join(command)}` failed:\n{last}", "Fix that, then run the command again.")


def _succeeds(command: list[str], folder: Path) -> bool:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _privilege() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _succeeds(["sudo", "-n", "true"], Path("/")):
        return ["sudo", "-n"]
    return None


def _apt_has(name: str) -> bool:
    """Whether apt can install a package of this very name (one that is only provided by others has no candidate)."""
    if not shutil.which("apt-cache"):
        return False
    done = subprocess.run(["apt-cache", "policy", name], capture_output=True, encoding="utf-8", check=False)
    return "Candidate:" in done.stdout and "Candidate: (none)" not in done.stdout
