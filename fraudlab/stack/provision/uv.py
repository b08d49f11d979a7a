"""uv, from PyPI: brings Python and installs packages. It has a folder of its own, so it needs no virtual environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack.provision import bundle, network, system
from fraudlab.stack.provision.paths import REPOSITORY, lock
from fraudlab.stack.provision.progress import Say

WHEELS = ("/usr/share/python-wheels", "/usr/share/python3-wheels")
"""Where Debian and Ubuntu put pip's wheel, in a package of its own."""


class Uv:
    """uv in a home. Raises UserError, saying what to do next, if a call that must work fails."""

    def __init__(self, home: Path, say: Say) -> None:
        self._folder = home / "uv"
        self._home = home
        self._say = say
        self.program = self._folder / "bin" / "uv"
        self._environment: dict[str, str] | None = None

    def bring(self) -> None:
        """Install the pinned uv, unless it is there."""
        stamp, wanted = self._folder / "complete-for", lock("uv").read_text(encoding="utf-8")
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        stamp.unlink(missing_ok=True)
        if bundle.is_here():
            bundle.unpack_uv(self.program)
        else:
            self._fetch()
        stamp.write_text(wanted, encoding="utf-8")

    def _fetch(self) -> None:
        self._say("fetching uv, which brings Python and its packages")
        command = [
            *self._pip(),
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
            "--upgrade",
        ]
        done = subprocess.run(
            [*map(str, command), "--target", str(self._folder), "-r", str(lock("uv"))],
            env=network.for_pip(os.environ),
            cwd=REPOSITORY,  # not in a folder of others: `-m` imports from where it is started
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise UserError(f"pip could not fetch uv:\n{_last_lines(done.stdout)}", network.ADVICE)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which uv, and what it installs, downloads."""
        if self._environment is None:
            self._environment = bundle.uv_environment() if bundle.is_here() else network.environment(self._pip())
        return self._environment

    def run(self, *arguments: str | Path, where: Path | None = None) -> None:
        """Run a command of uv to its end. Its own messages come with the error."""
        process = self.start(*arguments, where=where)
        output, _ = process.communicate()
        self.require_success(process, output)

    def start(self, *arguments: str | Path, where: Path | None = None) -> subprocess.Popen[str]:
        """Start a command of uv; its output is to be read from `stdout`."""
        return subprocess.Popen(
            [str(self.program), *map(str, arguments), "--no-config", "--no-progress"],
            env={**self.environment, "UV_PYTHON_INSTALL_DIR": str(self._home / "python")},
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )

    @staticmethod
    def require_success(process: subprocess.Popen[str], output: str) -> None:
        """Raise UserError with the end of its output if a command of uv that has ended failed."""
        if process.returncode != 0:
            arguments = process.args if isinstance(process.args, list) else [process.args]
            raise UserError(
                f"`uv {' '.join(str(part) for part in arguments[1:3])}` failed:\n{_last_lines(output)}",
                network.advice(),
            )

    def _pip(self) -> list[str | Path]:
        """A pip for the Python that runs this: its own, or the wheel that makes new environments, or Debian's, unpacked here."""
        if importlib.util.find_spec("pip") is not None:
            return [sys.executable, "-m", "pip"]
        wheel = self._pip_wheel()
        if wheel is None and system.can_unpack_debs():
            system.unpack_debs(["python3-pip-whl"], self._home)
            wheel = self._pip_wheel()
        if wheel is None:
            raise UserError(f"The Python {sys.executable} has no pip.", system.command_to_install(["pip"]))
        return [sys.executable, wheel / "pip"]

    def _pip_wheel(self) -> Path | None:
        folders = [*map(Path, WHEELS), *(system.unpacked(self._home) / wheels[1:] for wheels in WHEELS)]
        bundled = importlib.util.find_spec("ensurepip")
        if bundled is not None and bundled.origin is not None:
            folders.insert(0, Path(bundled.origin).parent / "_bundled")
        return next((wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))), None)


def _last_lines(output: str, count: int = 8) -> str:
    return "\n".join(output.rstrip().splitlines()[-count:])


def requirements(names: Sequence[str]) -> list[str]:
    """The options that install locked requirements, each with its hash."""
    return [
        *bundle.install_options(),
        "--require-hashes",
        "--no-deps",
        *(part for name in names for part in ("-r", str(lock(name)))),
    ]
