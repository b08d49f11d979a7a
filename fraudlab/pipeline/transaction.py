"""Reading a record of `transaction_mid`: what the rule needs of it, or the reason why it is malformed."""

import re
import time
from datetime import datetime
from typing import Any

import msgspec
import orjson

from fraudlab.pipeline.contracts import EUR_RATE_SCALE, FUTURE_TOLERANCE_MS, countries, eur_rates
from fraudlab.pipeline.history import Payment
from fraudlab.pipeline.records import JoinedTransaction, MalformedRecordError, moment

_RATES = eur_rates()
_COUNTRIES = {code: code.encode() for code in countries()}
_EARLIEST_MS, _LATEST_MS = 1_000, (2**31 - 1) * 1000 + 999
MOST_CHARACTERS = 200_000
"""So long a record may be. An activity repeats its profile, up to four bytes a character, and must fit into a record of 1 MiB."""
_AMOUNT = re.compile(r"[0-9]{1,10}\.[0-9]{2}")

_TEXT = r'(?:null|"[^"\\\x00-\x1f\ud800-\udfff]*+")'
_TIME = r'"(20(?:[0-2][0-9]|3[0-7])-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,3})?Z)"'
_REGULAR_FIELDS = {
    "transaction_id": "([1-9][0-9]{0,17})",
    "user_id": "(?:0|-?[1-9][0-9]{0,8})",
    "user_suspicious_activity": "(?:null|true|false)",
    "transaction_amount": r'"([0-9]{1,7})\.([0-9]{2})"',
    "transaction_currency": '"([A-Z]{3})"',
    "transaction_country": '"([A-Z]{2})"',
    "transaction_time": _TIME,
    "created_at": _TIME,
}
REGULAR = (
    r"\{"
    + ",".join(f'"{name}":{_REGULAR_FIELDS.get(name, _TEXT)}' for name in JoinedTransaction.__struct_fields__)
    + r"\}"
)
"""The form of nearly all records, as a regular expression for Python and Java. Its groups are the id, the amount before and after the
point, currency, country, event time and `created_at`. Such a record `read_payment` accepts unless one of these is out of its range, so
`java/PaymentsAtHome.java` can read it. A record of any other form may be as good, but only Python can tell."""

_decode = msgspec.json.Decoder(JoinedTransaction).decode
_read_time = datetime.fromisoformat


def read_payment(value: str, max_age_ms: int) -> tuple[Payment, int, JoinedTransaction]:
    """Reads one record of `transaction_mid`.

    Args:
        value: The record's JSON text. Amounts are decimal strings: a JSON number would become a float.
        max_age_ms: How long after it happened the bank may store a payment.

    Returns:
        What the rule needs, when the bank stored it in ms since the epoch, and the whole record. Its fields that are not checked here
        (the profile, type and merchant) are as the record has them, whatever their type.

    Raises:
        MalformedRecordError: It is not a JSON object, lacks a field, or a field is out of its range.
    """
    if len(value) > MOST_CHARACTERS:
        raise MalformedRecordError(f"longer than {MOST_CHARACTERS} characters")
    try:
        record = _decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        record = _decode_any(value)
    try:
        happened = _read_time(record.transaction_time)
        stored = _read_time(record.created_at)
    except (TypeError, ValueError):
        raise _wrong_time(record) from None
    if happened.tzinfo is None or stored.tzinfo is None:
        raise _wrong_time(record)
    try:
        code = record.transaction_country
        country = _COUNTRIES.get(code) if type(code) is str else None
        if country is None:
            raise MalformedRecordError(f"unknown country: {_brief(code)}")
        cents = eur_cents(record.transaction_amount, record.transaction_currency)
        time_ms, created_ms = round(happened.timestamp() * 1000), round(stored.timestamp() * 1000)
        if not (_EARLIEST_MS <= time_ms <= _LATEST_MS and _EARLIEST_MS <= created_ms <= _LATEST_MS):
            field = "created_at" if _EARLIEST_MS <= time_ms <= _LATEST_MS else "transaction_time"
            raise MalformedRecordError(f"{field} is no time that a TIMESTAMP of MySQL holds (1970 to 2038)")
        if not time_ms - FUTURE_TOLERANCE_MS <= created_ms <= time_ms + max_age_ms:
            raise MalformedRecordError(
                "transaction_time lies after created_at: a payment cannot be stored before it happens"
                if time_ms > created_ms
                else f"stored more than {_span(max_age_ms)} after it happened"
            )
        if created_ms > time.time_ns() // 1_000_000 + FUTURE_TOLERANCE_MS:
            raise MalformedRecordError("created_at lies in the future")
    except MalformedRecordError as error:
        error.transaction_id = record.transaction_id
        raise
    return Payment(time_ms, record.transaction_id, cents, country), created_ms, record


def _span(milliseconds: int) -> str:
    """`30 days`, `1 hour`, `90 s`: in the largest unit that gives a whole number."""
    for unit, name in ((86_400_000, "day"), (3_600_000, "hour")):
        count, rest = divmod(milliseconds, unit)
        if count and not rest:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{milliseconds // 1000} s"


def _decode_any(value: str) -> JoinedTransaction:
    """A record of any other shape, or the reason why none can be read. All fields but the ids may be of any type."""
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise MalformedRecordError(f"not JSON: {error}") from None
    if type(content) is not dict:
        raise MalformedRecordError("not a JSON object")
    values: dict[str, Any] = {name: content.get(name) for name in JoinedTransaction.__struct_fields__}
    transaction_id, user_id = values["transaction_id"], values["user_id"]
    if type(transaction_id) is not int or not 0 < transaction_id < 2**63:
        raise MalformedRecordError("transaction_id is not a positive integer")
    if type(user_id) is not int or not -(2**31) <= user_id < 2**31:
        raise MalformedRecordError("user_id is not an integer", transaction_id)
    return JoinedTransaction(**values)


def eur_cents(amount: object, currency: object) -> int:
    """A payment's worth in EUR cents, rounded half up, by the table that ships with the project.

    Args:
        amount: A decimal string as MySQL writes a DECIMAL(12,2): `"12.30"`, positive, two decimals, at most ten digits before them.
        currency: An ISO 4217 code of the table.

    Raises:
        MalformedRecordError: Either is missing, unknown or out of its range.
    """
    rate = _RATES.get(currency) if type(currency) is str else None
    if rate is None:
        raise MalformedRecordError(f"unknown currency: {_brief(currency)}")
    hundredths = int(amount[:-3] + amount[-2:]) if type(amount) is str and _AMOUNT.fullmatch(amount) else 0
    if hundredths == 0:
        raise MalformedRecordError(
            f"transaction_amount is not a decimal string from 0.01 to 9999999999.99: {_brief(amount)}"
        )
    return (2 * hundredths * rate + EUR_RATE_SCALE) // (2 * EUR_RATE_SCALE)


def _brief(value: object) -> str:
    return f"{value!r:.60}"


def _wrong_time(record: JoinedTransaction) -> MalformedRecordError:
    """The error for a record whose times are not both times."""
    for field in ("transaction_time", "created_at"):
        value = getattr(record, field)
        try:
            moment(value)
        except (TypeError, ValueError):
            break
    return MalformedRecordError(
        f"{field} is not an ISO 8601 time with a time zone: {_brief(value)}", record.transaction_id
    )
