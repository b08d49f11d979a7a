"""The comparison of what must be with what is: pure functions of the recomputed truth and the records of the topics."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from fraudlab.verification.records import Activity, Records
from fraudlab.verification.truth import MOST_LISTED, Expected, Notified, RecomputedPayment, Truth

TOO_LATE = "later than the allowed lateness"
OVERTAKEN = "too late and overtaken"
"""The fault of a payment that was committed too late and after one with a higher id. It counts for nothing, and nobody is told."""
SKIPPED_ON_PURPOSE = "skipped"
"""The fault of a payment whose record a person had a job skip. Its dead letter is that of the record."""
ACTIVITY = "activity-"
LETTER = "transaction-"
CHANNELS = ("email", "push")
TOLD = ("sent", "undeliverable", "withheld")
"""How a notification may end."""

_ID = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be: with which activity, payment, dead letter or user (id), and what."""

    id: str
    user_id: int | None
    problem: str


@dataclass(frozen=True)
class Findings:
    """All that is not as it must be. Everything empty: the system was exact."""

    missing: tuple[Finding, ...] = ()
    """Activities that must be in the topic and are not."""
    extra: tuple[Finding, ...] = ()
    """Activities in the topic that must not be."""
    duplicate: tuple[Finding, ...] = ()
    """Activities that are there with two different contents."""
    wrong: tuple[Finding, ...] = ()
    """Activities and dead letters that say what is not so."""
    missing_dead_letters: tuple[Finding, ...] = ()
    extra_dead_letters: tuple[Finding, ...] = ()
    lost_payments: tuple[Finding, ...] = ()
    """Payments in MySQL that did not reach the topics `transactions` or `transaction_mid`."""
    unknown_payments: tuple[Finding, ...] = ()
    """Payments in the topic `transactions` that MySQL does not have, and whose deletion it has not noted."""
    impossible_rows: tuple[Finding, ...] = ()
    """Rows in MySQL that cannot be judged."""
    wrong_flags: tuple[Finding, ...] = ()
    accepted_while_stopped: tuple[Finding, ...] = ()
    declined_without_stop: tuple[Finding, ...] = ()
    wrong_notifications: tuple[Finding, ...] = ()
    """Episodes that a person was not told of, told of twice by one channel, or told of without reason."""


def compare(truth: Truth, records: Records, window_ms: int, min_countries: int, threshold_eur: Decimal) -> Findings:
    """Everything in which the topics and MySQL differ from what must be."""
    must = {f"{ACTIVITY}{transaction_id}": expected for transaction_id, expected in truth.expected.items()}
    is_there = records.activities
    wrong = [Finding(place, None, why) for place, why in records.unreadable_activities]
    for activity_id in sorted(is_there, key=_number):
        contents = {activity.content: activity for activity in is_there[activity_id]}
        for activity in contents.values():
            problems = list(activity_problems(activity, truth.claimed, window_ms, min_countries, threshold_eur))
            if activity_id in must:
                problems += expectation_problems(activity, must[activity_id])
            if problems:
                wrong.append(Finding(activity_id, activity.user_id, "; ".join(dict.fromkeys(problems))))
    return Findings(
        missing=tuple(
            Finding(each, must[each].user_id, f"payments {_listed(must[each].transaction_ids)} meet the rule")
            for each in sorted(must.keys() - is_there.keys(), key=_number)
        ),
        extra=tuple(
            Finding(each, is_there[each][0].user_id, "its window does not meet the rule")
            for each in sorted(is_there.keys() - must.keys(), key=_number)
        ),
        duplicate=tuple(
            Finding(each, activities[0].user_id, f"{len({one.content for one in activities})} different contents")
            for each, activities in sorted(is_there.items(), key=lambda item: _number(item[0]))
            if len({one.content for one in activities}) > 1
        ),
        wrong=(*wrong, *_wrong_letters(truth, records)),
        missing_dead_letters=tuple(
            Finding(f"{LETTER}{transaction_id}", payment.user_id, f"does not count: {payment.fault}")
            for transaction_id, payment in sorted(truth.faulty.items())
            if payment.fault not in (OVERTAKEN, SKIPPED_ON_PURPOSE)
            and f"{LETTER}{transaction_id}" not in records.dead_letters
        ),
        extra_dead_letters=tuple(
            Finding(each, None, f"{kind}, yet: {letters[0].reason}")
            for each, letters in sorted(records.dead_letters.items())
            for prefix, kind, rightful in (
                (LETTER, "the payment counts", truth.faulty.keys() | records.miscaptured),
                (ACTIVITY, "the activity is raised, or its window does not meet the rule", truth.given_up),
            )
            if each.startswith(prefix) and _number(each)[1] not in rightful
        ),
        lost_payments=tuple(
            Finding(str(transaction_id), truth.payments[transaction_id], f"not in {topic}")
            for topic, there in (("transactions", records.captured.keys()), ("transaction_mid", records.joined))
            for transaction_id in sorted(truth.payments.keys() - there - records.skipped_payments)
        ),
        unknown_payments=tuple(
            Finding(str(transaction_id), None, "never committed, or deleted without a note (XA ROLLBACK, TRUNCATE)")
            for transaction_id in sorted(records.captured.keys() - truth.payments.keys() - truth.deleted)
        ),
        impossible_rows=tuple(
            Finding(row, user_id, f"{problem}; DELETE removes it") for row, user_id, problem in truth.impossible_rows
        ),
        wrong_flags=tuple(
            Finding(str(user_id), user_id, "stopped without reason" if is_set else "not stopped")
            for user_id, is_set in truth.wrong_flags.items()
        ),
        accepted_while_stopped=tuple(
            Finding(str(one.transaction_id), one.user_id, f"accepted {one.created_at}, stopped since {one.stopped_at}")
            for one in truth.stopped_in_episode
            if records.was_stopped_at(one.user_id, one.transaction_id, otherwise=one.after_by_clock)
        ),
        declined_without_stop=tuple(
            Finding(f"declined-{declined_id}", user_id, "refused, though the account was not stopped")
            for declined_id, user_id in truth.declined_without_stop.items()
        ),
        wrong_notifications=tuple(wrong_notifications(truth, records)),
    )


def activity_problems(
    activity: Activity,
    payments: dict[int, RecomputedPayment],
    window_ms: int,
    min_countries: int,
    threshold_eur: Decimal,
) -> Iterator[str]:
    """What an activity says that its own payments do not bear out. `payments` holds those it names that exist.

    Of one that does not list all its payments, only the recomputation knows the total and the countries.
    """
    lists_all = activity.transaction_count <= MOST_LISTED
    if activity.activity_id != f"{ACTIVITY}{activity.transaction_id}":
        yield f"it is that of payment {activity.transaction_id}"
    if len(set(activity.transaction_ids)) != len(activity.transaction_ids):
        yield "a payment twice in transaction_ids"
    if lists_all and activity.transaction_count != len(activity.transaction_ids):
        yield f"transaction_count is {activity.transaction_count}, not {len(activity.transaction_ids)}"
    if activity.transaction_id not in activity.transaction_ids:
        yield "its own payment is not in transaction_ids"
    last = payments.get(activity.transaction_id)
    if last is None or activity.window_end_ms != last.event_ms:
        yield "window_end is not its payment's transaction_time"
    if activity.window_start_ms != activity.window_end_ms - window_ms:
        yield "window_start is not a window's length before window_end"
    members = []
    for transaction_id in activity.transaction_ids:
        payment = payments.get(transaction_id)
        if payment is None:
            yield f"there is no payment {transaction_id}"
        elif payment.fault is not None:
            yield f"payment {transaction_id} does not count: {payment.fault}"
        elif payment.user_id != activity.user_id:
            yield f"payment {transaction_id} is of user {payment.user_id}"
        elif payment.event_ms is None or not activity.window_start_ms < payment.event_ms <= activity.window_end_ms:
            yield f"payment {transaction_id} is not in its window"
        else:
            members.append(payment)
    if len(members) < len(activity.transaction_ids) or not lists_all:
        return
    total_eur = Decimal(sum(payment.eur_cents or 0 for payment in members)).scaleb(-2)
    countries = sorted({str(payment.country) for payment in members})
    if activity.total_eur != total_eur:
        yield f"total_amount_eur is {activity.total_eur}, not {total_eur}"
    if list(activity.countries) != countries:
        yield f"countries are {','.join(activity.countries)}, not {','.join(countries)}"
    if total_eur < threshold_eur or len(countries) < min_countries:
        yield "its payments do not meet the rule"


def expectation_problems(activity: Activity, expected: Expected) -> Iterator[str]:
    """In what an activity differs from the one that must be there with its id."""
    if activity.user_id != expected.user_id:
        yield f"user_id is {activity.user_id}, not {expected.user_id}"
    if activity.known_by not in (None, expected.known_by):
        yield f"known_by is {activity.known_by}, not {expected.known_by}"
    if activity.created_ms != expected.known_ms:
        off_ms = activity.created_ms - expected.known_ms
        yield f"created_at is {off_ms:+d} ms from that of the payment that made it known"
    if sorted(activity.transaction_ids) != list(expected.transaction_ids):
        yield f"transaction_ids are {_listed(activity.transaction_ids)}, not {_listed(expected.transaction_ids)}"
    if activity.transaction_count != expected.transaction_count:
        yield f"transaction_count is {activity.transaction_count}, not {expected.transaction_count}"
    if activity.total_eur != expected.total_eur:
        yield f"total_amount_eur is {activity.total_eur}, not {expected.total_eur}"
    if activity.countries != expected.countries:
        yield f"countries are {','.join(activity.countries)}, not {','.join(expected.countries)}"


def wrong_notifications(truth: Truth, records: Records) -> Iterator[Finding]:
    """Each episode with an activity has exactly one notification per channel, and nothing else has one."""
    there: dict[tuple[int, int, str], list[Notified]] = defaultdict(list)
    for one in truth.notifications:
        there[one.user_id, one.episode, one.channel].append(one)
    must = {(user_id, episode, channel) for user_id, episode in truth.episodes for channel in CHANNELS}
    for user_id, episode, channel in sorted(must | there.keys()):
        notifications = there[user_id, episode, channel]
        name = f"notification-{user_id}-{episode}-{channel}"
        if (user_id, episode, channel) not in must:
            yield Finding(name, user_id, "told without reason: no activity of this episode must exist")
        if len(notifications) != 1:
            yield Finding(name, user_id, f"{len(notifications)} notifications, not 1")
        for one in notifications:
            if one.status not in TOLD:
                yield Finding(name, user_id, f"{one.status}: {one.reason or 'not yet tried'}")
            if one.status == "undeliverable" and name not in records.dead_letters:
                yield Finding(name, user_id, f"undeliverable and not in dead_letters: {one.reason}")


def _wrong_letters(truth: Truth, records: Records) -> Iterator[Finding]:
    for transaction_id, payment in sorted(truth.faulty.items()):
        dead_letter_id = f"{LETTER}{transaction_id}"
        reasons = {letter.reason for letter in records.dead_letters.get(dead_letter_id, ())}
        if any((reason == TOO_LATE) is not (payment.fault == "too late") for reason in reasons):
            told = " / ".join(sorted(reasons))
            yield Finding(dead_letter_id, payment.user_id, f"{payment.fault}, yet its reason is: {told}")


def _listed(ids: tuple[int, ...], most: int = 10) -> str:
    return ", ".join(map(str, ids[:most])) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def _number(name: str) -> tuple[str, int]:
    text, _, number = name.rpartition("-")
    return (text, int(number)) if _ID.fullmatch(number) else (name, 0)
