"""The Python environment of a home: made with uv from the locked requirements."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from fraudlab.stack.provision import own_packages
from fraudlab.stack.provision.paths import LOCAL_PACKAGES, REPOSITORY, lock
from fraudlab.stack.provision.progress import Ticker, written_mb
from fraudlab.stack.provision.python import Python
from fraudlab.stack.provision.uv import Uv, requirements

UNPACKED_MB = {"run": 900, "dev": 1200, "java": 80}
"""About how much uv writes for each of them, to show how far it is."""


class Environment:
    """The virtual environment `<home>/venv`."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "venv"
        self.python = self.folder / "bin" / "python"
        self._stamp = self.folder / "complete-for"

    def is_ready(self, kind: str) -> bool:
        """Whether it holds what today's locks name: `run`, or `dev`, which has all of `run`."""
        if not (self._stamp.exists() and self.python.exists() and own_packages.are_in(self.folder, REPOSITORY)):
            return False
        accepted = {"run": ("run", "dev"), "dev": ("dev",)}[kind]
        return self._stamp.read_text(encoding="utf-8") in {digest(one) for one in accepted}

    def make(self, uv: Uv, python: Python) -> None:
        """Make it empty, with what builds and fetches the rest, unless there is one of this very Python."""
        assert python.library is not None, "only a whole Python is used"
        self._stamp.unlink(missing_ok=True)
        base = self.folder / "made-with"
        wanted = f"{python.program} {python.version} {python.library}"
        if not (base.exists() and base.read_text(encoding="utf-8") == wanted and self.python.exists()):
            if self.folder.exists():
                shutil.rmtree(self.folder)
            uv.run("venv", "--python", python.program, "--no-python-downloads", self.folder)
            # Flink's JVM asks find_libpython, which looks here, too
            link = self.folder / "lib" / f"libpython{python.version.rpartition('.')[0]}.so.1.0"
            link.symlink_to(os.path.relpath(python.library, link.parent))
            base.write_text(wanted, encoding="utf-8")
        uv.run("pip", "install", "--python", self.python, *requirements(["installer"]))

    def fill(self, uv: Uv, locks: list[str], ticker: Ticker) -> None:
        """Install what the locks name (`run` or `dev`, `java`, or both) and, with the first two, our own packages."""
        process = uv.start("pip", "install", "--python", self.python, "--no-build-isolation", *requirements(locks))
        expected = sum(UNPACKED_MB[name] for name in locks)
        ticker.show("Python packages", lambda: f"{written_mb(process.pid)} of about {expected} MB")
        output, _ = process.communicate()
        ticker.hide("Python packages")
        uv.require_success(process, output)
        for kind in set(locks) & {"run", "dev"}:
            own_packages.put_into(self.folder, REPOSITORY)
            self._stamp.write_text(digest(kind), encoding="utf-8")


def digest(kind: str) -> str:
    """Of everything that decides what is in the environment."""
    parts = [lock(kind), lock("installer"), *(package / "pyproject.toml" for package in LOCAL_PACKAGES)]
    return f"{kind} {hashlib.sha256(bytes(1).join(part.read_bytes() for part in parts)).hexdigest()}"
