"""What a job with changeable rules reads: a record of the rules, and a payment. Both reject what they can't read without stopping a job."""

import json
from decimal import Decimal

from fraudlab.pipeline.history import Payment
from fraudlab.pipeline.rule import Rule
from fraudlab.pipeline.transaction import read_payment

MOST_EUR = 10_000_000
"""The largest threshold that makes sense; a larger number would not fit the state, and stop the job."""


def threshold_cents(record: str | None) -> int | None:
    """The threshold in cents of a rule such as `{"threshold_eur": 0.29}`; None if the record is not a rule.

    JSON numbers are read as decimals: as a float, 0.29 times 100 isn't 29.
    """
    try:
        eur = Decimal(str(json.loads(record or "", parse_float=Decimal)["threshold_eur"]))
        return int(eur * 100) if 0 <= eur <= MOST_EUR else None
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None


def payment_of(record: str) -> tuple[Payment, int]:
    """The payment in a record of `lab.keyed_transactions`, as the rule reads it, and its user."""
    payment, _, joined = read_payment(record.split(":", 2)[2], Rule().max_age_ms)
    return payment, joined.user_id
