"""Packs the repository and everything that its set-up would download into one file, for machines without a network: `make bundle`.

Runs in the environment of a home that is set up. What is fetched stays in `<home>/bundle`, so a second run downloads nothing again.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack.home_lock import HomeLock
from fraudlab.stack.provision import bundle, disk, jars, machine, network, system
from fraudlab.stack.provision.paths import REPOSITORY, lock
from fraudlab.stack.provision.progress import Ticker, say
from fraudlab.stack.provision.python import BROUGHT
from fraudlab.stack.provision.set_up import refuse
from fraudlab.stack.provision.uv import Uv

FILE = REPOSITORY / "fraudlab-bundle.tar"
TOP = "fraudlab"
"""The folder that unpacking makes."""

NEEDED_MIB = 1_600
"""For what is fetched and for the file."""

PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(machine.GLIBC[1], 4, -1)),
    *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
)
"""The compiled packages that run wherever the stack does, not only on a machine as new as this one."""

COPYRIGHTS = (
    *(f"usr/share/doc/{package}*/copyright" for package in ("libaio", "libnuma")),
    *(f"usr/share/licenses/{package}*/*" for package in ("libaio", "numactl")),
)
"""Where Debian and Fedora put the licences of the two libraries."""


def main() -> int:
    """Write FILE; gives the exit status."""
    parser = argparse.ArgumentParser(description="Pack everything into one file.")
    parser.add_argument("home", type=Path)
    parser.add_argument(
        "--without-python", action="store_true", help="for machines that have a Python 3.11 of their own"
    )
    arguments = parser.parse_args()
    home = arguments.home.resolve()
    try:
        with HomeLock(home / "bundle")(say):
            pack(home, with_python=not arguments.without_python)
    except UserError as error:
        return refuse(str(error), error.advice)
    except KeyboardInterrupt:
        return refuse("Interrupted.", "Run the command again: it goes on with what is missing.")
    return 0


def pack(home: Path, *, with_python: bool) -> None:
    """Fetch what is missing and write FILE. Raises UserError."""
    began = time.monotonic()
    if bundle.is_here():
        raise UserError(
            "This folder was itself unpacked from a bundle.", "Copy the bundle's file, or pack a git clone."
        )
    if _git("status", "--porcelain").strip():
        say("the bundle gets the last commit; what is not committed is not in it")
    folder = home / "bundle"
    disk.require_room(folder, NEEDED_MIB)
    if with_python:
        say(f"Python {BROUGHT}")
        fetch_python(home, folder)
    say("Python packages")
    with Ticker() as ticker:
        fetch_packages(bundle.wheels(folder), ticker)
    say("jars")
    jars.fetch_here(home)
    say("shared libraries")
    copy_libraries(home, folder)
    files = [(f"jars/{jar.folder}/{jar.name}", jar.place(home)) for jar in jars.locked()]
    for kind in (bundle.wheels, bundle.libraries, *([bundle.python] if with_python else [])):
        files += [(f"{kind(Path())}/{file.name}", file) for file in sorted(kind(folder).iterdir())]
    with Ticker() as ticker:
        write(files, FILE, ticker)
    say(f"{FILE}: {FILE.stat().st_size / 1e6:.0f} MB, after {time.monotonic() - began:.0f} s")
    print(f"Next: on each machine: tar -xf {FILE.name} && cd {TOP} && make demo")


def fetch_python(home: Path, folder: Path) -> None:
    """Have uv fetch Python's archive, with the hash that uv knows. Raises UserError."""
    unpacked = folder / "unpacked"
    archives = bundle.python(folder)
    uv = Uv(home, say)
    uv.environment["UV_PYTHON_CACHE_DIR"] = str(archives)  # uv keeps an archive only if this is set
    try:
        uv.run("python", "install", BROUGHT, "--no-bin", "--install-dir", unpacked)
    except UserError as error:
        raise UserError(
            f"Python {BROUGHT} could not be fetched for the bundle:\n{error}",
            "If this machine reaches a mirror of python-build-standalone, set UV_PYTHON_INSTALL_MIRROR. If every machine that "
            "will use the bundle has Python 3.11 with its shared library, leave Python out: make bundle WITHOUT_PYTHON=1",
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def fetch_packages(folder: Path, ticker: Ticker) -> None:
    """Have pip fetch every package of the locks, for any machine that the stack supports. Raises UserError."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_unlocked(folder)
    options = [
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
        "--no-build-isolation",
        "--dest",
        str(folder),
    ]
    options += [part for platform in PLATFORMS for part in ("--platform", platform)]
    options += [part for name in bundle.LOCKS for part in ("-r", str(lock(name)))]
    process = subprocess.Popen(
        [sys.executable, "-m", "pip", "download", *options],
        env=network.for_pip(os.environ),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    wanted = len(locked_packages())
    begun = [""]
    ticker.show("Python packages", lambda: f"{len(begun) - 1} of {wanted} {begun[-1]}")
    last: deque[str] = deque(maxlen=8)
    for line in process.stdout:
        last.append(line)
        if line.startswith("Collecting "):
            begun.append(line.split()[1].partition("=")[0])
    ticker.hide("Python packages")
    if process.wait() != 0:
        raise UserError(f"pip could not fetch the packages:\n{''.join(last).rstrip()}", network.ADVICE)


def locked_packages() -> set[str]:
    """The names of the packages in the locks."""
    return {name for text in _locks() for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def remove_unlocked(folder: Path) -> None:
    """Remove files that no lock names: packages of an earlier version, or damaged ones."""
    hashes = {sum_ for text in _locks() for sum_ in re.findall(r"--hash=sha256:([0-9a-f]{64})", text)}
    for file in folder.iterdir():
        if jars.sha256(file) not in hashes:
            file.unlink()


def _locks() -> list[str]:
    return [lock(name).read_text(encoding="utf-8") for name in bundle.LOCKS]


def copy_libraries(home: Path, folder: Path) -> None:
    """Copy the libraries that MySQL loads on this machine, and their copyright files."""
    to = bundle.libraries(folder)
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for file in system.LIBRARIES.values():
        shutil.copyfile(_loaded(file, home), to / file)
        newest = newest_glibc((to / file).read_bytes())
        if newest > machine.GLIBC:
            say(
                f"{file} comes from this machine and needs glibc {newest[0]}.{newest[1]}; an older system must have its own"
            )
    for root in (Path("/"), system.unpacked(home)):
        for pattern in COPYRIGHTS:
            for file_ in root.glob(pattern):
                shutil.copyfile(file_, to / f"{file_.parent.name}-{file_.name}")


def _loaded(library: str, home: Path) -> Path:
    """The file of a shared library, found by loading it from the system or from the home."""
    ctypes.CDLL(library if system.loads(library) else str(system.libraries(home) / library))
    name = library.partition(".so")[0]
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return next(Path(path) for line in maps if f"/{name}.so" in (path := line.split(maxsplit=5)[-1]))


def newest_glibc(library: bytes) -> tuple[int, int]:
    """The version of glibc that a compiled library needs."""
    return max(
        ((int(major), int(minor)) for major, minor in re.findall(rb"GLIBC_(\d+)\.(\d+)", library)), default=(0, 0)
    )


def write(files: Iterable[tuple[str, Path]], to: Path, ticker: Ticker) -> None:
    """Write the last commit and files, each with its name in the bundle's folder. It is complete, or it has another name."""
    unfinished = to.with_name(f"{to.name}.unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as tar:
        ticker.show("written", lambda: f"{tar.offset // 1_000_000} MB")
        with tarfile.open(fileobj=io.BytesIO(_git("archive", f"--prefix={TOP}/", "HEAD"))) as committed:
            for member in committed:
                tar.addfile(_of_nobody(member), committed.extractfile(member) if member.isfile() else None)
        for name, file in files:
            tar.add(file, f"{TOP}/{bundle.FOLDER.name}/{name}", filter=_of_nobody)
        last = tarfile.TarInfo(f"{TOP}/{bundle.FOLDER.name}/{bundle.stamp(Path())}")
        last.size, last.mtime = len(bundle.digest()), int(time.time())
        tar.addfile(last, io.BytesIO(bundle.digest().encode()))
        ticker.hide("written")
    unfinished.rename(to)


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the accounts and the umask of this machine."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _git(*arguments: str) -> bytes:
    """What a command of git prints, for this repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, check=False)
        complaint = done.stderr.decode(errors="replace").strip()
    except FileNotFoundError:
        complaint = "git is not installed."
    else:
        if done.returncode == 0:
            return done.stdout
    raise UserError(
        f"The repository cannot be packed:\n{complaint}", "A bundle is made of the last commit of a git clone."
    )


if __name__ == "__main__":
    sys.exit(main())
