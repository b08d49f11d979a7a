"""Passwords: given in the environment, or made once at random and kept in a file that only its owner reads."""

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

VARIABLE_PREFIX = "FRAUDLAB_SECRET_"


class SecretStore:
    """Secrets by name, in the JSON file `path` (mode 0600). Safe for several processes at once.

    An environment variable comes before the file, `FRAUDLAB_SECRET_MYSQL_FLAGGER` for `mysql_flagger`: so a container gets no
    secret but its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> str:
        """The secret of this name; made now, usually of 32 letters, digits, `-` and `_`, where there is none yet."""
        given = os.environ.get(variable(name))
        if given:
            return given
        with self._alone():
            known = self._read()
            if name not in known:
                known[name] = make()
                self._write(known)
            return known[name]

    def forget(self, is_forgotten: Callable[[str], bool]) -> None:
        """Forgets the secrets with such names. If asked for again, they are made again."""
        with self._alone():
            self._write({name: secret for name, secret in self._read().items() if not is_forgotten(name)})

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        known: dict[str, str] = json.loads(self._path.read_text(encoding="utf-8"))
        return known

    def _write(self, known: dict[str, str]) -> None:
        write_private(self._path, json.dumps(known, indent=2, sort_keys=True) + "\n")


def variable(name: str) -> str:
    """The environment variable that gives a secret."""
    return VARIABLE_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def write_private(path: Path, content: str | bytes) -> None:
    """Replace the file in one step by one that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
    temporary.replace(path)
