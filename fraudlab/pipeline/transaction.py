"""A record of `transaction_mid`: reading it, and telling a malformed one by its reason."""

import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from fraudlab.pipeline.contracts import EUR_RATE_SCALE, FUTURE_TOLERANCE_MS, MAX_AMOUNT_HUNDREDTHS, countries, eur_rates
from fraudlab.pipeline.rule import Payment

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)
_RATES = eur_rates()
_COUNTRIES = {code: code.encode() for code in countries()}


class MalformedRecordError(ValueError):
    """A record that no transaction can be read from; its text is the reason, in words for whoever looks into `dead_letters`."""

    def __init__(self, reason: str, transaction_id: int | None = None) -> None:
        super().__init__(reason)
        self.transaction_id = transaction_id


def parse(value: str) -> tuple[Payment, dict[str, Any]]:
    """Reads one record of `transaction_mid`.

    Args:
        value: The record's JSON text. Amounts are decimal strings: a JSON number would become a float.

    Returns:
        What the rule needs, and the whole record.

    Raises:
        MalformedRecordError: It is not a JSON object, lacks a field, or a field is out of its range.
    """
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise MalformedRecordError(f"not JSON: {error}") from None
    if type(record) is not dict:
        raise MalformedRecordError("not a JSON object")
    transaction_id = record.get("transaction_id")
    if type(transaction_id) is not int or not 0 < transaction_id < 2**63:
        raise MalformedRecordError("transaction_id is not a positive integer")
    try:
        if type(record.get("user_id")) is not int:
            raise MalformedRecordError("user_id is not an integer")
        country = record.get("transaction_country")
        if country not in _COUNTRIES:
            raise MalformedRecordError(f"unknown country: {country!r}")
        time_ms = _time_ms(record, "transaction_time")
        created_ms = _time_ms(record, "created_at")
        if time_ms > created_ms + FUTURE_TOLERANCE_MS:
            raise MalformedRecordError("transaction_time lies after created_at: a payment cannot be stored before it happens")
        if created_ms > time.time_ns() // 1_000_000 + FUTURE_TOLERANCE_MS:
            raise MalformedRecordError("created_at lies in the future")
        cents = eur_cents(record.get("transaction_amount"), record.get("transaction_currency"))
    except MalformedRecordError as error:
        error.transaction_id = transaction_id
        raise
    return Payment(time_ms, transaction_id, cents, _COUNTRIES[country]), record


def eur_cents(amount: object, currency: object) -> int:
    """A payment's worth in EUR cents, rounded half up, by the table that ships with the project.

    Args:
        amount: A decimal string such as `"12.30"`, positive, with at most two decimals and ten digits before them.
        currency: An ISO 4217 code of the table.

    Raises:
        MalformedRecordError: Either is missing, unknown or out of its range.
    """
    rate = _RATES.get(currency) if isinstance(currency, str) else None
    if rate is None:
        raise MalformedRecordError(f"unknown currency: {currency!r}")
    if not isinstance(amount, str):
        raise MalformedRecordError(f"transaction_amount is not a decimal string: {amount!r}")
    try:
        hundredths_exact = Decimal(amount) * 100
        hundredths = int(hundredths_exact)
    except (InvalidOperation, ValueError, OverflowError):
        raise MalformedRecordError(f"transaction_amount is not a decimal number: {amount[:40]!r}") from None
    if hundredths != hundredths_exact or not 0 < hundredths <= MAX_AMOUNT_HUNDREDTHS:
        raise MalformedRecordError(f"transaction_amount is not between 0.01 and 9999999999.99: {amount[:40]!r}")
    return (2 * hundredths * rate + EUR_RATE_SCALE) // (2 * EUR_RATE_SCALE)


def _time_ms(record: dict[str, Any], field: str) -> int:
    try:
        moment = datetime.fromisoformat(record[field])
        return (moment - _EPOCH) // _MILLISECOND
    except (KeyError, TypeError, ValueError):
        raise MalformedRecordError(f"{field} is not an ISO 8601 time with a time zone: {record.get(field)!r:.60}") from None


def iso(time_ms: int) -> str:
    """A moment in ms since the epoch as ISO 8601 in UTC with milliseconds, `2026-01-31T12:00:00.123Z`."""
    return (_EPOCH + time_ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")
