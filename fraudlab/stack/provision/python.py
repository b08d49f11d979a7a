"""Finds a Python 3.11 with its shared library, which Flink's JVM loads, or brings one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack.provision import system
from fraudlab.stack.provision.progress import Say
from fraudlab.stack.provision.uv import Uv

WANTED = (3, 11)
"""PyFlink 1.20 has no wheels for a newer one."""

BROUGHT = "3.11.18"
"""The one that uv brings."""

PROBE = """
import ctypes, json, os, sys, sysconfig
import bz2, lzma, sqlite3, ssl, venv, zlib
name = sysconfig.get_config_var("INSTSONAME") or ""
if not name.endswith(".so.1.0"):
    name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
folders = [sysconfig.get_config_var("LIBDIR") or "", os.path.join(sys.base_prefix, "lib")]
folders.append(os.path.join(folders[0], sysconfig.get_config_var("MULTIARCH") or ""))
files = [os.path.join(folder, name) for folder in folders]
base = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
outside = sys.prefix != sys.base_prefix and os.path.exists(base)
print(json.dumps({"version": sys.version_info[:3], "executable": base if outside else sys.executable, "name": name,
                  "library": next((file for file in files if os.path.exists(file)), "")}))
"""
"""Run by a candidate: which it is, and where its shared library is. It fails if a module is missing that packages need.

One in a virtual environment names the one that the environment was made of: ours may be the one that is activated, and is made again.
"""


@dataclass(frozen=True)
class Python:
    """An interpreter: its program, its version, and its shared library (None if it has none)."""

    program: Path
    version: str
    library: Path | None


def bring(home: Path, uv: Uv, say: Say) -> Python:
    """A whole Python 3.11: one that is here, one that only lacked its library, one that uv brings, or the system's package.

    Raises UserError, with a command to copy, if none can be had.
    """
    found = [python for candidate in candidates(home) if (python := probe(candidate))]
    for python in found:
        if python.library is not None:
            say(f"Python {python.version} is here: {python.program}")
            return python
    for python in found:
        library = system.bring_libpython(home, f"libpython{_dotted()}.so.1.0")
        if library is not None:
            say(f"Python {python.version} is here ({python.program}); its shared library is now in the home")
            return Python(python.program, python.version, library)
    try:
        say(f"fetching Python {BROUGHT} with uv, because no whole {_dotted()} is here")
        uv.run("python", "install", BROUGHT, "--no-bin")
    except UserError as error:
        return _from_the_system(home, say, error)
    brought = next((python for candidate in _brought(home) if (python := probe(candidate))), None)
    if brought is None or brought.library is None:
        raise UserError(
            f"The Python {BROUGHT} that uv brought does not work or has no shared library.",
            f"Remove {home / 'python'} and run the command again. UV_PYTHON_INSTALL_MIRROR, if set, may have another build.",
        )
    return brought


def candidates(home: Path) -> list[Path]:
    """Where a Python 3.11 may be, in the order of preference: the one that runs this, PATH, what was brought."""
    name = f"python{_dotted()}"
    named = [sys.executable, shutil.which(name), f"/usr/bin/{name}", f"/usr/local/bin/{name}"]
    return [*dict.fromkeys(Path(one) for one in named if one), *_brought(home)]


def probe(program: Path) -> Python | None:
    """What an interpreter is, found out by running it; None if it is not a 3.11 that works."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    try:
        done = subprocess.run(
            [str(program), "-I", "-c", PROBE],
            capture_output=True,
            encoding="utf-8",
            env=environment,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    facts = json.loads(done.stdout)
    if tuple(facts["version"][:2]) != WANTED:
        return None
    library = Path(facts["library"]) if facts["library"] else _on_the_search_path(program, facts["name"])
    return Python(Path(facts["executable"]), ".".join(map(str, facts["version"])), library)


def _on_the_search_path(program: Path, name: str) -> Path | None:
    """The file that the system's loader finds under this name, for this interpreter."""
    code = f"import ctypes; ctypes.CDLL({name!r}); print(*[l.split()[-1] for l in open('/proc/self/maps') if {name!r} in l][:1])"
    done = subprocess.run([str(program), "-I", "-c", code], capture_output=True, encoding="utf-8", check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 and done.stdout.strip() else None


def _brought(home: Path) -> list[Path]:
    return sorted((home / "python").glob(f"cpython-{_dotted()}.*/bin/python{_dotted()}"))


def _from_the_system(home: Path, say: Say, refused: UserError) -> Python:
    needs = ["python", "libpython"]
    try:
        system.install(needs, say)
    except UserError as error:
        raise UserError(
            f"No Python {_dotted()} with its shared library is here, and uv could not fetch one:\n{refused}",
            "If the machine reaches a mirror of python-build-standalone, set UV_PYTHON_INSTALL_MIRROR. Otherwise: "
            + error.advice,
        ) from error
    found = next((python for candidate in candidates(home) if (python := probe(candidate)) and python.library), None)
    if found is None:
        raise UserError("The system's Python 3.11 was installed, but does not work.", "`fraudlab doctor` says more.")
    return found


def _dotted() -> str:
    return ".".join(map(str, WANTED))
