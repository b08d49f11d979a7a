"""Waiting for a condition, with a deadline; never for a time."""

import os
from collections.abc import Callable
from typing import TypeVar

from fraudlab.clients.waiting import POLL_S, until

T = TypeVar("T")

PATIENCE = "FRAUDLAB_TEST_PATIENCE"
"""A factor in the environment that stretches every deadline of the tests, for a slow or busy machine."""
DEADLINE_S = 60.0


def patient(seconds: float) -> float:
    """A deadline, in any unit, stretched by the factor in the environment; as it is without one."""
    given = os.environ.get(PATIENCE, "").strip() or "1"
    try:
        factor = float(given)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(
            f"{PATIENCE} is {given!r}, which is not a factor above 0. Set it to 2, for example, or unset it."
        )
    return seconds * factor


def eventually(probe: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S, every_s: float = POLL_S) -> T:
    """Returns the first true value of `probe`; fails with `what` and the last value if there is none by the deadline.

    `patient` stretches the deadline.
    """
    deadline_s = patient(deadline_s)
    value = until(probe, deadline_s, every_s)
    if not value:
        raise AssertionError(f"Not within {deadline_s:.0f} s: {what}. Last seen: {value!r}")
    return value
