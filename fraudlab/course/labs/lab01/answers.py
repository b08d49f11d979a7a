"""Answers to Lab 01, The data generator: right and wrong ones. Only tests and `fraudlab course check` load them."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab01.checks import Labels, Paid, Row, Theft

# 01.1

_LABELS = Labels(stolen_payments=123, robbed_accounts=26, payments_of_robbed=412, scenarios=3, users=300)

ROBBED = Answers(
    right=[Example((26.0,), _LABELS), Example((Decimal(26),), _LABELS)],
    wrong=[
        Example((123,), _LABELS, "stolen_payments"),
        Example((412,), _LABELS, "payments_of_robbed"),
        Example((3,), _LABELS, "kinds_of_fraud"),
        Example((300,), _LABELS, "all_accounts"),
        Example((274,), _LABELS, "not_robbed"),
        Example((25,), _LABELS, "other_number"),
        Example(("many",), _LABELS, "unreadable"),
    ],
    mutants=False,
)


# 01.2

_NOON = datetime(2026, 1, 31, 12)


def _theft(*payments: tuple[int, str, str, str]) -> Theft:
    """Payments as (minutes after noon, country, amount, currency)."""
    return Theft(
        True,
        tuple(
            Paid(_NOON + timedelta(minutes=at), country, Decimal(amount), code)
            for at, country, amount, code in payments
        ),
    )


THEFT = Answers(
    right=[
        Example((1,), _theft((0, "DE", "999.99", "EUR"), (59, "FR", "0.01", "EUR"))),
        Example((1,), _theft((0, "US", "800.00", "USD"), (1, "GB", "100.00", "GBP"), (2, "DE", "400.00", "EUR"))),
        Example((1,), _theft((-300, "DE", "5.00", "EUR"), (0, "DE", "600.00", "EUR"), (30, "FR", "600.00", "EUR"))),
    ],
    wrong=[
        Example((1,), _theft((0, "DE", "600.00", "EUR"), (1, "DE", "600.00", "EUR")), "one_country"),
        Example((1,), _theft((0, "DE", "499.99", "EUR"), (1, "FR", "500.00", "EUR")), "too_little"),
        Example((1,), _theft((0, "DE", "20.00", "EUR"), (1, "JP", "2000.00", "JPY")), "not_in_eur"),
        Example((1,), _theft((0, "DE", "600.00", "EUR"), (60, "FR", "600.00", "EUR")), "flight"),
        Example(
            (1,),
            _theft((0, "DE", "600.00", "EUR"), (50, "FR", "1.00", "EUR"), (120, "FR", "600.00", "EUR")),
            "no_single_hour",
        ),
        Example((1,), _theft(), "no_payment"),
        Example((99,), Theft(False, ()), "no_such_account"),
    ],
    mutants=False,
)


# 01.3


def _right_by_keys(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    old, new = dict(before or {}), dict(after or {})
    return {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def _right_by_items(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    if before is None:
        return {name: (None, value) for name, value in (after or {}).items()}
    if after is None:
        return {name: (value, None) for name, value in before.items()}
    return {name: (value, after[name]) for name, value in before.items() if value != after[name]}


def _wrong_everything(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {name: ((before or {}).get(name), value) for name, value in (after or {}).items()}


def _wrong_new_only(before: Row, after: Row) -> dict[str, Any]:
    return {name: (value,) for name, value in (after or {}).items() if (before or {}).get(name) != value}


def _wrong_no_insert(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {
        name: (value, (after or {})[name]) for name, value in (before or {}).items() if value != (after or {})[name]
    }


def _wrong_no_delete(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return {n: ((before or {}).get(n), v) for n, v in (after or {}).items() if (before or {}).get(n) != v}


def _wrong_no_empty_answer(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    return _right_by_keys(before, after) or {name: (value, value) for name, value in (after or {}).items()}


def _wrong_no_null(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    changes = _right_by_keys(before, after)
    return {name: pair for name, pair in changes.items() if after is None or pair[1] is not None}


def _wrong_truthy(before: Row, after: Row) -> dict[str, tuple[Any, Any]]:
    pairs = {n: ((before or {}).get(n), (after or {}).get(n)) for n in {**(before or {}), **(after or {})}}
    return {n: (old or None, new) for n, (old, new) in pairs.items() if old != new}


CHANGES = Answers(
    right=[Example((_right_by_keys,)), Example((_right_by_items,))],
    wrong=[
        Example((_wrong_everything,), mistake="unchanged_columns"),
        Example((_wrong_new_only,), mistake="unchanged_columns"),
        Example((_wrong_no_insert,), mistake="insert_ignored"),
        Example((_wrong_no_delete,), mistake="delete_ignored"),
        Example((_wrong_no_empty_answer,), mistake="no_change"),
        Example((_wrong_no_null,), mistake="null_ignored"),
        Example((_wrong_truthy,), mistake="zero_as_missing"),
        Example((lambda before, after: None,), mistake="no_return"),
        Example((_right_by_keys(None, None),), mistake="unreadable"),
    ],
)

ANSWERS = {"01.1": ROBBED, "01.2": THEFT, "01.3": CHANGES}
