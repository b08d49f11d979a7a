"""What people at the dashboard ask of the bank: who is meant, anybody, and that an account be reinstated."""

import re
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from typing import ParamSpec, TypeVar

import mysql.connector

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.services.analytics.database_reader import USERS, connect_analytics, fetch
from fraudlab.services.stage import anybody, full_name
from fraudlab.settings import Settings

MATCHES = 8

P = ParamSpec("P")
T = TypeVar("T")


class BankError(Exception):
    """What was asked for cannot be done; the text says why, and what to do."""


def _says_why(ask: Callable[P, T]) -> Callable[P, T]:
    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(*args, **kwargs)
        except UserError as error:
            raise BankError(str(error)) from error
        except (mysql.connector.Error, OSError) as error:
            raise BankError(f"MySQL does not answer, nothing was done ({error}). Look at `fraudlab status`.") from error

    return asked


@_says_why
def find_users(settings: Settings, text: str) -> list[tuple[int, str, str, bool]]:
    """The first few users whose id or name is meant: id, name, home country and whether the account is stopped.

    Raises BankError where the bank cannot be asked.
    """
    text = text.strip()
    with closing(connect_analytics(settings)) as connection, closing(connection.cursor()) as cursor:
        if is_number(text):
            rows = fetch(cursor, USERS + "user_id = %s", int(text))
        else:
            escaped = "".join(f"\\{letter}" if letter in "%_\\" else letter for letter in text)
            query = USERS + f"CONCAT_WS(' ', first_name, last_name) LIKE %s LIMIT {MATCHES}"
            rows = fetch(cursor, query, f"%{escaped}%")
    return [(row[0], full_name(row), str(row[3] or ""), bool(row[4])) for row in rows]


def is_number(text: str) -> bool:
    """Whether the text is meant as a user's number: a few plain digits, not `²` or `٣`."""
    return re.fullmatch("[0-9]{1,18}", text) is not None


@_says_why
def random_user(settings: Settings) -> int | None:
    """Some user with a home country whose account is not stopped; None where there is none.

    Raises BankError where the bank cannot be asked.
    """
    with closing(connect_analytics(settings)) as connection, closing(connection.cursor()) as cursor:
        chosen = anybody(cursor)
    return chosen[0] if chosen else None


@_says_why
def reinstate(settings: Settings, user_id: int) -> bool:
    """Reinstates an account, as `fraudlab reinstate` does; gives whether it was stopped. Raises BankError where that fails."""
    return system.reinstate(settings, user_id)
