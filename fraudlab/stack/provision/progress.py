"""What the set-up says while it works: a line for each step, and for long ones megabytes and seconds."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]

LINE_EVERY_S = 5
"""Where the output is no terminal; on one the line is redrawn every half second."""


def say(line: str) -> None:
    """One line of progress."""
    clear = "\r\x1b[K" if sys.stdout.isatty() else ""
    print(f"{clear}  {line}\n", end="", flush=True)  # in one piece: two threads may speak at once


def written_mb(pid: int) -> int:
    """How many megabytes a running process has written so far; 0 if that cannot be known."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
        return int(dict(line.split(": ") for line in lines)["wchar"]) // 1_000_000
    except (OSError, KeyError, ValueError):
        return 0


class Ticker:
    """Shows how far the parts of the set-up are that run at the same time. Each part is a function that says it in a few words."""

    def __init__(self) -> None:
        self._parts: dict[str, Callable[[], str]] = {}
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def show(self, name: str, so_far: Callable[[], str]) -> None:
        """Show a part from now on."""
        self._parts = {**self._parts, name: so_far}

    def hide(self, name: str) -> None:
        """Show a part no longer: it is done."""
        self._parts = {part: so_far for part, so_far in self._parts.items() if part != name}

    def _tick(self) -> None:
        is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        while not self._ended.wait(0.5 if is_terminal else LINE_EVERY_S):
            parts = ", ".join(f"{name} {so_far()}" for name, so_far in self._parts.items())
            if parts:
                line = f"  {time.monotonic() - self._began:3.0f} s: {parts}"
                print(f"\r\x1b[K{line}" if is_terminal else line, end="" if is_terminal else "\n", flush=True)
        if is_terminal:
            print("\r\x1b[K", end="", flush=True)
