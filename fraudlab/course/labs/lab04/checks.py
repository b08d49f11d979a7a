"""Lab 04, The windowed detector: event time, watermarks, windows aligned to the clock, and the exact hour that ends with each payment."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fraudlab import system
from fraudlab.course.exercise import (
    NO_RETURN,
    NOT_A_SHARE,
    SHARES_SWAPPED,
    Exercise,
    Lab,
    Mistake,
    Verdict,
    call,
    not_yet,
    nothing_to_observe,
    right,
    wrong,
)
from fraudlab.course.jobs import Trial
from fraudlab.course.workspace import FIRST_OWN_USER, Workspace, wait_until
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.records import iso
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
            "A payment outside the hour may stand between two that are inside, because it came late: look at all of them.",
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
    number="04.2",
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


# 04.3


class _Timers:
    def current_processing_time(self) -> int:
        return 0

    def register_processing_time_timer(self, _timestamp: int) -> None:
        """No timer fires while a check tries a function."""


class _Context:
    def timer_service(self) -> _Timers:
        return _Timers()


_NOON_MS = 1_769_860_800_000


def _record(number: int, user: int, minute: float, eur: int, country: str, *, known: bool = True) -> str:
    """A record of `transaction_mid`, as the source gives it to the job; `known`: whether the user's profile had arrived."""
    import orjson

    time_ms = _NOON_MS + round(minute * MINUTE)
    record = {
        "transaction_id": number,
        "user_id": user,
        "user_first_name": "Ada" if known else None,
        "user_last_name": "Lovelace" if known else None,
        "user_email": "ada@example.com" if known else None,
        "user_phone_number": "+49 30 1234567" if known else None,
        "user_home_country": "DE" if known else None,
        "user_suspicious_activity": False if known else None,
        "transaction_amount": f"{eur}.00",
        "transaction_currency": "EUR",
        "transaction_type": "online",
        "transaction_country": country,
        "transaction_merchant": "Books and more",
        "transaction_time": iso(time_ms),
        "created_at": iso(_NOON_MS + 120 * MINUTE),
    }
    return f"3:{40_000 + number}:{orjson.dumps(record).decode()}"


Sent = list[tuple[str, str]]

_HOME, _ABROAD = _record(901, 17, 0, 600, "DE"), _record(902, 17, 10, 600, "FR")
_STRANGERS_THEFT = _record(901, 17, 0, 600, "DE", known=False), _record(902, 17, 10, 600, "FR", known=False)

_STREAMS: tuple[tuple[str, tuple[str, ...], Sent, Mistake], ...] = (
    (
        "one payment",
        (_record(901, 17, 0, 20, "DE"),),
        [],
        Mistake(
            "first_payment",
            "A payment that is not suspicious sends nothing. A user's first payment finds no state: `value()` gives None.",
        ),
    ),
    (
        "a theft in two payments",
        (_HOME, _ABROAD),
        [("suspicious_activities", "activity-902")],
        Mistake(
            "state_not_kept",
            "The second payment of a theft must raise its hour. Do you write the new history back to the state?",
        ),
    ),
    (
        "two people, each in their own country",
        (_HOME, _record(902, 18, 10, 600, "FR")),
        [],
        Mistake(
            "state_shared",
            "Two honest people were taken for one thief. Keep what you remember in Flink's keyed state: each user has their own.",
        ),
    ),
    (
        "a theft, and the same record of it once more",
        (_HOME, _ABROAD, _ABROAD),
        [("suspicious_activities", "activity-902")],
        Mistake("duplicate_raised", "The same record came twice, so the same activity was raised twice."),
    ),
    (
        "a payment that is 40 minutes late",
        (_record(901, 17, 60, 600, "DE"), _record(902, 17, 20, 600, "FR")),
        [("dead_letters", "transaction-902")],
        Mistake("late_dropped", "A payment that is too late is not dropped silently: it must become a dead letter."),
    ),
    (
        "a payment that is 20 minutes late",
        (_record(901, 17, 60, 600, "DE"), _record(902, 17, 40, 600, "FR")),
        [("suspicious_activities", "activity-901")],
        Mistake(
            "late_not_counted",
            "A payment that is late, but not too late, raises the hour that it changes, and is not a dead letter.",
        ),
    ),
    (
        "a theft whose profile comes later, and then changes",
        (*_STRANGERS_THEFT, _ABROAD, _ABROAD),
        [("suspicious_activities", "activity-902")],
        Mistake(
            "waiting_kept",
            "A theft waited for its user's profile, was raised once the profile came, and must wait no longer. Write the state also where"
            " only the waiting activities have changed.",
        ),
    ),
    (
        "a theft whose profile comes with a payment that is 50 minutes late",
        (*_STRANGERS_THEFT, _record(903, 17, -40, 20, "DE")),
        [("dead_letters", "transaction-903"), ("suspicious_activities", "activity-902")],
        Mistake(
            "ended_by_a_latecomer",
            "A payment that is too late still brings the user's profile: what waits for it must be raised. Go on after the dead letter.",
        ),
    ),
)


def judge_detector(_observed: None, detector: Callable[..., Any]) -> Verdict:
    """The learner's detector, run in this process on short streams, must send what the pipeline's does."""
    for name, values, expected, mistake in _STREAMS:
        messages = _sent(detector, values)
        found = [(topic, message.get("activity_id") or message["dead_letter_id"]) for topic, message in messages]
        if found != expected:
            return wrong(mistake, found=f"{_listed(found)} for {name}", expected=_listed(expected))
        for letter in (message for topic, message in messages if topic == "dead_letters"):
            if not letter["reason"].strip() or letter["payload"] != values[-1].split(":", 2)[2]:
                return wrong(
                    Mistake("empty_letter", "A dead letter needs the reason, and the record as it came."),
                    found=f"the reason {letter['reason']!r}, the payload {letter['payload'][:40]!r} …",
                    expected="why the record was not used, and its text",
                )
    return right(
        "The job reads the state once and writes it once for each payment. That is all Flink sees of the rule."
    )


def _sent(detector: Callable[..., Any], values: Sequence[str]) -> list[tuple[str, Any]]:
    """Topic and message of what a detector sends, with a state for each user."""
    import orjson

    trial = Trial(lambda: call(detector, _RULE, Names()))
    sent = []
    for value in values:
        for row in trial.process_element(orjson.loads(value.split(":", 2)[2])["user_id"], value, _Context()):
            sent.append((row[0], orjson.loads(row[2])))
    return sent


def _listed(sent: Sent) -> str:
    return ", ".join(f"{ident} in {topic}" for topic, ident in sent) or "nothing"


IN_STATE = Exercise(
    number="04.3",
    title="Inside the job",
    task="read the user's state, ask the rule, send what is too late to the dead letters, and put the new state back.",
    hints=(
        '`self._user.value()` returns what was stored for this user, or None for a new user: then use `(b"", ())`.',
        "`judge(self._rule, history, payment)` gives the verdict. `self._dead_letter(…)` makes the row; it must be yielded.",
        "The state is a pair: `self._user.update((verdict.history, activities))`. Write it when something has changed.",
    ),
    shape="a class like the pipeline's FraudDetector",
    observe=nothing_to_observe,
    judge=judge_detector,
)


# 04.4


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
    number="04.4",
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
    exercises=(LATE, HOURS, IN_STATE, SCORE),
    outcome=outcome,
)
