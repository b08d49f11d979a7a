"""The rule that decides what is suspicious: a pure function of a user's history and one more payment."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fraudlab.pipeline.history import (
    SEVERAL,
    SIZE,
    Entry,
    History,
    Window,
    all_from,
    first_after,
    holds,
    ids_from,
    money_from,
    pack,
    pack_entries,
    pack_entry,
    place,
    raise_from,
    unpack,
    unpack_entries,
    with_latest_id,
    without_before,
)


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
    latest_ms, latest_id, forgotten_id, home, window, entries = (
        unpack(history) if history else History(time_ms, transaction_id - 1, 0, country, None, b"")
    )
    too_late = time_ms < latest_ms - rule.allowed_lateness_ms
    if transaction_id <= latest_id:
        if too_late or transaction_id <= forgotten_id or holds(entries, time_ms, transaction_id):
            return Verdict(history, Arrival.DUPLICATE, ())
    elif too_late:
        return Verdict(with_latest_id(history, transaction_id), Arrival.TOO_LATE, ())

    latest_id = max(latest_id, transaction_id)
    if time_ms > latest_ms:
        latest_ms = time_ms
        if window is not None:
            _slide(window, entries, latest_ms)
        kept = without_before(entries, latest_ms - rule.retention_ms)
        if window is not None:
            window.first -= (len(entries) - len(kept)) // SIZE
        entries, at = kept, len(kept)
    else:
        at = place(entries, time_ms, transaction_id)
    if rule.min_countries > 1 and (home == country or (_of_one_country(window) and all_from(entries, country))):
        # Nearly all users pay in one country: no hour can meet the rule, and nothing needs to be counted.
        entries = entries[:at] + pack_entry(*payment, False) + entries[at:]
        return Verdict(pack(latest_ms, latest_id, forgotten_id, country, None, entries), Arrival.COUNTED, ())

    if window is None or window.length_ms != rule.window_ms:
        window = _count(entries, latest_ms, rule.window_ms)
    entries = entries[:at] + pack_entry(*payment, False) + entries[at:]
    if time_ms > latest_ms - rule.window_ms:
        window.add(cents, country)
    else:
        window.first += 1
    raise_hours = _raise_latest if time_ms == latest_ms else _raise_late
    hours, entries = raise_hours(rule, window, entries, time_ms)
    return Verdict(pack(latest_ms, latest_id, forgotten_id, SEVERAL, window, entries), Arrival.COUNTED, hours)


def _of_one_country(window: Window | None) -> bool:
    """Whether what was counted so far allows that all retained payments come from one country."""
    return window is None or len(window.countries) <= 1


def _count(entries: bytes, latest_ms: int, length_ms: int) -> Window:
    """The window that ends with the user's latest payment, counted from its entries."""
    window = Window(length_ms, first_after(entries, latest_ms - length_ms) // SIZE, 0, {})
    for _, cents, country in money_from(entries, window.first):
        window.add(cents, country)
    return window


def _slide(window: Window, entries: bytes, latest_ms: int) -> None:
    """Removes payments that are no longer in the window. Each is removed once, so the cost per payment does not grow with their number."""
    for time_ms, cents, country in money_from(entries, window.first):
        if time_ms > latest_ms - window.length_ms:
            return
        window.remove(cents, country)
        window.first += 1


def _raise_latest(rule: Rule, window: Window, entries: bytes, time_ms: int) -> tuple[tuple[SuspiciousHour, ...], bytes]:
    """The hours to raise after the latest payment, at `time_ms`: its own and those of others at the same moment are all this window."""
    if window.total_cents < rule.threshold_eur_cents or len(window.countries) < rule.min_countries:
        return (), entries
    numbers, entries = raise_from(entries, first_after(entries, time_ms - 1))
    ids, countries, start_ms = (
        ids_from(entries, window.first),
        tuple(sorted(window.countries)),
        time_ms - rule.window_ms,
    )
    hours = (
        SuspiciousHour(ids[number - window.first], start_ms, time_ms, window.total_cents, countries, ids)
        for number in numbers
    )
    return tuple(hours), entries


def _raise_late(rule: Rule, _: Window, entries: bytes, time_ms: int) -> tuple[tuple[SuspiciousHour, ...], bytes]:
    """The hours to raise after a late payment, at `time_ms`: it belongs to those that end within a window's length after it."""
    begin, end = first_after(entries, time_ms - rule.window_ms), first_after(entries, time_ms + rule.window_ms - 1)
    around = unpack_entries(entries[begin:end])
    hours = _raise(rule, around, time_ms, time_ms + rule.window_ms)
    return hours, entries[:begin] + pack_entries(around) + entries[end:] if hours else entries


def _raise(rule: Rule, entries: list[Entry], from_ms: int, until_ms: int) -> tuple[SuspiciousHour, ...]:
    """The hours ending in `[from_ms, until_ms)` that meet the rule and were not raised; marks them in `entries` as raised."""
    hours: list[SuspiciousHour] = []
    ids = tuple(entry[1] for entry in entries)
    window, end = Window(rule.window_ms, 0, 0, {}), 0
    for index, (end_ms, transaction_id, cents, country, raised) in enumerate(entries):
        if end_ms >= until_ms:
            break
        while end < len(entries) and entries[end][0] <= end_ms:
            window.add(*entries[end][2:4])
            end += 1
        start_ms = end_ms - rule.window_ms
        while entries[window.first][0] <= start_ms:
            window.remove(*entries[window.first][2:4])
            window.first += 1
        if raised or end_ms < from_ms:
            continue
        if len(window.countries) >= rule.min_countries and window.total_cents >= rule.threshold_eur_cents:
            content, countries = ids[window.first : end], tuple(sorted(window.countries))
            hours.append(SuspiciousHour(transaction_id, start_ms, end_ms, window.total_cents, countries, content))
            entries[index] = (end_ms, transaction_id, cents, country, True)
    return tuple(hours)
