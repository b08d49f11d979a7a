"""A record of `transaction_mid`: reading it, and telling a malformed one by its reason."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import orjson

from fraudlab.pipeline.contracts import EUR_RATE_SCALE, FUTURE_TOLERANCE_MS, countries, eur_rates
from fraudlab.pipeline.history import Payment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RATES = eur_rates()
_COUNTRIES = {code: code.encode() for code in countries()}
_EARLIEST_MS, _LATEST_MS = 1_000, (2**31 - 1) * 1000 + 999
MOST_CHARACTERS = 200_000
"""So long a record may be. An activity repeats its profile, up to four bytes a character, and must fit into a record of 1 MiB."""
_AMOUNT = re.compile(r"[0-9]{1,10}\.[0-9]{2}")


class _Record(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A record of `transaction_mid` as the join writes it: decoded a third faster than into a dict, its fields checked meanwhile."""

    transaction_id: Annotated[int, msgspec.Meta(gt=0, le=2**63 - 1)]
    user_id: Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
    transaction_amount: str
    transaction_currency: str
    transaction_country: str
    transaction_time: Annotated[datetime, msgspec.Meta(tz=True)]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    user_first_name: str | None = None
    user_last_name: str | None = None
    user_email: str | None = None
    user_phone_number: str | None = None
    user_home_country: str | None = None
    user_suspicious_activity: bool | None = None
    transaction_type: str | None = None
    transaction_merchant: str | None = None


_decode = msgspec.json.Decoder(_Record).decode


class MalformedRecordError(ValueError):
    """A record that no transaction can be read from; its text is the reason, in words for whoever looks into `dead_letters`."""

    def __init__(self, reason: str, transaction_id: int | None = None) -> None:
        super().__init__(reason)
        self.transaction_id = transaction_id


def parse(value: str, max_age_ms: int) -> tuple[Payment, int, dict[str, Any]]:
    """As `read_payment`, and the whole record as third."""
    return *read_payment(value, max_age_ms), orjson.loads(value)


def read_payment(value: str, max_age_ms: int) -> tuple[Payment, int]:
    """Reads one record of `transaction_mid`.

    Args:
        value: The record's JSON text. Amounts are decimal strings: a JSON number would become a float.
        max_age_ms: How long after it happened the bank may store a payment.

    Returns:
        What the rule needs, and when the bank stored it in ms since the epoch.

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
        code = record.transaction_country
        country = _COUNTRIES.get(code) if type(code) is str else None
        if country is None:
            raise MalformedRecordError(f"unknown country: {_brief(code)}")
        cents = eur_cents(record.transaction_amount, record.transaction_currency)
        time_ms = round(record.transaction_time.timestamp() * 1000)
        created_ms = round(record.created_at.timestamp() * 1000)
        for field, moment_ms in (("transaction_time", time_ms), ("created_at", created_ms)):
            if not _EARLIEST_MS <= moment_ms <= _LATEST_MS:
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
    return Payment(time_ms, record.transaction_id, cents, country), created_ms


def _span(milliseconds: int) -> str:
    """`30 days`, `1 hour`, `90 s`: in the largest unit that gives a whole number."""
    for unit, name in ((86_400_000, "day"), (3_600_000, "hour")):
        count, rest = divmod(milliseconds, unit)
        if count and not rest:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{milliseconds // 1000} s"


def _decode_any(value: str) -> _Record:
    """A record of any other shape, or the reason why none can be read. Its country, amount and currency may be of any type."""
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise MalformedRecordError(f"not JSON: {error}") from None
    if type(fields) is not dict:
        raise MalformedRecordError("not a JSON object")
    values: dict[str, Any] = {name: fields.get(name) for name in _Record.__struct_fields__}
    transaction_id, user_id = values["transaction_id"], values["user_id"]
    if type(transaction_id) is not int or not 0 < transaction_id < 2**63:
        raise MalformedRecordError("transaction_id is not a positive integer")
    if type(user_id) is not int or not -(2**31) <= user_id < 2**31:
        raise MalformedRecordError("user_id is not an integer", transaction_id)
    for field in ("transaction_time", "created_at"):
        values[field] = _moment(field, values[field], transaction_id)
    return _Record(**values)


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


def _moment(field: str, value: object, transaction_id: int) -> datetime:
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type] # a TypeError is one of its answers
        if moment.tzinfo is None:
            raise ValueError("no time zone")
    except (TypeError, ValueError):
        reason = f"{field} is not an ISO 8601 time with a time zone: {_brief(value)}"
        raise MalformedRecordError(reason, transaction_id) from None
    return moment


def iso(time_ms: int) -> str:
    """A moment in ms since the epoch as ISO 8601 in UTC with milliseconds, `2026-01-31T12:00:00.123Z`."""
    return (_EPOCH + time_ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")
