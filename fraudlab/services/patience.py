"""Waiting for MySQL while it is away, as every service does."""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import mysql.connector
from mysql.connector import errorcode
from tenacity import RetryCallState, retry, retry_if_exception, stop_after_delay, wait_exponential

DATABASE_PATIENCE_S = 300
AGAIN = {errorcode.ER_LOCK_DEADLOCK, errorcode.ER_LOCK_WAIT_TIMEOUT}

P = ParamSpec("P")
T = TypeVar("T")


def patiently(log: logging.Logger) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Does the work again, with growing pauses, while the database is away or has chosen it to end a deadlock.

    The work must be idempotent, and open a connection anew after an error. What does not succeed within five minutes raises
    its last error.
    """

    def say_waiting(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("waiting for MySQL: %s", error)

    return retry(
        retry=retry_if_exception(_may_pass),
        wait=wait_exponential(multiplier=0.1, max=2),
        stop=stop_after_delay(DATABASE_PATIENCE_S),
        before_sleep=say_waiting,
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, mysql.connector.InterfaceError | mysql.connector.OperationalError):
        return True
    return isinstance(error, mysql.connector.Error) and error.errno in AGAIN
