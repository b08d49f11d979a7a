"""An activity as the messages need it: every field checked before anything is claimed or sent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fraudlab.services.activity import known_by, user_and_time
from fraudlab.services.consumer import MalformedRecordError

MAX_INT, MAX_BIGINT = 2**31 - 1, 2**63 - 1
MAX_ACTIVITY_ID = 64
MAX_TOTAL_EUR = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Activity:
    """A record of `suspicious_activities`. Names, address and number are as the user gave them: they may hold anything."""

    activity_id: str
    user_id: int
    transaction_id: int
    known_by: int | None
    """The payment with which it became known."""
    known_at: datetime
    """By the bank's clock; UTC without a time zone, as MySQL takes it."""
    window_end: datetime
    first_name: str
    last_name: str
    email: str
    phone_number: str
    total_eur: Decimal
    countries: tuple[str, ...]
    transaction_count: int
    transaction_ids: tuple[int, ...]
    """Of the latest payments, where there are many."""


def parse(record: dict[str, Any]) -> Activity:
    """The activity in a record.

    Raises:
        MalformedRecordError: A field is missing or not as agreed.
    """
    user_id, known_at = user_and_time(record)
    try:
        activity = Activity(
            activity_id=_text(record["activity_id"]),
            user_id=user_id,
            transaction_id=_integer(record["transaction_id"]),
            known_by=known_by(record),
            known_at=known_at,
            window_end=datetime.fromisoformat(record["window_end"]).astimezone(UTC),
            first_name=_text(record["user_first_name"] or ""),
            last_name=_text(record["user_last_name"] or ""),
            email=_text(record["user_email"] or ""),
            phone_number=_text(record["user_phone_number"] or ""),
            total_eur=Decimal(_text(record["total_amount_eur"])),
            countries=tuple(map(_text, record["countries"])),
            transaction_count=_integer(record["transaction_count"]),
            transaction_ids=tuple(map(_integer, record["transaction_ids"])),
        )
        if not (1970 < known_at.year < 2038 and 1970 < activity.window_end.year < 9999):
            raise ValueError("a time that no payment can have")
        if not (-MAX_INT - 1 <= user_id <= MAX_INT and 0 < len(activity.activity_id) <= MAX_ACTIVITY_ID):
            raise ValueError("user_id or activity_id is too large")
        if not 0 <= activity.total_eur < MAX_TOTAL_EUR:  # false also for NaN
            raise ValueError(f"total_amount_eur is {activity.total_eur}")
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise MalformedRecordError(f"not an activity: {error!r}") from None
    return activity


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is not a text")
    return value


def _integer(value: object) -> int:
    if type(value) is not int or abs(value) > MAX_BIGINT:
        raise TypeError(f"{value!r:.80} is not an integer")
    return value
