"""Waiting for a condition, with a deadline. What it means when the deadline passes is the caller's to say."""

from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, retry_if_not_result, stop_after_delay, wait_fixed

POLL_S = 0.1

T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]


def until(probe: Callable[[], T], deadline_s: float, every_s: float = POLL_S, *, despite: Errors = ()) -> T:
    """The first true value of `probe`, or the last value that it gave before the deadline.

    An error of the kinds in `despite` counts as "not yet", and is raised only if the last attempt ended with it.
    """
    return _repeat(probe, retry_if_not_result(bool) | retry_if_exception_type(despite), deadline_s, every_s)


def answered(ask: Callable[[], T], despite: Errors, deadline_s: float, every_s: float = 0.5) -> T:
    """What `ask` returns, true or not, as soon as it raises none of these errors. After the deadline it raises the last one."""
    return _repeat(ask, retry_if_exception_type(despite), deadline_s, every_s)


def _repeat(ask: Callable[[], T], again: Any, deadline_s: float, every_s: float) -> T:
    attempts = Retrying(
        retry=again,
        stop=stop_after_delay(deadline_s),
        wait=wait_fixed(every_s),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    return attempts(ask)
