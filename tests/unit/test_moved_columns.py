"""mysql-10: what cannot be a row of its table, because DDL that the connector skipped has moved columns."""

import re
from typing import Any

import orjson
import pytest

from fraudlab.pipeline.cdc import RouteByTable, wrong_column
from fraudlab.pipeline.contracts import MOVED

PAYMENT = {
    "transaction_id": 7,
    "user_id": 42,
    "amount": "12.50",
    "currency": "EUR",
    "type": "online",
    "country": "DE",
    "merchant": "kiosk",
    "transaction_time": "2026-11-27T06:35:20.123Z",
    "created_at": "2026-11-27T06:35:23.001Z",
}
PROFILE = {
    "user_id": 42,
    "first_name": "Ada",
    "home_country": "DE",
    "suspicious_activities": 0,
    "created_at": "2026-11-27T06:35:23Z",
}


def shifted(row: dict[str, Any], at: str, value: Any) -> dict[str, Any]:
    """A row as captured after a column with this value was inserted before column `at`, unnoticed."""
    names, values = list(row), list(row.values())
    values.insert(names.index(at), value)
    return dict(zip(names, values, strict=False))


@pytest.mark.parametrize("change", [{}, {"amount": None, "merchant": None}, {"transaction_time": None}, {"note": 1}])
def test_a_row_passes_also_with_nulls_and_columns_of_others(change: dict[str, Any]) -> None:
    assert wrong_column("transactions", PAYMENT | change) is None
    assert wrong_column("user_profile", PROFILE | {"home_country": None}) is None


@pytest.mark.parametrize("value", [None, 0, 5, "x", "12.50"])
@pytest.mark.parametrize("at", ["transaction_id", "user_id", "amount"])
def test_mysql_10_a_column_before_the_amount_is_noticed(at: str, value: Any) -> None:
    assert wrong_column("transactions", shifted(PAYMENT, at, value)) is not None


@pytest.mark.parametrize("at", ["currency", "type", "country", "merchant"])
def test_mysql_10_a_column_before_the_times_is_noticed(at: str) -> None:
    assert wrong_column("transactions", shifted(PAYMENT, at, "x")) is not None


@pytest.mark.parametrize("gone", ["user_id", "amount", "currency", "created_at", "transaction_time"])
def test_mysql_10_a_column_that_is_gone_is_noticed(gone: str) -> None:
    row = {name: value for name, value in PAYMENT.items() if name != gone}
    assert wrong_column("transactions", row) == gone


@pytest.mark.parametrize("at", list(PROFILE)[:-1])
def test_mysql_10_columns_of_the_profile_that_moved_are_noticed(at: str) -> None:
    assert wrong_column("user_profile", shifted(PROFILE, at, None)) is not None


def test_mysql_10_what_cannot_be_a_row_is_a_dead_letter_that_names_the_command() -> None:
    route = RouteByTable({"transactions": "x.transactions"})
    source = {"table": "transactions", "file": "binlog.000001", "pos": 5, "row": 0}
    envelope = {"op": "c", "before": None, "after": shifted(PAYMENT, "transaction_id", None), "source": source}
    (row,) = route.flat_map(orjson.dumps(envelope).decode())
    letter = orjson.loads(row[2])
    assert row[0] == "x.dead_letters"
    assert letter["reason"].startswith(MOVED)
    assert re.search("`fraudlab resnapshot`", letter["reason"])
