"""An activity as the messages need it: every field checked before anything is claimed or sent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fraudlab.pipeline.records import MalformedRecordError, read_activity
from fraudlab.services.activity import known_by, user_and_time

MAX_TOTAL_EUR = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity with its times and amount parsed. Names, address and number are as the user gave them: they may hold anything."""

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
    transaction_ids: tuple[int, ...]


def parse(content: dict[str, Any]) -> Activity:
    """The activity in a record.

    Raises:
        MalformedRecordError: A field is missing or not as agreed.
    """
    user_id, known_at = user_and_time(content)
    record = read_activity(content)
    try:
        activity = Activity(
            activity_id=record.activity_id,
            user_id=user_id,
            transaction_id=record.transaction_id,
            known_by=known_by(content),
            known_at=known_at,
            window_end=datetime.fromisoformat(record.window_end).astimezone(UTC),
            first_name=record.user_first_name or "",
            last_name=record.user_last_name or "",
            email=record.user_email or "",
            phone_number=record.user_phone_number or "",
            total_eur=Decimal(record.total_amount_eur),
            countries=tuple(record.countries),
            transaction_ids=tuple(record.transaction_ids),
        )
        if not (1970 < known_at.year < 2038 and 1970 < activity.window_end.year < 9999):
            raise ValueError("a time that no payment can have")
        if not 0 <= activity.total_eur < MAX_TOTAL_EUR:  # false also for NaN
            raise ValueError(f"total_amount_eur is {activity.total_eur}")
    except (ValueError, ArithmeticError) as error:
        raise MalformedRecordError(f"not an activity: {error!r}") from None
    return activity
