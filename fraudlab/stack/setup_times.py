"""Records how long each step of the set-up took. Standard library only: the set-up uses it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class SetupTimes:
    """Seconds by step in `<home>/setup-times.json`; a step is there only when it was really done. Thread-safe."""

    def __init__(self, home: Path) -> None:
        self._path = home / "setup-times.json"
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Begin a new run."""
        self._write({})

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; one that raises is not recorded."""
        began = time.monotonic()
        yield
        with self._lock:
            self._write({**self.read(), name: round(time.monotonic() - began, 2)})

    def read(self) -> dict[str, float]:
        """Seconds by step of the last run."""
        if not self._path.exists():
            return {}
        seconds: dict[str, float] = json.loads(self._path.read_text(encoding="utf-8"))
        return seconds

    def _write(self, seconds: dict[str, float]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")
