"""The rule that decides what is suspicious: a pure function of a user's history and one more payment."""

import struct
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes an hour suspicious.

    For every payment the rule looks at the user's payments in `(t - window_ms, t]`, where `t` is its event time. They are
    suspicious when they come from at least `min_countries` countries and total at least `threshold_eur_cents`.
    A payment is too late when the user already has one more than `allowed_lateness_ms` after it, or when the bank stored it more
    than `max_age_ms` after it happened. What is found about a user whose profile is unknown waits `profile_patience_ms` for it.
    """

    window_ms: int = 3_600_000
    min_countries: int = 2
    threshold_eur_cents: int = 100_000
    allowed_lateness_ms: int = 1_800_000
    max_age_ms: int = 30 * 86_400_000
    profile_patience_ms: int = 600_000

    @property
    def retention_ms(self) -> int:
        """How long before the user's latest payment an earlier one can still matter."""
        return self.window_ms + self.allowed_lateness_ms

    @property
    def quiet_ms(self) -> int:
        """How long after a user's latest payment, on the bank's clock, none that is still to come can reach back to it."""
        return self.max_age_ms + self.window_ms


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


# A history is a header (event time of the user's latest payment, highest transaction id seen, highest id forgotten, the country of
# all retained payments if it is one) and the retained payments, each with whether its hour was raised, sorted by event time and id.
# Packed: one value a payment crosses to Flink's state.
_HEADER = struct.Struct("<qqq2s")
_SEVERAL = b"\0\0"
_ENTRY = struct.Struct("<qqq2s?")
_TIME = struct.Struct("<q")
_COUNTRY_OFFSET = 24
_Entry = tuple[int, int, int, bytes, bool]


def judge(rule: Rule, history: bytes, payment: Payment) -> Verdict:
    """Shows one payment to the rule.

    Args:
        rule: The rule.
        history: What `judge` returned for the user's previous payment; `b""` for the first.
        payment: The payment, in the order in which the bank took the user's payments, which need not be that of event time.

    Returns:
        The new history and the hours to raise. Over any sequence of calls each payment's hour is raised exactly once, as soon as it
        meets the rule. A duplicate and a payment that is too late change nothing but the highest id seen.

        A payment that is too late *and* has a lower id than one seen before cannot be told from a duplicate and counts as one: the
        bank would have to commit two payments of one user at the same moment in the other order, one of them long past.
    """
    time_ms, transaction_id, cents, country = payment
    latest_ms, latest_id, forgotten_id, home = (
        _HEADER.unpack_from(history) if history else (time_ms - 1, transaction_id - 1, 0, country)
    )
    too_late = time_ms < latest_ms - rule.allowed_lateness_ms
    if transaction_id <= latest_id:
        if too_late or transaction_id <= forgotten_id or any(entry[1] == transaction_id for entry in _unpack(history)):
            return Verdict(history, Arrival.DUPLICATE, ())
    elif too_late:
        header = _HEADER.pack(latest_ms, transaction_id, forgotten_id, home)
        return Verdict(header + history[_HEADER.size :], Arrival.TOO_LATE, ())

    comes_last = time_ms > latest_ms
    latest_ms, latest_id = time_ms if comes_last else latest_ms, max(latest_id, transaction_id)
    first = _first_retained(history, latest_ms - rule.retention_ms)
    if home != country:
        home = _home(history, first, country)
    header = _HEADER.pack(latest_ms, latest_id, forgotten_id, home)
    entry: _Entry = (time_ms, transaction_id, cents, country, False)
    if comes_last and not _meets(rule, history, first, home, payment):
        return Verdict(header + history[first:] + _ENTRY.pack(*entry), Arrival.COUNTED, ())
    entries = [*_unpack(history, first), entry]
    entries.sort(key=lambda item: item[:2])
    hours = _raise(rule, entries, time_ms, time_ms + rule.window_ms)
    return Verdict(header + b"".join(_ENTRY.pack(*one) for one in entries), Arrival.COUNTED, hours)


def _first_retained(history: bytes, horizon_ms: int) -> int:
    """Where in the history the payments after `horizon_ms` begin."""
    first = _HEADER.size
    while first < len(history) and _TIME.unpack_from(history, first)[0] <= horizon_ms:
        first += _ENTRY.size
    return first


def _home(history: bytes, first: int, country: bytes) -> bytes:
    """The country, if all retained payments come from it, too; otherwise `_SEVERAL`. Told from the packed entries alone."""
    retained = max(0, (len(history) - first) // _ENTRY.size)
    letters = history[first + _COUNTRY_OFFSET :: _ENTRY.size], history[first + _COUNTRY_OFFSET + 1 :: _ENTRY.size]
    return country if letters[0].count(country[0]) == retained == letters[1].count(country[1]) else _SEVERAL


def _meets(rule: Rule, history: bytes, first: int, home: bytes, payment: Payment) -> bool:
    """Whether the hour of a payment that comes last meets the rule. Nearly all are at home: those are told from the header alone."""
    if home != _SEVERAL and rule.min_countries > 1:
        return False
    start_ms = payment.time_ms - rule.window_ms
    total, countries = payment.amount_eur_cents, {payment.country}
    for time_ms, _, cents, paid_in, _ in _unpack(history, first):
        if time_ms > start_ms:
            total += cents
            countries.add(paid_in)
    return total >= rule.threshold_eur_cents and len(countries) >= rule.min_countries


def _raise(rule: Rule, entries: list[_Entry], from_ms: int, until_ms: int) -> tuple[SuspiciousHour, ...]:
    """The hours ending in `[from_ms, until_ms)` that meet the rule and were not raised; marks them in `entries` as raised."""
    hours: list[SuspiciousHour] = []
    for index, (end_ms, transaction_id, cents, country, raised) in enumerate(entries):
        if raised or not from_ms <= end_ms < until_ms:
            continue
        start_ms = end_ms - rule.window_ms
        window = [item for item in entries if start_ms < item[0] <= end_ms]
        countries = tuple(sorted({item[3] for item in window}))
        total = sum(item[2] for item in window)
        if len(countries) >= rule.min_countries and total >= rule.threshold_eur_cents:
            ids = tuple(item[1] for item in window)
            hours.append(SuspiciousHour(transaction_id, start_ms, end_ms, total, countries, ids))
            entries[index] = (end_ms, transaction_id, cents, country, True)
    return tuple(hours)


def _unpack(history: bytes, first: int = _HEADER.size) -> list[_Entry]:
    return list(_ENTRY.iter_unpack(memoryview(history)[first:]))


def quiet_since_ms(history: bytes) -> int:
    """Event time of the user's latest payment."""
    latest_ms: int = _HEADER.unpack_from(history)[0]
    return latest_ms


def has_payments(history: bytes) -> bool:
    """Whether the history retains payments."""
    return len(history) > _HEADER.size


def forget_payments(history: bytes) -> bytes:
    """The history without its payments: 26 bytes a user, which still tell late payments and duplicates from new ones."""
    latest_ms, latest_id, _, home = _HEADER.unpack_from(history)
    return _HEADER.pack(latest_ms, latest_id, latest_id, home)
