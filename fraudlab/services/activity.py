"""What every consumer reads of an activity, checked."""

from datetime import UTC, datetime
from typing import Any

from fraudlab.services.consumer import MalformedRecordError


def user_and_time(activity: dict[str, Any]) -> tuple[int, datetime]:
    """The user's id, and when the activity became known by the bank's clock: UTC without a time zone, as MySQL takes it.

    Raises:
        MalformedRecordError: One of them is missing or not as agreed.
    """
    try:
        user_id, known_at = activity["user_id"], datetime.fromisoformat(activity["created_at"])
        if known_at.tzinfo is None:
            raise ValueError("created_at has no time zone")
        known_at = known_at.astimezone(UTC).replace(tzinfo=None)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedRecordError(f"not an activity: {error!r}") from None
    if type(user_id) is not int:
        raise MalformedRecordError("not an activity: user_id is not an integer")
    return user_id, known_at


def known_by(activity: dict[str, Any]) -> int | None:
    """The payment that made an activity known: the activity belongs to its episode.

    An activity of an earlier version does not name it, and its own payment is used; None if it has neither.

    Raises:
        MalformedRecordError: It is not an integer that the database could have assigned.
    """
    payment = activity.get("known_by", activity.get("transaction_id"))
    if payment is not None and (type(payment) is not int or abs(payment) >= 2**63):
        raise MalformedRecordError("not an activity: known_by is not the id of a payment")
    return payment
