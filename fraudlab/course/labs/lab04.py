"""Lab 04, The windowed detector: event time, watermarks, windows in rows, and the exact hour that ends with each payment."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fraudlab import system
from fraudlab.course.exercise import Example, Exercise, Lab, Verdict, call, not_yet, nothing_to_observe, right, wrong
from fraudlab.course.jobs import ValueOfOneUser
from fraudlab.course.world import FIRST_OWN_USER, World, wait_until
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.records import iso
from fraudlab.pipeline.rule import Rule
from fraudlab.verification.truth import recompute

DETECTOR = "fraud-detector"


# 04.1

_ARRIVALS: tuple[tuple[list[int], int, list[int], str], ...] = (
    ([0, 10, 20, 30], 5, [], "In order of event time nothing is late."),
    ([0, 30, 20], 5, [20], "20 comes when 30 has been seen: with 5 minutes of patience the watermark stands at 25."),
    (
        [0, 30, 25],
        5,
        [],
        "25 comes when the watermark stands at 25. It says that nothing *older* is expected: 25 itself is in time.",
    ),
    (
        [0, 30, 10, 20],
        5,
        [10, 20],
        "A late payment does not move the watermark back: after 30 and 10 it still stands at 25, so 20 is late, too.",
    ),
    ([0, 30, 20], 15, [], "With 15 minutes of patience the watermark stands at 15 when 20 comes."),
    (
        [40, 0, 60, 40, 70, 60],
        10,
        [0, 40],
        "Each arrival is compared with the watermark that those before it have made.",
    ),
)


def judge_late(_observed: None, late: Callable[[Sequence[int], int], Iterable[int]]) -> Verdict:
    """The function must name the times that come behind the watermark, in order of arrival."""
    for times, delay, expected, sentence in _ARRIVALS:
        found = call(late, list(times), delay)
        if found is None:
            return wrong(
                "The function gives nothing back: it lacks a `return`.", found=None, expected="a list of times"
            )
        if list(found) != expected:
            return wrong(
                sentence,
                found=f"{list(found)} late of the arrivals {times} with a delay of {delay}",
                expected="those older than the latest time seen before them, minus the delay",
            )
    return right("Now you know what a watermark costs: who waits longer loses less, and answers later.")


def _late_by_position(times: Sequence[int], delay: int) -> list[int]:
    return [time for place, time in enumerate(times) if any(time < earlier - delay for earlier in times[:place])]


def _late_to_the_one_before(times: Sequence[int], delay: int) -> list[int]:
    return [time for before, time in pairwise(times) if time < before - delay]


def _late_without_patience(times: Sequence[int], _delay: int) -> list[int]:
    return _late_by_position(times, 0)


def _late_when_equal(times: Sequence[int], delay: int) -> list[int]:
    return [time for place, time in enumerate(times) if any(time <= earlier - delay for earlier in times[:place])]


def _late_to_all(times: Sequence[int], delay: int) -> list[int]:
    return [time for time in times if time < max(times) - delay]


LATE = Exercise(
    number="04.1",
    title="What comes late?",
    task="write the function that names the payments which come behind the watermark.",
    hints=(
        "Go through the times in order of arrival, and keep one more value: the latest time seen so far.",
        "When a payment comes, the watermark is `latest - delay`. Compare first, and then bring `latest` up to date.",
        "`if time < latest - delay: found.append(time)`, then `latest = max(latest, time)`.",
    ),
    shape="a function of a list of times and a delay that gives a list of times",
    observe=nothing_to_observe,
    judge=judge_late,
    right=[Example((_late_by_position,)), Example((lambda times, delay: tuple(_late_by_position(times, delay)),))],
    wrong=[
        Example((_late_to_all,), says=_ARRIVALS[0][3]),
        Example((_late_without_patience,), says=_ARRIVALS[2][3]),
        Example((_late_when_equal,), says=_ARRIVALS[2][3]),
        Example((_late_to_the_one_before,), says=_ARRIVALS[3][3]),
        Example((lambda times, delay: sorted(_late_by_position(times, delay), reverse=True),), says=_ARRIVALS[3][3]),
        Example((lambda times, delay: None,), says="The function gives nothing back: it lacks a `return`."),
        Example(([20],), says="The check cannot read this answer."),
    ],
)


# 04.2

MINUTE = 60_000
_RULE = Rule()
_NOON = datetime(2026, 1, 31, 12)

Paid = tuple[datetime, str, Decimal]
"""A payment of one user, as the exercise has it: when, where, and its worth in EUR."""


def _paid(minute: float, eur: str, country: str) -> Paid:
    return _NOON + timedelta(minutes=minute), country, Decimal(eur)


_ALMOST_AN_HOUR = 60 - 1 / MINUTE

_HISTORIES: tuple[tuple[str, tuple[Paid, ...], float, bool, str], ...] = (
    (
        "600 EUR in DE, and 600 EUR in FR ten minutes later",
        (_paid(0, "600", "DE"), _paid(10, "600", "FR")),
        10,
        True,
        "Two countries and 1,200 EUR within ten minutes: the hour that ends with the second payment is suspicious.",
    ),
    (
        "600 EUR in DE, which end the hour, and 600 EUR in FR ten minutes later",
        (_paid(0, "600", "DE"), _paid(10, "600", "FR")),
        0,
        False,
        "The hour is over at `end`: what was paid after it is not in it.",
    ),
    (
        "600 EUR in DE, and 600 EUR in FR exactly one hour later",
        (_paid(0, "600", "DE"), _paid(60, "600", "FR")),
        60,
        False,
        "The hour is open at its beginning: a payment exactly one hour before its end is outside.",
    ),
    (
        "600 EUR in DE, and 600 EUR in FR a millisecond less than one hour later",
        (_paid(0, "600", "DE"), _paid(_ALMOST_AN_HOUR, "600", "FR")),
        _ALMOST_AN_HOUR,
        True,
        "A payment that lies less than one hour before the end is inside.",
    ),
    (
        "600 EUR in DE at 12:55, and 600 EUR in FR at 13:05",
        (_paid(55, "600", "DE"), _paid(65, "600", "FR")),
        65,
        True,
        "The hour begins an hour before `end`, not when the clock strikes.",
    ),
    (
        "900 EUR in DE, and 200 EUR in FR three hours later",
        (_paid(0, "900", "DE"), _paid(180, "200", "FR")),
        180,
        False,
        "The list holds more than the hour: what lies before it counts neither for the countries nor for the sum.",
    ),
    (
        "1,200 EUR in DE only",
        (_paid(0, "600", "DE"), _paid(10, "600", "DE")),
        10,
        False,
        "Two payments in one country are one country.",
    ),
    (
        "600 EUR in DE, 10 EUR in FR, and twice 300 EUR in DE",
        (_paid(0, "600", "DE"), _paid(30, "10", "FR"), _paid(40, "300", "DE"), _paid(50, "300", "DE")),
        50,
        True,
        "The country that makes it suspicious need not be that of the last payment, nor of the one before.",
    ),
    (
        "600 EUR in DE and 400 EUR in FR",
        (_paid(0, "600", "DE"), _paid(10, "400", "FR")),
        10,
        True,
        "Exactly 1,000 EUR is enough: the rule says *at least*.",
    ),
    (
        "600 EUR in DE and 399.99 EUR in FR",
        (_paid(0, "600", "DE"), _paid(10, "399.99", "FR")),
        10,
        False,
        "999.99 EUR are less than 1,000: a cent is a cent.",
    ),
    (
        "600 EUR in DE and 600 EUR in FR at the same moment",
        (_paid(0, "600", "DE"), _paid(0, "600", "FR")),
        0,
        True,
        "Two payments at the same moment are in one hour.",
    ),
    (
        "600 EUR in FR, and then one of 600 EUR in DE that happened ten minutes before and comes last",
        (_paid(10, "600", "FR"), _paid(0, "600", "DE")),
        10,
        True,
        "The payments lie in the order in which they arrived, and that need not be the order in which they were made.",
    ),
)


def judge_hours(_observed: None, suspicious: Callable[[list[Paid], datetime], Any]) -> Verdict:
    """The learner's function must say of each hour whether it is suspicious."""
    for name, payments, end_minute, expected, sentence in _HISTORIES:
        found = call(suspicious, list(payments), _NOON + timedelta(minutes=end_minute))
        if found is None and expected:
            return wrong("The function gives nothing back: it lacks a `return`.", found=None, expected="True or False")
        if bool(found) != expected:
            return wrong(sentence, found=f"{found!r} for {name}", expected=str(expected))
    return right("Ten lines, no clock, no cluster. This is the whole rule, for payments that nobody has to wait for.")


_Inside = Callable[[datetime, datetime], bool]
_HOUR = timedelta(hours=1)


def _suspicious(
    inside: _Inside = lambda time, end: end - _HOUR < time <= end,
    enough: Callable[[Decimal], bool] = lambda total: total >= 1000,
    countries: Callable[[list[str]], int] = lambda found: len(set(found)),
) -> Callable[[list[Paid], datetime], bool]:
    """The function as a learner may write it; each part may be a mistake."""

    def suspicious(payments: list[Paid], end: datetime) -> bool:
        hour = [(country, eur) for time, country, eur in payments if inside(time, end)]
        total = sum((eur for _, eur in hour), Decimal(0))
        return countries([country for country, _ in hour]) >= 2 and enough(total)

    return suspicious


def _by_a_loop(payments: list[Paid], end: datetime) -> bool | None:
    total, seen = Decimal(0), []
    for time, country, eur in payments:
        if 0 <= (end - time).total_seconds() < 3600:
            total += eur
            if country not in seen:
                seen.append(country)
    if total >= 1000 and len(seen) > 1:
        return True
    return None


def _last_ones_only(payments: list[Paid], end: datetime) -> bool:
    """Goes back from the end of the list, and stops at the first payment that is not in the hour."""
    hour: list[Paid] = []
    for paid in reversed(payments):
        if not end - _HOUR < paid[0] <= end or (hour and paid[0] > hour[-1][0]):
            break
        hour.append(paid)
    return len({country for _, country, _ in hour}) >= 2 and sum(eur for _, _, eur in hour) >= 1000


def _last_against_the_others(payments: list[Paid], end: datetime) -> bool:
    hour = [paid for paid in payments if end - _HOUR < paid[0] <= end]
    abroad = hour[-2:-1] != [] and hour[-2][1] != hour[-1][1]
    return abroad and sum(eur for _, _, eur in hour) >= 1000


HOURS = Exercise(
    number="04.2",
    title="The hour that ends with each payment",
    task="write the function that says whether the hour that ends at `end` is suspicious.",
    hints=(
        "Three steps: pick the payments that lie in the hour; find their countries and their sum; compare both with the rule.",
        "A payment lies in the hour when its time is *after* `end - timedelta(hours=1)`, and not after `end`. A set knows each country once.",
        "`hour = [(country, eur) for time, country, eur in payments if start < time <= end]`, with the right `start`. Then countries and sum.",
    ),
    shape="a function of a list of payments and the end of an hour that gives True or False",
    observe=nothing_to_observe,
    judge=judge_hours,
    right=[
        Example((_suspicious(),)),
        Example((_by_a_loop,)),
        Example((_suspicious(lambda time, end: timedelta(0) <= end - time < _HOUR),)),
    ],
    wrong=[
        Example((_suspicious(lambda time, end: end - _HOUR <= time <= end),), says=_HISTORIES[2][4]),
        Example((_suspicious(lambda time, end: end - _HOUR < time < end),), says=_HISTORIES[0][4]),
        Example((_suspicious(lambda time, end: end - _HOUR < time),), says=_HISTORIES[1][4]),
        Example((_suspicious(lambda time, end: time <= end),), says=_HISTORIES[2][4]),
        Example((_suspicious(lambda time, end: end - timedelta(minutes=59) <= time <= end),), says=_HISTORIES[3][4]),
        Example((_suspicious(lambda time, end: time.hour == end.hour and time <= end),), says=_HISTORIES[4][4]),
        Example(
            (_suspicious(lambda time, end: 0 <= (end - time).seconds < 3600 and time < end),), says=_HISTORIES[0][4]
        ),
        Example((_suspicious(countries=len),), says=_HISTORIES[6][4]),
        Example((_last_against_the_others,), says=_HISTORIES[7][4]),
        Example((_last_ones_only,), says=_HISTORIES[11][4]),
        Example((_suspicious(enough=lambda total: total > 1000),), says=_HISTORIES[8][4]),
        Example((_suspicious(enough=lambda total: round(total) >= 1000),), says=_HISTORIES[9][4]),
        Example((lambda payments, end: None,), says="The function gives nothing back: it lacks a `return`."),
        Example((lambda payments, end: len(payments) >= 2,), says=_HISTORIES[1][4]),
        Example((True,), says="The check cannot read this answer."),
    ],
)


# 04.3


def _with_edits(
    source: str, edits: Iterable[tuple[str, str]], namespace: dict[str, Any], name: str
) -> Callable[..., Any]:
    for old, new in edits:
        assert source.count(old) == 1, f"{source.count(old)} times in the pipeline's source: {old}"
        source = source.replace(old, new)
    defined = dict(namespace)
    exec(source, defined)  # noqa: S102 - the pipeline's own source, with the edits below
    return defined[name]  # type: ignore[no-any-return]


class _Timers:
    def current_processing_time(self) -> int:
        return 0

    def register_processing_time_timer(self, _timestamp: int) -> None:
        """Nothing wakes up while a check tries a function."""


class _Context:
    def timer_service(self) -> _Timers:
        return _Timers()


_NOON_MS = 1_769_860_800_000


def _record(number: int, user: int, minute: float, eur: int, country: str) -> str:
    import orjson

    time_ms = _NOON_MS + round(minute * MINUTE)
    record = {
        "transaction_id": number,
        "user_id": user,
        "user_first_name": "Ada",
        "user_last_name": "Lovelace",
        "user_email": "ada@example.com",
        "user_phone_number": "+49 30 1234567",
        "user_suspicious_activity": False,
        "transaction_amount": f"{eur}.00",
        "transaction_currency": "EUR",
        "transaction_country": country,
        "transaction_time": iso(time_ms),
        "created_at": iso(_NOON_MS + 120 * MINUTE),
    }
    return f"0:{number}:{orjson.dumps(record).decode()}"


Sent = list[tuple[str, str]]

_STREAMS: tuple[tuple[str, tuple[str, ...], Sent, str], ...] = (
    (
        "one payment",
        (_record(1, 7, 0, 20, "DE"),),
        [],
        "A payment that is not suspicious sends nothing. The first payment of a user finds no state: `value()` gives None.",
    ),
    (
        "a theft in two payments",
        (_record(1, 7, 0, 600, "DE"), _record(2, 7, 10, 600, "FR")),
        [("suspicious_activities", "activity-2")],
        "The second payment of a theft must raise its hour. Is the new history put back into the state?",
    ),
    (
        "two people, each in their own country",
        (_record(1, 7, 0, 600, "DE"), _record(2, 8, 10, 600, "FR")),
        [],
        "Two honest people were taken for one thief. What you remember must lie in Flink's state, which is kept for each user.",
    ),
    (
        "a theft, and the same record of it once more",
        (_record(1, 7, 0, 600, "DE"), _record(2, 7, 10, 600, "FR"), _record(2, 7, 10, 600, "FR")),
        [("suspicious_activities", "activity-2")],
        "The same record came twice, so the same activity was raised twice.",
    ),
    (
        "a payment that is 40 minutes late",
        (_record(1, 7, 60, 600, "DE"), _record(2, 7, 20, 600, "FR")),
        [("dead_letters", "transaction-2")],
        "What is too late is not dropped in silence: it must become a dead letter.",
    ),
    (
        "a payment that is 20 minutes late",
        (_record(1, 7, 60, 600, "DE"), _record(2, 7, 40, 600, "FR")),
        [("suspicious_activities", "activity-1")],
        "A payment that is late, but not too late, raises the hour that it changes, and is no dead letter.",
    ),
)


def judge_detector(_observed: None, detector: Callable[..., Any]) -> Verdict:
    """The learner's detector, run in this process on short streams, must send what the pipeline's does."""
    for name, values, expected, sentence in _STREAMS:
        found = _sent(detector, values)
        if found != expected:
            return wrong(sentence, found=f"{_listed(found)} for {name}", expected=_listed(expected))
    return right("State is read once and written once a payment. That is all Flink sees of the rule.")


def _sent(detector: Callable[..., Any], values: Sequence[str]) -> Sent:
    """Topic and id of what a detector sends, with a state for each user."""
    import orjson

    made = call(detector, _RULE, Names())
    states: dict[int, ValueOfOneUser] = {}
    sent: Sent = []

    def process_element(value: str) -> list[Any]:
        return list(made.process_element(value, _Context()) or ())

    for value in values:
        user = orjson.loads(value.split(":", 2)[2])["user_id"]
        made._user = states.setdefault(user, ValueOfOneUser())
        for row in call(process_element, value):
            message = orjson.loads(row[2])
            sent.append((row[0], message.get("activity_id") or message["dead_letter_id"]))
    return sent


def _listed(sent: Sent) -> str:
    return ", ".join(f"{ident} in {topic}" for topic, ident in sent) or "nothing"


def _detector(*edits: tuple[str, str]) -> Callable[..., Any]:
    """The pipeline's detector with other text in some places. PyFlink is imported when it is made, not with the labs."""

    def make(*arguments: object) -> Any:
        from fraudlab.pipeline import detector

        source = inspect.getsource(detector.FraudDetector)
        return _with_edits(source, edits, vars(detector), "FraudDetector")(*arguments)

    return make


_READ = 'history, waiting = self._user.value() or (b"", ())'
_WRITE = "self._user.update((verdict.history, activities))"
_CALLED = "verdict = judge(self._rule, history, payment)"
_LETTER = 'yield self._dead_letter("later than the allowed lateness", payment.transaction_id, partition, offset, text)'
_IF_LATE = "if verdict.arrival is Arrival.TOO_LATE:"
_IF_CHANGED = "if verdict.history is not history or len(activities) != len(waiting):"

IN_STATE = Exercise(
    number="04.3",
    title="Inside the job",
    task="read the user's state, ask the rule, send what is too late to the dead letters, and put the new state back.",
    hints=(
        '`self._user.value()` gives what was kept for this user, or None for somebody new: then `(b"", ())`.',
        "`judge(self._rule, history, payment)` gives the verdict. `self._dead_letter(…)` makes the row; it must be yielded.",
        "The state is a pair: `self._user.update((verdict.history, activities))`. Write it when something has changed.",
    ),
    shape="a class like the pipeline's FraudDetector",
    observe=nothing_to_observe,
    judge=judge_detector,
    right=[
        Example((_detector(),)),
        Example((_detector((_IF_CHANGED, "if True:")),)),
        Example(
            (_detector((_READ, "history, waiting = (b'', ()) if self._user.value() is None else self._user.value()")),)
        ),
    ],
    wrong=[
        Example((_detector((_WRITE, "pass")),), says=_STREAMS[1][3]),
        Example((_detector((_WRITE, "self._user.update((history, activities))")),), says=_STREAMS[1][3]),
        Example(
            (
                _detector(
                    (_READ, 'history, waiting = getattr(self, "_kept", None) or (b"", ())'),
                    (_WRITE, "self._kept = (verdict.history, activities)"),
                ),
            ),
            says=_STREAMS[2][3],
        ),
        Example((_detector((_LETTER, "pass")),), says=_STREAMS[4][3]),
        Example((_detector((_LETTER, "return")),), says=_STREAMS[4][3]),
        Example((_detector((_IF_LATE, "if verdict.arrival is not Arrival.COUNTED:")),), says=_STREAMS[3][3]),
        Example((_detector((_CALLED, 'verdict = judge(self._rule, b"", payment)')),), says=_STREAMS[1][3]),
        Example(("FraudDetector",), says="The check cannot read this answer."),
    ],
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


def observe_found(world: World, *_answers: object) -> Found:
    """Reads the activities, and recomputes from MySQL which must be there."""
    raised = {record.json["activity_id"]: record.json["user_id"] for record in world.records("suspicious_activities")}
    with closing(system.connect(world.settings, "operator", database=world.names.database)) as connection:
        truth = recompute(connection, world.settings)
    expected = {f"activity-{one.transaction_id}": one.user_id for one in truth.expected.values()}
    return Found(
        _customers(raised.values()),
        _customers(expected.values()),
        _customers(user for user, _ in truth.labels.values()),
        _customers(row["user_id"] for row in world.rows("SELECT DISTINCT user_id FROM transactions")),
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
            "The detector has accused others than a recomputation in plain SQL does. Run the cell that starts it again.",
            found=f"{len(observed.accused)} accounts",
            expected=f"{len(observed.expected)} accounts",
        )
    for name, accused in (("your job", observed.accused), ("a detector that accuses everybody", observed.customers)):
        hit = len(accused & observed.robbed)
        found = call(score, set(accused), set(observed.robbed))
        if found is None:
            return wrong("The function gives nothing back: it lacks a `return`.", found=None, expected="two shares")
        precision, recall = (float(one) for one in found)
        mistake = _mistake((precision, recall), (hit / len(accused), hit / len(observed.robbed)))
        if mistake:
            return wrong(
                mistake,
                found=f"precision {precision:.3g}, recall {recall:.3g} for {name}",
                expected="two shares between 0 and 1: of the accused those that were robbed, and of the robbed those that were accused",
            )
    return right(
        "Your job misses some of the robbed. Who accuses everybody misses none, and is mostly wrong. It takes both numbers."
    )


def _mistake(found: tuple[float, float], wanted: tuple[float, float]) -> str | None:
    """What is wrong with a precision and a recall; None where nothing is."""
    good = [_near(one, other) for one, other in zip(found, wanted, strict=True)]
    if all(good):
        return None
    if all(_near(one, other) for one, other in zip(found, reversed(wanted), strict=False)):
        return "The two are the wrong way round: precision first."
    if max(found) > 1:
        return "A share lies between 0 and 1; these are counts or percentages."
    if _near(found[1], 1 - wanted[1]):
        return "That recall is the share of the robbed that were *not* found."
    if not good[0]:
        return "The precision is another one: of those accused, how many were robbed?"
    return "The recall is another one: of those robbed, how many were accused?"


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 0.006


_EVERYBODY = frozenset(range(1, 21))
_FOUND = Found(frozenset({1, 2, 3}), frozenset({1, 2, 3}), frozenset({1, 2, 4, 5, 6}), _EVERYBODY, 9, 9)
_GOOD = Found(frozenset({1, 2}), frozenset({1, 2}), frozenset({1, 2, 4, 5, 6}), _EVERYBODY, 9, 9)
_EARLY = Found(frozenset({1}), frozenset({1, 2, 3}), frozenset({1, 2, 4, 5, 6}), _EVERYBODY, 4, 9)
_OTHERS = Found(frozenset({1, 9}), frozenset({1, 2}), frozenset({1, 2, 4}), _EVERYBODY, 9, 9)


def _score(accused: set[int], robbed: set[int]) -> tuple[float, float]:
    return len(accused & robbed) / len(accused), len(accused & robbed) / len(robbed)


def _score_by_counting(accused: set[int], robbed: set[int]) -> list[float]:
    hit = sum(user in robbed for user in accused)
    return [round(hit / len(accused), 2), round(1 - len(robbed - accused) / len(robbed), 2)]


SCORE = Exercise(
    number="04.4",
    title="How good is it?",
    task="write the function that gives the precision and the recall of a detector, counted in accounts.",
    hints=(
        "Both begin with the same number: accounts that were robbed *and* accused. `accused & robbed` is that set.",
        "Precision divides it by the accused, recall by the robbed. The function gives both, precision first.",
        "`precision = len(accused & robbed) / len(accused)`; the recall has another set below the line; `return precision, recall`.",
    ),
    shape="a function of two sets of accounts that gives two numbers between 0 and 1",
    observe=observe_found,
    judge=judge_score,
    right=[Example((_score,), _FOUND), Example((_score,), _GOOD), Example((_score_by_counting,), _FOUND)],
    wrong=[
        Example(
            (lambda accused, robbed: _score(accused, robbed)[::-1],),
            _FOUND,
            "The two are the wrong way round: precision first.",
        ),
        Example(
            (lambda accused, robbed: [100 * one for one in _score(accused, robbed)],),
            _FOUND,
            "A share lies between 0 and 1; these are counts or percentages.",
        ),
        Example(
            (lambda accused, robbed: (_score(accused, robbed)[0], len(robbed - accused) / len(robbed)),),
            _FOUND,
            "That recall is the share of the robbed that were *not* found.",
        ),
        Example(
            (lambda accused, robbed: (len(accused - robbed) / len(accused), _score(accused, robbed)[1]),),
            _FOUND,
            "The precision is another one: of those accused, how many were robbed?",
        ),
        Example(
            (lambda accused, robbed: (1.0, _score(accused, robbed)[1]),),  # right for the job, whose precision is 1
            _GOOD,
            "The precision is another one: of those accused, how many were robbed?",
        ),
        Example(
            (lambda accused, robbed: (_score(accused, robbed)[0], len(accused & robbed) / len(accused | robbed)),),
            _FOUND,
            "The recall is another one: of those robbed, how many were accused?",
        ),
        Example((lambda accused, robbed: None,), _FOUND, "The function gives nothing back: it lacks a `return`."),
        Example((_score,), _EARLY, "The detector has raised 4 of 9 activities so far."),
        Example(
            (_score,),
            _OTHERS,
            "The detector has accused others than a recomputation in plain SQL does. Run the cell that starts it again.",
        ),
        Example((0.67,), _FOUND, "The check cannot read this answer."),
    ],
    patience_s=40,
)


def outcome(world: World) -> None:
    """The detector runs, and has raised what the bank's history holds."""
    world.start_pipeline(DETECTOR)

    def raised() -> bool:
        found = observe_found(world)
        return found.activities >= found.expected_activities > 0

    wait_until(raised, "the detector has raised the activities of the history")


LAB = Lab(
    number="04",
    name="windowed-detector",
    title="The windowed detector",
    exercises=(LATE, HOURS, IN_STATE, SCORE),
    outcome=outcome,
)
