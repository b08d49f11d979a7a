"""Waiting for a condition, with a deadline; never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 60.0
POLL_S = 0.1


def eventually(probe: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first true value that `probe` gives; fails with `what` and the last value when none comes in time."""
    deadline = time.monotonic() + deadline_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {deadline_s:.0f} s: {what}. Last seen: {value!r}")
        time.sleep(POLL_S)
    return value
