"""A client of the bank: opens accounts and pays, over a `mysql.connector` connection to the payment database.

The load comes from `data_generator`, which pays as a bank's own system does: in batches, and once whatever happens to the connection.
This is for one account and one payment at a time, in labs and tests.
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

REFUSED = "45000"
"""The SQLSTATE with which the database refuses a payment of a stopped account."""


def open_account(connection: Any, user_id: int, **fields: object) -> int:
    """Opens an account and returns its id. `fields` are columns of `user_profile`; the rest is Ada Lovelace's."""
    ada: dict[str, object] = {
        "user_id": user_id,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": f"ada.{user_id}@example.com",
        "phone_number": "+49 30 1234567",
        "home_country": "DE",
    }
    _insert(connection, "user_profile", ada | fields)
    return user_id


def pay(
    connection: Any,
    user_id: int,
    amount: str | None,
    currency: str,
    country: str | None,
    at: datetime | None = None,
    **fields: object,
) -> int:
    """Makes a payment, which happened at `at` or just now, and returns its id. `fields` are further columns of `transactions`.

    Raises `mysql.connector.Error`; its `sqlstate` is REFUSED if the account is stopped.
    """
    payment: dict[str, object] = {
        "user_id": user_id,
        "amount": amount,
        "currency": currency,
        "type": "online",
        "country": country,
        "merchant": "Books and more",
        "transaction_time": (at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None),
    }
    return _insert(connection, "transactions", payment | fields)


def _insert(connection: Any, table: str, row: Mapping[str, object]) -> int:
    places = ", ".join(["%s"] * len(row))
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))  # noqa: S608 - our own names
        return int(cursor.lastrowid or 0)
