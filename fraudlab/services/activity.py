"""What every consumer reads of an activity, checked. The flagger needs no more: it stops an account whatever is wrong with the rest."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from fraudlab.pipeline.records import MalformedRecordError, PaymentId, UserId, moment


def user_and_time(activity: dict[str, Any]) -> tuple[int, datetime]:
    """The user's id, and when the activity became known by the bank's clock: UTC without a time zone, as MySQL takes it.

    Raises:
        MalformedRecordError: One of them is missing or not as agreed.
    """
    try:
        known_at = moment(activity["created_at"]).astimezone(UTC).replace(tzinfo=None)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedRecordError(f"not an activity: created_at: {error!r}") from None
    return _converted(activity, "user_id", UserId), known_at


def known_by(activity: dict[str, Any]) -> int | None:
    """The payment that made an activity known: the activity belongs to its episode.

    An activity of an earlier version does not name it, and its own payment is used; None if it has neither.

    Raises:
        MalformedRecordError: It is not an integer that the database could have assigned.
    """
    field = "known_by" if "known_by" in activity else "transaction_id"
    return None if activity.get(field) is None else _converted(activity, field, PaymentId)


def _converted(activity: dict[str, Any], field: str, kind: Any) -> int:
    try:
        value: int = msgspec.convert(activity[field], kind)
    except (KeyError, msgspec.ValidationError) as error:
        raise MalformedRecordError(f"not an activity: {field}: {error}") from None
    return value
