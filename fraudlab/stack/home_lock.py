"""One at a time in a home. Standard library only: the set-up uses it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from fraudlab.stack import home_folder


class HomeLock:
    """Lets one set-up, start or stop at a time happen in a home; who holds it may take it again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._threads = threading.RLock()
        self._depth = 0

    @contextlib.contextmanager
    def __call__(self, say: Callable[[str], None]) -> Iterator[None]:
        """Hold it; says so where another process has to be waited for. The end of a process, however it comes, frees it."""
        with self._threads:
            if self._depth:
                yield
                return
            try:
                self._home.mkdir(parents=True, exist_ok=True)
                lock = os.open(self._home / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
                raise home_folder.not_writable(self._home, error) from error
            try:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say("waiting for another command that sets up, starts or stops this stack")
                    fcntl.flock(lock, fcntl.LOCK_EX)
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
            finally:
                os.close(lock)
