"""Lab 04, The windowed detector: event time, watermarks, windows aligned to the clock, and the exact hour that ends with each payment."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from fraudlab import system
from fraudlab.course import jobs as own_jobs
from fraudlab.course.exercise import (
    NO_RETURN,
    NOT_A_SHARE,
    SHARES_SWAPPED,
    Exercise,
    Lab,
    Mistake,
    UnreadableError,
    Verdict,
    call,
    is_text,
    not_yet,
    nothing_to_observe,
    right,
    wrong,
)
from fraudlab.course.keyed_trial import KeyedTrial
from fraudlab.course.live import LiveQuery
from fraudlab.course.workspace import FIRST_OWN_USER, Workspace, wait_until
from fraudlab.pipeline.rule import Rule
from fraudlab.verification.truth import recompute

DETECTOR = "fraud-detector"


# 04.1

_ARRIVALS: tuple[tuple[list[int], int, list[int], Mistake], ...] = (
    ([0, 10, 20, 30], 5, [], Mistake("in_order", "In order of event time, nothing is late.")),
    (
        [0, 30, 20],
        5,
        [20],
        Mistake("late_missed", "20 comes after 30: with a delay of 5 minutes, the watermark is at 25."),
    ),
    (
        [0, 30, 25],
        5,
        [],
        Mistake(
            "equal_is_late",
            "25 comes when the watermark is at 25. The watermark says that nothing *older* is expected: 25 itself is on time.",
        ),
    ),
    (
        [0, 30, 10, 20],
        5,
        [10, 20],
        Mistake(
            "watermark_moved_back",
            "A late payment does not move the watermark back: after 30 and 10 it is still at 25, so 20 is late, too.",
        ),
    ),
    (
        [0, 30, 20],
        15,
        [],
        Mistake("delay_ignored", "With a delay of 15 minutes, the watermark is at 15 when 20 comes."),
    ),
    (
        [40, 0, 60, 40, 70, 60],
        10,
        [0, 40],
        Mistake("other_watermark", "Compare each arrival with the watermark that the arrivals before it have made."),
    ),
    (
        [60, 30, 10, 60, 20, 55],
        10,
        [30, 10, 20],
        Mistake("sorted_times", "Give the late times in the order in which they arrived."),
    ),
)


def judge_late(_observed: None, late: Callable[[Sequence[int], int], Iterable[int]]) -> Verdict:
    """The function must return the times that are behind the watermark, in order of arrival."""
    for times, delay, expected, mistake in _ARRIVALS:
        found = call(late, list(times), delay)
        if found is None:
            return wrong(NO_RETURN, found=None, expected="a list of times")
        if list(found) != expected:
            return wrong(
                mistake,
                found=f"{list(found)} late of the arrivals {times} with a delay of {delay}",
                expected="those older than the latest time seen before them, minus the delay",
            )
    return right("Now you know what a watermark costs: if you wait longer, you lose less and answer later.")


LATE = Exercise(
    number="04.1",
    title="What comes late?",
    task="write the function that returns the payments that are behind the watermark.",
    hints=(
        "Go through the times in order of arrival, and remember one more value: the latest time so far.",
        "When a payment arrives, the watermark is `latest - delay`. Compare first, then update `latest`.",
        "`if time < latest - delay: found.append(time)`, then `latest = max(latest, time)`.",
    ),
    shape="a function of a list of times and a delay that gives a list of times",
    observe=nothing_to_observe,
    judge=judge_late,
)


# 04.2

SLIDING = "sliding-windows"
_HOUR_MS, _SLIDE_MS = 3_600_000, 300_000


@dataclass(frozen=True, slots=True)
class Box:
    """A window of one user that the learner's job has given."""

    user: int
    start_ms: int
    end_ms: int
    payments: int
    suspicious: bool


@dataclass(frozen=True, slots=True)
class Boxes:
    """The windows of the learner's job, whether it has ended, and the payments that it has read: user, time in ms, country, EUR."""

    found: tuple[Box, ...]
    ended: bool
    payments: tuple[tuple[int, int, str, Decimal], ...]


def observe_windows(workspace: Workspace, _sums: object, boxes: Any = None) -> Boxes:
    """The windows so far, and the payments that the bank had stored when the job began, of the users that the windows name."""
    if not isinstance(boxes, LiveQuery):
        raise UnreadableError("no running query")
    rows = [dict(zip(boxes.columns, row, strict=True)) for row in boxes.rows()]
    found = [Box(one["user_id"], one["start"], one["end"], one["payments"], one["suspicious"]) for one in rows]
    full = workspace.names.job(boxes.name)
    began_ms = max((job.started_ms for job in workspace.flink.jobs() if job.name == full), default=0)
    began, users = datetime.fromtimestamp(began_ms / 1000, UTC).replace(tzinfo=None), {one.user for one in found}
    return Boxes(
        tuple(found),
        boxes.ended,
        tuple(
            (
                one["user_id"],
                round(one["transaction_time"].replace(tzinfo=UTC).timestamp() * 1000),
                one["country"],
                one["eur"],
            )
            for one in own_jobs.payments(workspace).to_dict("records")
            if one["user_id"] in users and one["created_at"] < began
        ),
    )


def judge_windows(observed: Boxes, sums: Callable[[], Any], _boxes: object = None) -> Verdict:
    """The sums in this process, then the windows of the job."""
    if mistaken := _judge_sums(sums):
        return mistaken
    if not observed.ended:
        return not_yet("The job has not come to the end of the topic so far.")
    found = observed.found
    if not found:
        return wrong(
            Mistake("no_windows", "The job has ended and has given no window."),
            found="no window",
            expected="windows of an hour, every five minutes",
        )
    if lengths := {one.end_ms - one.start_ms for one in found} - {_HOUR_MS}:
        return wrong(
            Mistake("other_length", "The rule says *within one hour*: each window is an hour long."),
            found=f"windows of {min(lengths) / MINUTE:.3g} minutes",
            expected="windows of 60 minutes",
        )
    added, number = sum(one.payments for one in found), len(observed.payments)
    slide = {one.start_ms % _SLIDE_MS for one in found}
    if number and slide == {0} and added == number:
        return wrong(
            Mistake("tumbling", "Each payment is in one window: these windows tumble. Sliding windows overlap."),
            found=f"{number} payments, added {added} times",
            expected="windows that begin every five minutes",
        )
    if number and (slide != {0} or added < 12 * number):
        return wrong(
            Mistake(
                "other_slide",
                "A new window must begin every five minutes. An hour has twelve of them, so a payment is in twelve windows.",
            ),
            found=f"{number} payments, added {added} times",
            expected="each payment in twelve windows",
        )
    wanted = _windows(observed.payments)
    if {(one.user, one.start_ms): one.payments for one in found} != {key: len(paid) for key, paid in wanted.items()}:
        return wrong(
            Mistake("not_by_user", "A window must hold the payments of one user: what is the stream keyed by?"),
            found=f"{len(found)} windows of {len({one.user for one in found})} users",
            expected=f"{len(wanted)} windows" if wanted else "windows whose key is a user",
        )
    for one in found:
        paid = wanted[one.user, one.start_ms]
        if one.suspicious != (len({country for country, _ in paid}) >= 2 and sum(eur for _, eur in paid) >= 1000):
            return wrong(
                Mistake("other_hours", "The windows hold the right payments, and their sums are others."),
                found=f"{one.suspicious} for a window with {len(paid)} payments",
                expected=str(not one.suspicious),
            )
    return right("Three values for each window, and no payment is kept. That is the strong form of a window.")


def _windows(payments: Iterable[tuple[int, int, str, Decimal]]) -> dict[tuple[int, int], list[tuple[str, Decimal]]]:
    """The payments of each window, by user and beginning."""
    found: dict[tuple[int, int], list[tuple[str, Decimal]]] = {}
    for user, time_ms, country, eur in payments:
        last = time_ms - time_ms % _SLIDE_MS
        for start in range(last, last - _HOUR_MS, -_SLIDE_MS):
            found.setdefault((user, start), []).append((country, eur))
    return found


def _judge_sums(make: Callable[[], Any]) -> Verdict | None:
    """What is wrong with an AggregateFunction; None where nothing is."""

    def result(sums: Any, accumulator: Any) -> Any:
        return tuple(call(sums.get_result, accumulator))

    def added(sums: Any, accumulator: Any, *paid: tuple[str, str]) -> Any:
        for eur, country in paid:
            accumulator = call(sums.add, _row(Payment(11, 17, 0, eur, country)), accumulator)
        return accumulator

    sums = call(make)

    def new() -> Any:
        return call(sums.create_accumulator)

    cases: tuple[tuple[Callable[[], Any], tuple[int, object, set[str]], Mistake], ...] = (
        (new, (0, 0, set()), Mistake("other_beginning", "A window begins with no payment, 0 EUR and no country.")),
        (
            lambda: added(sums, new(), ("600.10", "DE")),
            (1, Decimal("600.10"), {"DE"}),
            Mistake(
                "other_sums",
                "`get_result` must give the number of payments, their sum in EUR, and the set of their countries.",
            ),
        ),
        (
            new,
            (0, 0, set()),
            Mistake(
                "shared_accumulator",
                "A new window must begin empty: `create_accumulator` makes a new accumulator at each call.",
            ),
        ),
        (
            lambda: added(sums, new(), ("600.10", "DE"), ("300", "FR"), ("0.25", "DE")),
            (3, Decimal("900.35"), {"DE", "FR"}),
            Mistake(
                "not_added",
                "`add` must add to the number, to the sum, and to the set of countries, and return the new accumulator.",
            ),
        ),
        (
            lambda: call(
                sums.merge,
                added(sums, new(), ("1", "DE"), ("2", "FR")),
                added(sums, new(), ("3", "FR"), ("4", "IT"), ("5", "IT")),
            ),
            (5, 15, {"DE", "FR", "IT"}),
            Mistake(
                "not_merged",
                "`merge` must give the sums of both. Sliding windows never call it; windows that grow together do.",
            ),
        ),
    )
    for accumulator, wanted, mistake in cases:
        number, eur, countries = result(sums, accumulator())
        if (number, eur, set(countries)) != wanted or isinstance(countries, str):
            return wrong(
                mistake,
                found=f"{number}, {eur} and {sorted(set(countries))}",
                expected=f"{wanted[0]}, {wanted[1]} and {sorted(wanted[2])}",
            )
    return None


WINDOWS = Exercise(
    number="04.2",
    title="A sliding window",
    task="write the AggregateFunction `Sums`, and the function that gives a stream's sliding windows.",
    hints=(
        "`Sums` needs four methods: what a window begins with, what one payment adds to it, two of them put together, and what comes out.",
        "The accumulator can be a tuple `(0, Decimal(0), frozenset())`. `add(self, payment, sums)` returns a new one;"
        ' `countries | {payment["country"]}` is a set with one more country.',
        "`payments.key_by(…).window(SlidingEventTimeWindows.of(Time.hours(1), Time.minutes(5))).aggregate(Sums(), SlidingHour(), output_type=HOUR)`",
    ),
    shape="the class Sums, and what `lab.watch` returned for the windows",
    observe=observe_windows,
    judge=judge_windows,
    patience_s=90,
    job=SLIDING,
    accepts=callable,
)


# 04.3

MINUTE = 60_000
_RULE = Rule()
_NOON = datetime(2026, 1, 31, 12)

Paid = tuple[datetime, str, Decimal]
"""A payment of one user in the exercise: when, where, and its value in EUR."""


def _paid(minute: float, eur: str, country: str) -> Paid:
    return _NOON + timedelta(minutes=minute), country, Decimal(eur)


_ALMOST_AN_HOUR = 60 - 1 / MINUTE

_HISTORIES: tuple[tuple[str, tuple[Paid, ...], float, bool, Mistake], ...] = (
    (
        "600 EUR in DE, and 600 EUR in FR ten minutes later",
        (_paid(0, "600", "DE"), _paid(10, "600", "FR")),
        10,
        True,
        Mistake(
            "theft_missed",
            "Two countries and 1,200 EUR within ten minutes: the hour that ends with the second payment is suspicious.",
        ),
    ),
    (
        "600 EUR in DE at the end of the hour, and 600 EUR in FR ten minutes later",
        (_paid(0, "600", "DE"), _paid(10, "600", "FR")),
        0,
        False,
        Mistake("after_the_end", "The hour is over at `end`: a payment after `end` is not in it."),
    ),
    (
        "600 EUR in DE, and 600 EUR in FR exactly one hour later",
        (_paid(0, "600", "DE"), _paid(60, "600", "FR")),
        60,
        False,
        Mistake(
            "closed_beginning",
            "The hour is open at its beginning: a payment exactly one hour before its end is outside.",
        ),
    ),
    (
        "600 EUR in DE, and 600 EUR in FR a millisecond less than one hour later",
        (_paid(0, "600", "DE"), _paid(_ALMOST_AN_HOUR, "600", "FR")),
        _ALMOST_AN_HOUR,
        True,
        Mistake("almost_an_hour", "A payment less than one hour before the end is inside."),
    ),
    (
        "600 EUR in DE at 12:55, and 600 EUR in FR at 13:05",
        (_paid(55, "600", "DE"), _paid(65, "600", "FR")),
        65,
        True,
        Mistake("hour_of_the_clock", "The hour begins an hour before `end`. It is not aligned to the clock."),
    ),
    (
        "900 EUR in DE, and 200 EUR in FR three hours later",
        (_paid(0, "900", "DE"), _paid(180, "200", "FR")),
        180,
        False,
        Mistake(
            "whole_list",
            "The list holds more than the hour: earlier payments count neither for the countries nor for the sum.",
        ),
    ),
    (
        "900 EUR in DE, and 200 EUR in FR five minutes later on the next day",
        (_paid(0, "900", "DE"), _paid(24 * 60 + 5, "200", "FR")),
        24 * 60 + 5,
        False,
        Mistake(
            "yesterday_counts",
            "A payment of yesterday is in no hour of today. A timedelta keeps its days apart: `.seconds` leaves them out, `.total_seconds()` has them.",
        ),
    ),
    (
        "1,200 EUR in DE only",
        (_paid(0, "600", "DE"), _paid(10, "600", "DE")),
        10,
        False,
        Mistake("countries_counted_twice", "Two payments in one country are one country."),
    ),
    (
        "600 EUR in DE, 10 EUR in FR, and twice 300 EUR in DE",
        (_paid(0, "600", "DE"), _paid(30, "10", "FR"), _paid(40, "300", "DE"), _paid(50, "300", "DE")),
        50,
        True,
        Mistake(
            "last_countries_only", "The other country need not be that of the last payment, nor of the one before."
        ),
    ),
    (
        "600 EUR in DE and 400 EUR in FR",
        (_paid(0, "600", "DE"), _paid(10, "400", "FR")),
        10,
        True,
        Mistake("more_than_threshold", "Exactly 1,000 EUR is enough: the rule says *at least*."),
    ),
    (
        "600 EUR in DE and 399.99 EUR in FR",
        (_paid(0, "600", "DE"), _paid(10, "399.99", "FR")),
        10,
        False,
        Mistake("rounded", "999.99 EUR is less than 1,000: a cent is a cent."),
    ),
    (
        "600 EUR in DE and 600 EUR in FR at the same moment",
        (_paid(0, "600", "DE"), _paid(0, "600", "FR")),
        0,
        True,
        Mistake("same_moment", "Two payments at the same moment are in one hour."),
    ),
    (
        "600 EUR in FR, and 600 EUR in DE that were paid ten minutes earlier and arrive last",
        (_paid(10, "600", "FR"), _paid(0, "600", "DE")),
        10,
        True,
        Mistake(
            "order_of_arrival",
            "The payments are in order of arrival, which may differ from the order in which they were made.",
        ),
    ),
    (
        "600 EUR in DE, 50 EUR in DE of two hours earlier that arrive late, and 600 EUR in FR",
        (_paid(0, "600", "DE"), _paid(-120, "50", "DE"), _paid(10, "600", "FR")),
        10,
        True,
        Mistake(
            "stopped_at_a_latecomer",
            "A payment outside the hour may come between two that are inside, because it was late: look at all of them.",
        ),
    ),
)


def judge_hours(_observed: None, suspicious: Callable[[list[Paid], datetime], Any]) -> Verdict:
    """The learner's function must say of each hour whether it is suspicious."""
    for name, payments, end_minute, expected, mistake in _HISTORIES:
        found = call(suspicious, list(payments), _NOON + timedelta(minutes=end_minute))
        if found is None and expected:
            return wrong(NO_RETURN, found=None, expected="True or False")
        if bool(found) != expected:
            return wrong(mistake, found=f"{found!r} for {name}", expected=str(expected))
    return right("Ten lines, no clock, no cluster. This is the whole rule, for payments that arrive in time.")


HOURS = Exercise(
    number="04.3",
    title="The hour that ends with each payment",
    task="write the function that says whether the hour that ends at `end` is suspicious.",
    hints=(
        "Three steps: select the payments in the hour; find their countries and their sum; compare both with the rule.",
        "A payment is in the hour if its time is *after* `end - timedelta(hours=1)`, and not after `end`. A set has each country once.",
        "`hour = [(country, eur) for time, country, eur in payments if start < time <= end]`, with the right `start`. Then countries and sum.",
    ),
    shape="a function of a list of payments and the end of an hour that gives True or False",
    observe=nothing_to_observe,
    judge=judge_hours,
)


# 04.4

_NOON_MS = 1_769_860_800_000
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the learner's job gets it, `minute` minutes after noon."""

    number: int
    user: int
    minute: float
    eur: str
    country: str


@dataclass(frozen=True, slots=True)
class Passes:
    """The watermark, and the clock on the wall, move to so many minutes after noon."""

    minute: float


CRASH = "a crash"
_Step = Payment | Passes | str

_HOME = Payment(901, 17, 0, "600", "DE")
_ABROAD = Payment(902, 17, 10, "600", "FR")

_STREAMS: tuple[tuple[str, tuple[_Step, ...], tuple[int, ...], Mistake], ...] = (
    (
        "one payment of 20 EUR",
        (Payment(901, 17, 0, "20", "DE"),),
        (),
        Mistake(
            "first_payment",
            "A single payment of 20 EUR ends no suspicious hour. A user's first payment finds no state: `value()` gives None then.",
        ),
    ),
    (
        "a theft in two payments",
        (_HOME, _ABROAD),
        (902,),
        Mistake(
            "state_not_kept",
            "The second payment of a theft must raise its hour. Is each payment written to the state, and written before you judge?",
        ),
    ),
    (
        "two people, each in their own country",
        (_HOME, Payment(902, 18, 10, "600", "FR")),
        (),
        Mistake(
            "state_shared",
            "Two honest people were taken for one thief. What is in `self` belongs to all users: use keyed state, which has a value"
            " for each.",
        ),
    ),
    (
        "a payment, a crash, and the second payment of the theft",
        (_HOME, CRASH, _ABROAD),
        (902,),
        Mistake(
            "state_outside",
            "The crash lost the first payment. What is in `self` is lost with the process; what is in keyed state is restored from the"
            " checkpoint.",
        ),
    ),
    (
        "a theft, and its second payment once more",
        (_HOME, _ABROAD, _ABROAD),
        (902,),
        Mistake(
            "duplicate_raised",
            "The same payment came twice, and was raised twice: remember the ids, and drop what you know.",
        ),
    ),
    (
        "600 EUR in DE, and one payment of 300 EUR in FR that comes twice",
        (_HOME, Payment(902, 17, 10, "300", "FR"), Payment(902, 17, 10, "300", "FR")),
        (),
        Mistake("duplicate_counted", "The same payment came twice, and was counted twice: 900 EUR became 1,200."),
    ),
    (
        "two payments of 300 EUR at the same moment, and 400 EUR abroad",
        (
            Payment(901, 17, 0, "300", "DE"),
            Payment(902, 17, 0, "300", "DE"),
            Payment(903, 17, 10, "400", "FR"),
        ),
        (903,),
        Mistake(
            "one_of_two_lost",
            "Two payments at the same moment are two payments: keep them by their ids, not by their times.",
        ),
    ),
    (
        "a payment that comes 20 minutes late and makes a theft of the hour that ended before it came",
        (Payment(901, 17, 60, "600", "FR"), Payment(902, 17, 40, "600", "DE")),
        (901,),
        Mistake(
            "late_not_judged",
            "A payment that comes late changes hours that ended after it. Judge those, too: each payment you know that is less than an"
            " hour younger.",
        ),
    ),
    (
        "two payments of 600 EUR in one country",
        (_HOME, Payment(902, 17, 10, "600", "DE")),
        (),
        Mistake(
            "country_not_kept",
            "Two payments in one country are no theft. Keep the country of each payment beside its time and its sum.",
        ),
    ),
    (
        "a theft, and a payment of 20 EUR three hours later",
        (_HOME, _ABROAD, Payment(903, 17, 190, "20", "DE")),
        (902,),
        Mistake(
            "raised_again",
            "An hour that a payment does not touch was raised again. Judge the hours that end with the payment, or less than an hour"
            " after it.",
        ),
    ),
    (
        "a theft, and a payment of 20 EUR in the same hour",
        (_HOME, _ABROAD, Payment(903, 17, 50, "20", "DE")),
        (902, 903),
        Mistake("wrong_id", "Raise the id of the payment whose hour it is: here, both hours are suspicious."),
    ),
    (
        "a payment that comes 30 minutes late and makes two hours suspicious that ended before it came",
        (
            Payment(901, 17, 60, "600", "FR"),
            Payment(902, 17, 70, "20", "FR"),
            Payment(903, 17, 40, "600", "DE"),
        ),
        (901, 902),
        Mistake(
            "first_hour_only",
            "A late payment may make several hours suspicious: judge all of them, and then register the timer.",
        ),
    ),
    (
        "a payment that comes exactly one hour before one that is known",
        (Payment(901, 17, 60, "600", "DE"), Payment(902, 17, 50, "600", "FR"), Payment(903, 17, 0, "5", "DE")),
        (901,),
        Mistake(
            "closed_beginning_changed",
            "An hour is open at its beginning. A payment is not in the hour that ends exactly one hour after it, so it does not change it.",
        ),
    ),
)
"""Name, steps, the payments to raise, what is wrong otherwise."""

_TOO_EARLY = Mistake(
    "cleared_too_early",
    "A payment was forgotten that is still needed: for an hour, and for another 30 minutes in which late ones may come.",
)
_NEEDED: tuple[tuple[str, tuple[_Step, ...], tuple[int, ...], Mistake], ...] = (
    (
        "a payment at 12:00, one at 13:40, the timer of the first, and 600 EUR abroad at 14:05",
        (
            Payment(901, 17, 0, "20", "DE"),
            Passes(1),
            Payment(902, 17, 100, "600", "DE"),
            Passes(124),
            Payment(903, 17, 125, "600", "FR"),
        ),
        (903,),
        Mistake(
            "needed_cleared",
            "The timer of an old payment has cleared newer ones, too. In on_timer, remove what is old enough and keep the rest.",
        ),
    ),
    (
        "a payment at 12:00, watermark 13:25, and a payment of 12:58 that comes late",
        (_HOME, Passes(1), Passes(85), Payment(902, 17, 58, "600", "FR")),
        (902,),
        _TOO_EARLY,
    ),
    (
        "payments at 12:00 and 12:55, the timer of the first, and a payment of 13:37 that comes late",
        (
            Payment(901, 17, 0, "20", "DE"),
            Passes(1),
            Payment(902, 17, 55, "600", "DE"),
            Passes(121),
            Payment(903, 17, 97, "600", "FR"),
        ),
        (903,),
        _TOO_EARLY,
    ),
)


def judge_detector(_observed: None, detector: Callable[..., Any]) -> Verdict:
    """The learner's operator, run in this process on short streams, must raise what is suspicious, and forget what is old."""
    for name, steps, expected, mistake in (*_STREAMS, *_NEEDED):
        found = _played(detector, steps)
        unreadable = [one for one in found if not isinstance(one, int)]
        if unreadable:
            return wrong(
                Mistake("not_an_id", "Yield the id of the payment whose hour is suspicious, and nothing else."),
                found=repr(unreadable[0]),
                expected="a whole number for each suspicious hour",
            )
        if sorted(found) != list(expected):
            return wrong(mistake, found=f"{_raised(found)} for {name}", expected=_raised(expected))
    return _judge_forgetting(detector) or right(
        "State for each user, a timer that empties it, and nothing that a crash could take: that is a detector."
    )


def _judge_forgetting(detector: Callable[..., Any]) -> Verdict | None:
    """A user's state must not grow while days pass; None where it doesn't."""
    trial = _trial(detector)
    for number in range(30):
        minute = number * _DAY / 3
        _pay(trial, Payment(1000 + number, 17, minute, "20", "DE"))
        trial.advance(_ms(minute + 2))
    for number in range(1030, 1035):  # at the same moment as the last: they have one timer
        _pay(trial, Payment(number, 17, minute, "20", "DE"))
    if not trial.timers_set:
        return wrong(
            Mistake(
                "no_timer",
                "No timer was registered, so a user's payments are kept indefinitely, also of users who never pay again.",
            ),
            found="no timer after 35 payments in ten days",
            expected="a timer for each payment, or one for each user, that ends when the payment is no longer needed",
        )
    trial.advance(_ms(20 * _DAY))
    trial.advance(_ms(40 * _DAY))
    kept = trial.size(17)
    if kept > _EMPTY_CONTAINERS:
        return wrong(
            Mistake(
                "never_cleared",
                "The timers have fired, and payments are still in the state. Does on_timer remove what is old, and write back what is left?",
            ),
            found=f"{kept} bytes of state, a month after the last payment",
            expected="a state without payments",
        )
    if trial.timers:
        return wrong(
            Mistake("timers_without_end", "Timers are still registered for a user who has no payments any more."),
            found=f"{len(trial.timers)} timers a month after the last payment",
            expected="no timer where nothing is left to forget",
        )
    return None


_EMPTY_CONTAINERS = 64
"""Bytes of a pickled state that holds an empty dictionary or list, and a time or a flag beside it."""


def _trial(detector: Callable[..., Any]) -> KeyedTrial:
    return KeyedTrial(detector, now_ms=_ms(8 * 60))


def _played(detector: Callable[..., Any], steps: Iterable[_Step]) -> list[Any]:
    """What a detector sends in these steps."""
    trial, sent = _trial(detector), list[Any]()
    for step in steps:
        if isinstance(step, Payment):
            sent += _pay(trial, step)
        elif isinstance(step, Passes):
            sent += trial.advance(_ms(step.minute))
        else:
            trial.restart()
    return sent


def _pay(trial: KeyedTrial, payment: Payment) -> list[Any]:
    return trial.process(payment.user, _row(payment), _ms(payment.minute))


def _row(payment: Payment) -> Any:
    """A payment as `lab.payment_stream` gives it."""
    from pyflink.common import Row

    return Row(
        transaction_id=payment.number,
        user_id=payment.user,
        time=_NOON + timedelta(minutes=payment.minute),
        country=payment.country,
        eur=Decimal(payment.eur),
    )


def _ms(minute: float) -> int:
    return _NOON_MS + round(minute * MINUTE)


def _raised(found: Iterable[int]) -> str:
    return ", ".join(f"payment {one}" for one in found) or "nothing"


IN_STATE = Exercise(
    number="04.4",
    title="A detector with a memory",
    task="write the class `Detector`: keyed state, `process_element`, a timer, and `on_timer`.",
    hints=(
        "Four methods' worth of questions: what do I keep (payments by id), when do I stop (I know this id), what do I judge, when may I forget?",
        '`MapStateDescriptor("paid", Types.LONG(), Types.STRING())` in `open`. Then `self._paid.put(number, packed(payment))`,'
        " `paid = [unpacked(text) for text in self._paid.values()]`, and `suspicious(paid, end)` for each `end` from the payment's time to less than an hour after it.",
        "The timer: `ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2 * 3_600_000)`. In `on_timer`, go through"
        " `list(self._paid.items())`, and remove what is at least two hours older than the timer: keep each payment's `ctx.timestamp()` beside it.",
    ),
    shape="a class, a KeyedProcessFunction, that is made without arguments",
    observe=nothing_to_observe,
    judge=judge_detector,
    accepts=callable,
)


# 04.5


@dataclass(frozen=True, slots=True)
class OnCluster:
    """What the learner's job has raised; what it must raise, and what it may; how many payments it has read, and how many there are."""

    raised: frozenset[int]
    must: frozenset[int]
    may: frozenset[int]
    read: int
    payments: int


OWN_DETECTOR = "my-detector"


def observe_job(workspace: Workspace, _detect: object, found: Any = None) -> OnCluster:
    """The job's answer so far, and what plain Python finds in MySQL's payments."""
    if not isinstance(found, LiveQuery):
        raise UnreadableError("no running query")
    payments = own_jobs.payments(workspace)
    with closing(system.connect(workspace.settings, "operator", database=workspace.names.database)) as connection:
        expected = recompute(connection, workspace.settings).expected.values()
    return OnCluster(
        frozenset(row[0] for row in found.rows()),
        frozenset(one.transaction_id for one in expected),
        frozenset(suspicious_hours(payments)),
        _records_read(workspace, found.name),
        len(payments),
    )


def suspicious_hours(payments: Any) -> Iterator[int]:
    """The payments that end a suspicious hour, late ones included, however late."""
    hour = timedelta(seconds=_RULE.window_ms // 1000)
    for _, same in payments.groupby("user_id"):
        paid = list(zip(same["transaction_id"], same["transaction_time"], same["country"], same["eur"], strict=True))
        for number, end, _, _ in paid:
            inside = [(country, eur) for _, time, country, eur in paid if end - hour < time <= end]
            countries, cents = {country for country, _ in inside}, sum(eur for _, eur in inside) * 100
            if len(countries) >= _RULE.min_countries and cents >= _RULE.threshold_eur_cents:
                yield int(number)


def _records_read(workspace: Workspace, name: str) -> int:
    """How many records the operators of a job have read at most, as Flink knows, which is some seconds behind."""
    job = next((one for one in workspace.jobs() if one.name == name), None)
    if job is None:
        return 0
    vertices = workspace.flink.get(f"/jobs/{job.id}")["vertices"]
    return max((int(vertex["metrics"]["read-records"]) for vertex in vertices), default=0)


class _Stream:
    """In the place of the stream that a learner's function is given: it remembers by what it was keyed."""

    def __init__(self) -> None:
        self.keys: list[Any] = []

    def __getattr__(self, _name: str) -> Callable[..., "_Stream"]:
        return lambda *_arguments, **_options: self

    def key_by(self, selector: Any, *_types: object, **_options: object) -> "_Stream":
        self.keys.append(getattr(selector, "get_key", selector))
        return self


def _keys(detect: Callable[..., Any], *payments: Payment) -> list[Any]:
    """The keys that a learner's function gives to these payments; empty where that cannot be found out without the job."""
    stream = _Stream()
    try:
        detect(stream)
        return [stream.keys[0](_row(one)) for one in payments]
    except Exception:  # it may need more of a stream than this one has: then the job's answer tells
        return []


def judge_job(observed: OnCluster, detect: Callable[..., Any], _found: object = None) -> Verdict:
    """The function must key by user. The job must raise what plain Python finds, and nothing else."""
    if len(set(keys := _keys(detect, _HOME, _ABROAD))) > 1:
        return wrong(
            Mistake(
                "keys_apart",
                "Two payments of one user have different keys, so they never meet in one state, and no theft is found: key the stream by user.",
            ),
            found=f"the keys {keys[0]!r} and {keys[1]!r} for two payments of user {_HOME.user}",
            expected="one key for each user",
        )
    if wrongly := observed.raised - observed.may:
        return wrong(
            Mistake(
                "others_raised",
                "The job has raised hours that are not suspicious. The payments of several users meet in one state: key the stream by user.",
            ),
            found=f"{len(wrongly)} hours that no user's payments make suspicious",
            expected=f"{len(observed.must)} suspicious hours",
        )
    missing = observed.must - observed.raised
    if missing:
        at_rest = wrong(
            Mistake(
                "hours_missing",
                "Payments come in, and hours are missing. All payments of a user must meet in one state: what is the stream keyed by?",
            ),
            found=f"{len(observed.must & observed.raised)} of {len(observed.must)} suspicious hours",
            expected="all of them",
        )
        # Answers are handed out at checkpoints, which a busy machine delays: that nothing has come says nothing yet.
        arrived = observed.raised and observed.read >= observed.payments
        return not_yet(
            f"The job has raised {len(observed.must) - len(missing)} of {len(observed.must)} suspicious hours so far.",
            at_rest=at_rest if arrived else None,
        )
    return right(
        "One payment at a time, each user with a memory of their own, and the same hours as over the finished history."
    )


ON_CLUSTER = Exercise(
    number="04.5",
    title="Run it on the cluster",
    task="write the function that keys the stream of payments by user, and lets your Detector process it.",
    hints=(
        "Two calls, one behind the other. The first says which payments belong together, the second what is done with each.",
        "`payments.key_by(function, key_type=Types.INT())`: the function gets a payment, and gives its key. Then `.process(…)`.",
        '`payments.key_by(lambda payment: payment["user_id"], key_type=Types.INT()).process(Detector(), output_type=Types.LONG())`',
    ),
    shape="the function, and what `lab.watch` returned for its stream",
    observe=observe_job,
    judge=judge_job,
    patience_s=60,
    job=OWN_DETECTOR,
    accepts=callable,
)


# 04.6


AWAKE = "windows-awake"
_DELAY_MIN = 5
_PAGE_IS_BEHIND_MIN = 1.5
"""How long Flink may take to know a watermark, on a busy machine, while a payment comes every second."""


def observe_watermark(workspace: Workspace, _table: object) -> float | None:
    """By how many minutes the job's watermark is behind the newest payment; None while Flink knows no watermark."""
    known = [time_ms for _, _, time_ms in workspace.watermarks(AWAKE) if time_ms > 0]
    newest = workspace.rows("SELECT MAX(transaction_time) AS newest FROM transactions")[0]["newest"]
    if not known or newest is None:
        return None
    return float((newest - datetime.fromtimestamp(max(known) / 1000, UTC).replace(tzinfo=None)) / timedelta(minutes=1))


def judge_watermark(behind_min: float | None, _table: str) -> Verdict:
    """The watermark must follow the one partition that has payments, by the delay."""
    if behind_min is None:
        return not_yet("Flink knows no watermark of your job yet. It needs some seconds, and a payment.")
    found, expected = f"a watermark {behind_min:.0f} minutes behind the newest payment", f"{_DELAY_MIN} minutes"
    if behind_min > 30:
        return not_yet(
            "The watermark is where the bank's history ended. Run the cell in which Cleo pays, and look again.",
            at_rest=wrong(
                Mistake(
                    "stalled",
                    "Cleo pays, and the watermark has not moved: three partitions are quiet, and the slowest one counts. After how long is a"
                    " partition idle?",
                ),
                found=found,
                expected=expected,
            ),
        )
    if not _DELAY_MIN - 0.2 <= behind_min <= _DELAY_MIN + _PAGE_IS_BEHIND_MIN:
        return not_yet(
            "The watermark moves, and Flink's page is some seconds behind.",
            at_rest=wrong(
                Mistake("other_delay", "The watermark follows the payments by another delay than five minutes."),
                found=found,
                expected=expected,
            ),
        )
    return right("The watermark follows the only partition that has payments. Waiting for the quiet ones is over.")


WAKE = Exercise(
    number="04.6",
    title="Wake the watermark",
    task="write the statement that makes the table `timed_payments`, with a watermark and a time after which a partition is idle.",
    hints=(
        "Four columns at most: the user, the country if you like, the time, and no column for the watermark: `WATERMARK FOR` stands where a"
        " column stands.",
        "`WATERMARK FOR transaction_time AS transaction_time - INTERVAL '5' MINUTE` in the list of columns, and among the options"
        " `'scan.watermark.idle-timeout' = '2 s'`.",
        "The options: `'connector' = 'kafka'`, `'topic' = '${transaction_mid}'`, `${kafka_options}`, `'scan.startup.mode' ="
        " 'earliest-offset'`, the idle timeout, `'format' = 'json'`, `'json.timestamp-format.standard' = 'ISO-8601'`.",
    ),
    shape="a CREATE TEMPORARY TABLE statement, as text",
    observe=observe_watermark,
    judge=judge_watermark,
    accepts=is_text,
    patience_s=60,
    job=AWAKE,
)


# 04.7


@dataclass(frozen=True, slots=True)
class Arrival:
    """A payment, the watermark when it arrives (in minutes after noon, None before there is one), and whether it is late."""

    payment: Payment
    watermark: float | None
    late: bool


_MS = 1 / MINUTE
_ON_TIME_TO_SIDE = Mistake(
    "on_time_to_side",
    "A payment younger than the watermark went to the side output: which way round is your comparison?",
)
_LATE_IN_MAIN = Mistake(
    "late_in_main", "A payment behind the watermark is in the main output, together with those that are on time."
)

_SPLITS: tuple[tuple[str, tuple[Arrival, ...], Mistake], ...] = (
    (
        "a payment of 12:00, before there is a watermark",
        (Arrival(Payment(901, 17, 0, "20", "DE"), None, late=False),),
        Mistake(
            "late_without_watermark",
            "Before the first watermark nothing is late. The clock on the wall says nothing about event time.",
        ),
    ),
    (
        "a payment of 12:30 with the watermark at 12:25",
        (Arrival(Payment(902, 17, 30, "20", "DE"), 25, late=False),),
        _ON_TIME_TO_SIDE,
    ),
    (
        "a payment of 12:20 with the watermark at 12:25",
        (Arrival(Payment(903, 17, 20, "400", "FR"), 25, late=True),),
        _LATE_IN_MAIN,
    ),
    (
        "a payment of 12:25 with the watermark at 12:25",
        (Arrival(Payment(904, 17, 25, "20", "DE"), 25, late=True),),
        Mistake(
            "at_the_watermark",
            "A payment exactly at the watermark is late: a watermark *t* says that nothing at or before *t* is expected any more.",
        ),
    ),
    (
        "a payment one millisecond younger than the watermark",
        (Arrival(Payment(905, 17, 25 + _MS, "20", "DE"), 25, late=False),),
        _ON_TIME_TO_SIDE,
    ),
    (
        "a payment of 12:20 after one of 13:00, with the watermark at 11:55",
        (
            Arrival(Payment(906, 17, 60, "20", "DE"), -5, late=False),
            Arrival(Payment(907, 17, 20, "20", "DE"), -5, late=False),
        ),
        Mistake(
            "own_watermark",
            "Compare with Flink's watermark, not with the times that your operator has seen: a slower partition may hold the watermark back.",
        ),
    ),
    (
        "two payments of 12:20, of other users, with the watermark at 12:25",
        (
            Arrival(Payment(908, 18, 20, "20", "DE"), 25, late=True),
            Arrival(Payment(909, 19, 20, "1400", "US"), 25, late=True),
        ),
        _LATE_IN_MAIN,
    ),
    (
        "a payment of the day before, with the watermark at 12:25",
        (Arrival(Payment(910, 17, 30 - _DAY, "20", "DE"), 25, late=True),),
        _LATE_IN_MAIN,
    ),
)
"""Name, payments as they arrive, what is wrong if one of them takes the other way."""


def judge_side_output(_observed: None, split: Callable[[], Any]) -> Verdict:
    """The learner's operator must send what is late to the side output, and nothing else."""
    for name, arrivals, mistake in _SPLITS:
        trial = _trial(split)
        for one in arrivals:
            if one.watermark is not None:
                trial.advance(_ms(one.watermark))
            if verdict := _judge_way(_pay(trial, one.payment), one, name, mistake):
                return verdict
    return right("What is late has an output of its own. Nothing is dropped silently, and nothing waits for it.")


def _judge_way(sent: list[Any], arrival: Arrival, name: str, mistake: Mistake) -> Verdict | None:
    """What is wrong with what an operator sends for one payment; None where nothing is."""
    from pyflink.datastream import OutputTag

    payment, number = _row(arrival.payment), arrival.payment.number
    main = side = 0
    for one in sent:
        if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], OutputTag):
            side += 1
            if verdict := _judge_side_value(*one, number):
                return verdict
        elif isinstance(one, OutputTag):
            return wrong(
                Mistake("returned_pair", "Flink takes a returned pair for two results. Yield it: `yield tag, value`."),
                found="the tag as a result of the main output",
                expected="a pair that is yielded",
            )
        elif one == payment:
            main += 1
        elif isinstance(one, int | tuple):
            return wrong(
                Mistake(
                    "without_tag",
                    "Only a pair with the OutputTag itself in front goes to the side output; anything else goes to the main one.",
                ),
                found=f"{one!r} in the main output",
                expected="the payment there, or a pair of the tag and the id",
            )
        else:
            return wrong(
                Mistake("changed_payment", "A payment that is on time goes on as it is: yield the payment itself."),
                found=f"{one!r} in the main output",
                expected="the payment",
            )
    found = f"{main} times in the main output and {side} times in the side output: {name}"
    expected = f"once, in the {'side' if arrival.late else 'main'} output"
    if not main + side:
        return wrong(
            Mistake("dropped", "A payment is in neither output, so nobody will ever know of it."),
            found=found,
            expected=expected,
        )
    if main + side > 1:
        return wrong(
            Mistake("in_both", "A payment was sent twice. One that is late must not go on with the others."),
            found=found,
            expected=expected,
        )
    return wrong(mistake, found=found, expected=expected) if bool(side) != arrival.late else None


def _judge_side_value(tag: Any, value: object, number: int) -> Verdict | None:
    """What is wrong with what goes to the side output; None where nothing is."""
    from pyflink.common import Types

    if value != number:
        return wrong(
            Mistake("side_value", "The side output gets the id of the late payment, and nothing else."),
            found=repr(value),
            expected="a whole number",
        )
    if tag.type_info in (Types.LONG(), Types.PICKLED_BYTE_ARRAY()):
        return None
    return wrong(
        Mistake("tag_type", "The OutputTag says another type than that of a payment's id, which is a BIGINT."),
        found=repr(tag.type_info),
        expected="the type with which Exercise 04.5 yields ids",
    )


SIDE_OUTPUT = Exercise(
    number="04.7",
    title="A late event through a side output",
    task="declare the OutputTag `too_late`, and write the ProcessFunction `SplitLate`.",
    hints=(
        "Three values decide: the payment's event time, the watermark, and which of the two may be equal. Two `yield`, one for each output.",
        "`ctx.timer_service().current_watermark()` is the watermark, `ctx.timestamp()` the event time. Late is what is *at or before* the watermark.",
        '`too_late = OutputTag("too-late", Types.LONG())`; for a late payment `yield too_late, payment["transaction_id"]`, otherwise'
        " `yield payment`.",
    ),
    shape="the class SplitLate, a ProcessFunction that is made without arguments",
    observe=nothing_to_observe,
    judge=judge_side_output,
    accepts=callable,
)


# 04.8


@dataclass(frozen=True, slots=True)
class Found:
    """The bank's own customers: those accused in the topic, those that MySQL's payments accuse, the robbed ones, and all."""

    accused: frozenset[int]
    expected: frozenset[int]
    robbed: frozenset[int]
    customers: frozenset[int]
    activities: int
    expected_activities: int


def observe_found(workspace: Workspace, *_answers: object) -> Found:
    """Reads the activities, and recomputes from MySQL which must be there."""
    raised = {
        record.json["activity_id"]: record.json["user_id"] for record in workspace.records("suspicious_activities")
    }
    with closing(system.connect(workspace.settings, "operator", database=workspace.names.database)) as connection:
        truth = recompute(connection, workspace.settings)
    expected = {f"activity-{one.transaction_id}": one.user_id for one in truth.expected.values()}
    return Found(
        _customers(raised.values()),
        _customers(expected.values()),
        _customers(user for user, _ in truth.labels.values()),
        _customers(row["user_id"] for row in workspace.rows("SELECT DISTINCT user_id FROM transactions")),
        len(raised),
        len(expected),
    )


def _customers(users: Iterable[int]) -> frozenset[int]:
    return frozenset(user for user in users if user < FIRST_OWN_USER)


Score = Callable[[set[int], set[int]], tuple[float, float]]


def judge_score(observed: Found, score: Score) -> Verdict:
    """Both shares, of the learner's job and of one that accuses everybody."""
    if observed.activities < observed.expected_activities:
        return not_yet(
            f"The detector has raised {observed.activities} of {observed.expected_activities} activities so far."
        )
    if observed.accused != observed.expected:
        return wrong(
            Mistake(
                "other_accounts",
                "The detector has accused other accounts than a recomputation in plain SQL. Run the cell that starts it again.",
            ),
            found=f"{len(observed.accused)} accounts",
            expected=f"{len(observed.expected)} accounts",
        )
    for name, accused in (("your job", observed.accused), ("a detector that accuses everybody", observed.customers)):
        hit = len(accused & observed.robbed)
        found = call(score, set(accused), set(observed.robbed))
        if found is None:
            return wrong(NO_RETURN, found=None, expected="two shares")
        precision, recall = (float(one) for one in found)
        mistake = _mistake((precision, recall), (hit / len(accused), hit / len(observed.robbed)))
        if mistake:
            return wrong(
                mistake,
                found=f"precision {precision:.3g}, recall {recall:.3g} for {name}",
                expected="two shares between 0 and 1: of the accused those that were robbed, and of the robbed those that were accused",
            )
    return right(
        "Your job misses some of the robbed. A detector that accuses everybody misses none, and is mostly wrong. You need both numbers."
    )


def _mistake(found: tuple[float, float], wanted: tuple[float, float]) -> Mistake | None:
    """What is wrong with a precision and a recall; None where nothing is."""
    good = [_near(one, other) for one, other in zip(found, wanted, strict=True)]
    if all(good):
        return None
    if all(_near(one, other) for one, other in zip(found, reversed(wanted), strict=False)):
        return SHARES_SWAPPED
    if max(found) > 1:
        return NOT_A_SHARE
    if _near(found[1], 1 - wanted[1]):
        return Mistake("share_not_found", "That recall is the share of the robbed that were *not* found.")
    if not good[0]:
        return Mistake("wrong_precision", "The precision is wrong: of those accused, how many were robbed?")
    return Mistake("wrong_recall", "The recall is wrong: of those robbed, how many were accused?")


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 0.006


SCORE = Exercise(
    number="04.8",
    title="How good is it?",
    task="write the function that gives the precision and the recall of a detector, counted in accounts.",
    hints=(
        "Both begin with the same number: accounts that were robbed *and* accused. `accused & robbed` is that set.",
        "Precision divides its size by the accused, recall by the robbed. The function returns both, precision first.",
        "`precision = len(accused & robbed) / len(accused)`; the recall divides by another set; `return precision, recall`.",
    ),
    shape="a function of two sets of accounts that gives two numbers between 0 and 1",
    observe=observe_found,
    judge=judge_score,
    patience_s=40,
    job=DETECTOR,
    accepts=callable,
)


def outcome(workspace: Workspace) -> None:
    """The detector is running, and has raised the activities of the bank's history."""
    workspace.start_pipeline(DETECTOR)

    def raised() -> bool:
        found = observe_found(workspace)
        return found.activities >= found.expected_activities > 0

    wait_until(raised, "the detector has raised the activities of the history")


LAB = Lab(
    number="04",
    name="windowed-detector",
    title="The windowed detector",
    exercises=(LATE, WINDOWS, HOURS, IN_STATE, ON_CLUSTER, WAKE, SIDE_OUTPUT, SCORE),
    outcome=outcome,
)
