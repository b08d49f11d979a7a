"""What the dashboard takes from the topics, parsed; what cannot be read is left to those whose work it is."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from fraudlab.pipeline.records import epoch_ms, read_activity


@dataclass(frozen=True, slots=True)
class Activity:
    """What is shown of a record of `suspicious_activities`. `arrived_ms` is the broker's time; times in ms since the epoch."""

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
        record = read_activity(value)
        return Activity(
            activity_id=record.activity_id,
            transaction_id=record.transaction_id,
            user_id=record.user_id,
            name=" ".join(filter(None, (record.user_first_name, record.user_last_name))),
            countries=tuple(record.countries),
            total_eur=Decimal(record.total_amount_eur),
            transaction_ids=tuple(record.transaction_ids),
            committed_ms=epoch_ms(record.created_at),
            arrived_ms=arrived_ms,
        )
    except (ValueError, InvalidOperation):
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


def _object(value: bytes | None) -> dict[str, Any]:
    loaded = orjson.loads(value or b"")
    if not isinstance(loaded, dict):
        raise TypeError("not a JSON object")
    return loaded
