"""The bank: its tables, and payments."""

import time
from typing import Any

import pandas as pd

from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError


def query(workspace: Workspace, statement: str, *values: object) -> pd.DataFrame:
    """Runs a SELECT in MySQL. Each `%s` in the statement is replaced with one of the values.

    Returns:
        The rows, one column per column of the query.

    Example:
        lab.query("SELECT country, COUNT(*) AS payments FROM transactions WHERE user_id = %s GROUP BY country", ada)
    """
    return pd.DataFrame(workspace.rows(statement, *values))


def table(workspace: Workspace, name: str, last: int = 5) -> pd.DataFrame:
    """Shows the newest rows of a table in your database.

    Raises:
        UserError: There is no such table.

    Example:
        lab.table("transactions", last=3)
    """
    columns = query(
        workspace,
        "SELECT column_name AS name, column_key AS part FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        name,
    )
    if columns.empty:
        known = query(
            workspace,
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1",
        )
        raise UserError(f"There is no table {name!r}.", f"Tables: {', '.join(known['name'])}.")
    keys = columns.loc[columns["part"] == "PRI", "name"].tolist() or columns["name"].tolist()[:1]
    # The table's own name and columns, as the database just gave them: nothing here was typed by anybody.
    order = ", ".join(f"`{key}` DESC" for key in keys)
    return query(workspace, f"SELECT * FROM `{name}` ORDER BY {order} LIMIT %s", last)  # noqa: S608


def generate(
    workspace: Workspace, /, *, payments: int, users: int, seed: int, rate: float = 0, **options: Any
) -> pd.DataFrame:
    """Makes payments with the data generator. The same seed and options make the same payments.

    Args:
        payments: How many payments.
        users: How many customers the bank has. Missing ones are added.
        seed: Any whole number.
        rate: Payments per second, made now. 0 makes a history as fast as possible; it ends an hour ago.
        options: For a history, `hours` (its length) and `frauds` (about how many); other fields of
            `data_generator.StreamOptions`.

    Returns:
        How many payments were tried, inserted and declined.

    Example:
        lab.generate(payments=3000, users=300, seed=7, hours=6, frauds=30)
    """
    report = workspace.generate(payments=payments, users=users, seed=seed, rate=rate, **options)
    counts = [(name, report[name]) for name in ("tried", "inserted", "declined") if name in report]
    return pd.DataFrame(counts, columns=["payments", "count"])


def pay_until_refused(
    workspace: Workspace,
    user_id: int,
    amount: str = "9.50",
    currency: str = "EUR",
    country: str = "DE",
    most: int = 500,
) -> pd.DataFrame:
    """Pays again and again until the bank refuses, at most `most` times.

    Returns:
        A row per payment, with the milliseconds since the first one and the bank's answer.

    Example:
        lab.pay_until_refused(mallory)
    """
    began, rows = time.monotonic(), []
    for number in range(1, most + 1):
        answer = workspace.pay(user_id, amount, currency, country)
        rows.append((number, round((time.monotonic() - began) * 1000), "refused" if answer.refused else "stored"))
        if answer.refused:
            break
    return pd.DataFrame(rows, columns=["payment", "after (ms)", "answer"])
