"""The rule that decides what is suspicious: a pure function of a user's history and one more payment."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fraudlab.pipeline.history import History, Payment, Window

MOST_LISTED = 1_000
"""An hour lists this many payments at most. If each of n payments listed all the others, there would be n² ids."""


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

    def is_met_by(self, window: Window) -> bool:
        """Whether these payments are suspicious."""
        return len(window.countries) >= self.min_countries and window.total_eur_cents >= self.threshold_eur_cents


class SuspiciousHour(NamedTuple):
    """The window that ends with `transaction_id` at `end_ms` and meets the rule.

    `transaction_ids` are in order of event time and id: all of them if there are at most MOST_LISTED, otherwise the latest
    MOST_LISTED that end with `transaction_id`. The count, the total and the countries are always those of all its payments.
    """

    transaction_id: int
    start_ms: int
    end_ms: int
    total_eur_cents: int
    countries: tuple[bytes, ...]
    transaction_count: int
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
    time_ms, transaction_id, _, _ = payment
    user = History(history)
    too_late = time_ms < user.latest_ms - rule.allowed_lateness_ms
    if transaction_id <= user.latest_id and (too_late or user.has_seen(time_ms, transaction_id)):
        return Verdict(history, Arrival.DUPLICATE, ())
    if too_late:
        user.latest_id = transaction_id
        return Verdict(user.pack(), Arrival.TOO_LATE, ())
    user.add(payment)
    user.forget_until(user.latest_ms - rule.retention_ms)
    # Nearly all users pay in one country: then no hour can meet the rule.
    hours = hours_to_raise(rule, user, time_ms) if user.country_count >= rule.min_countries else ()
    return Verdict(user.pack(), Arrival.COUNTED, hours)


def hours_to_raise(rule: Rule, user: History, time_ms: int) -> tuple[SuspiciousHour, ...]:
    """The hours to raise after a payment at `time_ms`: it belongs to those that end within a window's length after it."""
    found = [
        (window, number)
        for window in user.windows(rule.window_ms, time_ms, time_ms + rule.window_ms)
        if rule.is_met_by(window)
        for number in user.not_raised_at(window.end_ms)
    ]
    if not found:
        return ()
    user.mark_raised([number for _, number in found])
    listed = [_listed(window, number) for window, number in found]
    begin, end = listed[0].start, listed[-1].stop
    ids = user.ids(begin, end)
    return tuple(
        SuspiciousHour(
            transaction_id=ids[number - begin],
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            total_eur_cents=window.total_eur_cents,
            countries=tuple(sorted(window.countries)),
            transaction_count=window.end - window.first,
            transaction_ids=ids[numbers.start - begin : numbers.stop - begin],
        )
        for (window, number), numbers in zip(found, listed, strict=True)
    )


def _listed(window: Window, number: int) -> range:
    """The numbers of the payments that the hour of payment `number` lists."""
    if window.end - window.first <= MOST_LISTED:
        return range(window.first, window.end)
    return range(max(window.first, number + 1 - MOST_LISTED), number + 1)
