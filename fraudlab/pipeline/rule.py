"""The rule that decides what is suspicious: a pure function of a user's history and one more payment."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes an hour suspicious.

    For every payment the rule looks at the user's payments in `(t - window_ms, t]`, where `t` is its event time. They are
    suspicious when they come from at least `min_countries` countries and total at least `threshold_eur_cents`.
    A payment is too late when the user already has one more than `allowed_lateness_ms` after it.
    """

    window_ms: int = 3_600_000
    min_countries: int = 2
    threshold_eur_cents: int = 100_000
    allowed_lateness_ms: int = 1_800_000

    @property
    def retention_ms(self) -> int:
        """How long before the user's latest payment an earlier one can still matter."""
        return self.window_ms + self.allowed_lateness_ms


class Payment(NamedTuple):
    """What the rule needs to know of a transaction. `country` is ISO 3166-1 alpha-2 in ASCII bytes, as the history stores it."""

    time_ms: int
    transaction_id: int
    amount_eur_cents: int
    country: bytes


class SuspiciousHour(NamedTuple):
    """The window that ends with `transaction_id` at `end_ms` and meets the rule; its payments in order of event time."""

    transaction_id: int
    start_ms: int
    end_ms: int
    total_eur_cents: int
    countries: tuple[bytes, ...]
    transaction_ids: tuple[int, ...]


class Arrival(Enum):
    """What became of a payment that was shown to the rule."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    TOO_LATE = "too late"


class Verdict(NamedTuple):
    """The history afterwards, what became of the payment, and the hours that are to be raised now."""

    history: bytes
    arrival: Arrival
    hours: tuple[SuspiciousHour, ...]


# A history is a header (event time of the user's latest payment, highest transaction id seen) and the retained payments,
# each with whether its hour was raised, sorted by event time and id. Packed, because one value crosses to Flink's state a payment.
_HEADER = struct.Struct("<qq")
_ENTRY = struct.Struct("<qqq2s?")
_Entry = tuple[int, int, int, bytes, bool]


def judge(rule: Rule, history: bytes, payment: Payment, *, raisable: bool = True) -> Verdict:
    """Shows one payment to the rule.

    Args:
        rule: The rule.
        history: What `judge` returned for the user's previous payment; `b""` for the first.
        payment: The payment, in the order in which the bank took the user's payments, which need not be that of event time.
        raisable: Whether an activity can be raised now. While the user's profile is unknown it cannot: the payment counts, and
            its hour is raised when the same payment is shown again with `raisable` set.

    Returns:
        The new history and the hours to raise. Over any sequence of calls each payment's hour is raised at most once, and exactly
        once as soon as it meets the rule. A duplicate and a payment that is too late leave the retained payments as they are.
    """
    entries: list[_Entry] = list(_ENTRY.iter_unpack(memoryview(history)[_HEADER.size :])) if history else []
    latest_ms, latest_id = _HEADER.unpack_from(history) if history else (payment.time_ms, payment.transaction_id - 1)
    time_ms, transaction_id = payment.time_ms, payment.transaction_id

    if transaction_id <= latest_id:
        known = next((entry for entry in entries if entry[1] == transaction_id), None)
        if known is None and (time_ms < latest_ms - rule.allowed_lateness_ms):
            return Verdict(history, Arrival.DUPLICATE, ())
        if known is not None:
            if known[4] or not raisable:
                return Verdict(history, Arrival.DUPLICATE, ())
            hours, entries = _raise(rule, entries, known[0], known[0], only=transaction_id)
            return Verdict(_pack(latest_ms, latest_id, entries) if hours else history, Arrival.DUPLICATE, hours)
    elif time_ms < latest_ms - rule.allowed_lateness_ms:
        return Verdict(_HEADER.pack(latest_ms, transaction_id) + history[_HEADER.size :], Arrival.TOO_LATE, ())

    latest_ms, latest_id = max(latest_ms, time_ms), max(latest_id, transaction_id)
    horizon_ms = latest_ms - rule.retention_ms
    expired = 0
    while expired < len(entries) and entries[expired][0] <= horizon_ms:
        expired += 1
    entry: _Entry = (*payment, False)
    in_order = len(entries) == expired or (time_ms, transaction_id) > entries[-1][:2]
    if in_order and not _could_meet(rule, entries[expired:], entry):
        kept = history[_HEADER.size + expired * _ENTRY.size :]
        return Verdict(_HEADER.pack(latest_ms, latest_id) + kept + _ENTRY.pack(*entry), Arrival.COUNTED, ())

    entries = entries[expired:]
    entries.append(entry)
    entries.sort(key=lambda item: item[:2])
    hours: tuple[SuspiciousHour, ...] = ()
    if raisable:
        hours, entries = _raise(rule, entries, time_ms, time_ms + rule.window_ms - 1)
    return Verdict(_pack(latest_ms, latest_id, entries), Arrival.COUNTED, hours)


def _could_meet(rule: Rule, entries: list[_Entry], entry: _Entry) -> bool:
    return len({item[3] for item in entries} | {entry[3]}) >= rule.min_countries


def _raise(
    rule: Rule, entries: list[_Entry], from_ms: int, to_ms: int, only: int | None = None
) -> tuple[tuple[SuspiciousHour, ...], list[_Entry]]:
    hours: list[SuspiciousHour] = []
    for index, (end_ms, transaction_id, cents, country, raised) in enumerate(entries):
        if raised or not from_ms <= end_ms <= to_ms or only not in (None, transaction_id):
            continue
        window = [item for item in entries if end_ms - rule.window_ms < item[0] <= end_ms]
        countries = {item[3] for item in window}
        total = sum(item[2] for item in window)
        if len(countries) >= rule.min_countries and total >= rule.threshold_eur_cents:
            hours.append(
                SuspiciousHour(
                    transaction_id,
                    end_ms - rule.window_ms,
                    end_ms,
                    total,
                    tuple(sorted(countries)),
                    tuple(item[1] for item in window),
                )
            )
            entries[index] = (end_ms, transaction_id, cents, country, True)
    return tuple(hours), entries


def _pack(latest_ms: int, latest_id: int, entries: Iterable[_Entry]) -> bytes:
    return _HEADER.pack(latest_ms, latest_id) + b"".join(_ENTRY.pack(*entry) for entry in entries)


def expires_at_ms(rule: Rule, history: bytes) -> int:
    """Event time, in ms, from which on none of the history's payments can matter to a payment that is not too late."""
    latest_ms: int = _HEADER.unpack_from(history)[0]
    return latest_ms + rule.retention_ms


def without_payments(history: bytes) -> bytes:
    """The history with its payments dropped: 16 bytes a user, which still tell late payments and duplicates from new ones."""
    return history[: _HEADER.size]
