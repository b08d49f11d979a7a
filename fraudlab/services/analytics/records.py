"""What the dashboard takes from the topics, parsed; what cannot be read is left to those whose work it is."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Activity:
    """A record of `suspicious_activities`. `arrived_ms` is the broker's time; times in ms since the epoch."""

    activity_id: str
    transaction_id: int
    user_id: int
    name: str
    countries: tuple[str, ...]
    total_eur: Decimal
    transaction_ids: tuple[int, ...]
    committed_ms: int
    arrived_ms: int

    @property
    def latency_ms(self) -> int:
        """From the commit of the payment that made it known to its arrival in Kafka."""
        return self.arrived_ms - self.committed_ms


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of `dead_letters`: what could not be used, and why."""

    dead_letter_id: str
    reason: str
    topic: str
    arrived_ms: int


def activity(value: bytes | None, arrived_ms: int) -> Activity | None:
    """An activity; None of what is none."""
    try:
        record = _object(value)
        return Activity(
            activity_id=str(record["activity_id"]),
            transaction_id=_id(record["transaction_id"]),
            user_id=_id(record["user_id"]),
            name=" ".join(str(record[each]) for each in ("user_first_name", "user_last_name") if record.get(each)),
            countries=tuple(str(each) for each in record["countries"]),
            total_eur=Decimal(record["total_amount_eur"]),
            transaction_ids=tuple(_id(each) for each in record["transaction_ids"]),
            committed_ms=epoch_ms(datetime.fromisoformat(record["created_at"])),
            arrived_ms=arrived_ms,
        )
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return None


def dead_letter(value: bytes | None, place: str, arrived_ms: int) -> DeadLetter:
    """A dead letter; of what is none, one that says so. `place` is `topic-partition-offset`."""
    try:
        record = _object(value)
    except (TypeError, ValueError):
        return DeadLetter(place, "not a dead letter", place, arrived_ms)
    return DeadLetter(
        str(record.get("dead_letter_id") or place),
        str(record.get("reason") or "no reason given"),
        str(record.get("topic") or ""),
        arrived_ms,
    )


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since the epoch. Raises ValueError for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment}")
    return round(moment.timestamp() * 1000)


def _object(value: bytes | None) -> dict[str, Any]:
    loaded = orjson.loads(value or b"")
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    return loaded


def _id(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"not an id: {value!r}")
    return value
