"""What our processes need from the shell that starts them: UTF-8 for the names of files, and a home folder.

Standard library only: the set-up uses it.
"""

from __future__ import annotations

import contextlib
import locale
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

USUAL = ("C.UTF-8", "C.utf8", "en_US.UTF-8")
"""UTF-8 locales that a Linux has by one of these names, unless somebody removed them."""


def repairs(home: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables in which an environment must change; empty where all is well. `home` is ours, FRAUDLAB_HOME.

    A JVM opens no file whose name has an accent unless the locale is a UTF-8 one, and Python 3.11 reads `.pth` files in
    the locale's encoding, also in its UTF-8 mode. uv, Maven, Jupyter and IPython keep files in HOME.
    """
    changes: dict[str, str] = {}
    if not is_utf8(""):
        name = utf8_locale()
        # LC_ALL comes before all others: where it is set, nothing else counts
        changes |= {"LC_ALL" if environment.get("LC_ALL") else "LC_CTYPE": name} if name else {"PYTHONUTF8": "1"}
    if not _is_writable(environment.get("HOME", "")):
        changes["HOME"] = _home_folder(home)
    return {name: value for name, value in changes.items() if environment.get(name) != value}


def settle(command: Sequence[str], home: Path) -> None:
    """Start this process again, as `command`, where its environment lacks something. Returns where it lacks nothing."""
    changes = repairs(home)
    if changes:
        os.environ.update(changes)
        os.execv(command[0], list(command))  # noqa: S606 - the same program once more, with another environment


def is_utf8(name: str) -> bool:
    """Whether a locale is there and encodes text as UTF-8; the empty name stands for the environment's."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
        return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def utf8_locale() -> str:
    """The name of a UTF-8 locale of this machine, one without a language where there is one; empty where it has none."""
    return next((name for name in (*USUAL, *_installed()) if is_utf8(name)), "")


def _installed() -> list[str]:
    try:
        done = subprocess.run(["locale", "-a"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return []
    return [os.fsdecode(line) for line in done.stdout.splitlines()]


def _home_folder(home: Path) -> str:
    """The user's own folder, as the system knows it; where it cannot be written to, one in ours."""
    try:
        own = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container may run as a user whom nobody has named
        own = ""
    if _is_writable(own):
        return own
    ours = home / "user"
    with contextlib.suppress(OSError):  # the check of the home says it better
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(ours)


def _is_writable(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)  # noqa: PTH112 - "" is no Path


def chosen_home(default: Path) -> Path:
    """FRAUDLAB_HOME, or the default."""
    return Path(os.environ.get("FRAUDLAB_HOME") or default).expanduser().resolve()
