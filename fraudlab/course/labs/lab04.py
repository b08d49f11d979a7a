"""Lab 04, The windowed detector: event time, watermarks, windows in rows, and the exact hour that ends with each payment."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fraudlab import system
from fraudlab.course.exercise import Example, Exercise, Lab, Verdict, call, not_yet, nothing_to_observe, right, wrong
from fraudlab.course.jobs import ValueOfOneUser
from fraudlab.course.world import FIRST_OWN_USER, World, wait_until
from fraudlab.pipeline import rule as rule_module
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.rule import Payment, Rule, SuspiciousHour, judge
from fraudlab.pipeline.transaction import iso
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


def _paid(minute: float, number: int, eur: int, country: str) -> Payment:
    return Payment(round(minute * MINUTE), number, eur * 100, country.encode())


_HISTORIES: tuple[tuple[str, tuple[Payment, ...], str], ...] = (
    (
        "a theft: 600 EUR in DE, and 600 EUR in FR ten minutes later",
        (_paid(100, 1, 600, "DE"), _paid(110, 2, 600, "FR")),
        "Two countries and 1,200 EUR within ten minutes: the hour of the second payment must be raised, with both payments.",
    ),
    (
        "600 EUR in DE, and 600 EUR in FR exactly one hour later",
        (_paid(100, 1, 600, "DE"), _paid(160, 2, 600, "FR")),
        "The hour is open at its beginning: a payment exactly one hour before its end is outside.",
    ),
    (
        "600 EUR in DE, and 600 EUR in FR a millisecond less than one hour later",
        (_paid(100, 1, 600, "DE"), Payment(160 * MINUTE - 1, 2, 60_000, b"FR")),
        "A payment that lies less than one hour before the end is inside.",
    ),
    (
        "1,200 EUR in DE only",
        (_paid(100, 1, 600, "DE"), _paid(110, 2, 600, "DE")),
        "Two payments in one country are one country.",
    ),
    (
        "600 EUR in DE, 10 EUR in FR, 600 EUR in DE",
        (_paid(100, 1, 600, "DE"), _paid(130, 2, 10, "FR"), _paid(150, 3, 600, "DE")),
        "The country that makes it suspicious need not be that of the last payment.",
    ),
    (
        "600 EUR in DE and 400 EUR in FR",
        (_paid(100, 1, 600, "DE"), _paid(110, 2, 400, "FR")),
        "Exactly 1,000 EUR is enough: the rule says *at least*.",
    ),
    (
        "two payments at the same millisecond",
        (_paid(100, 1, 600, "DE"), _paid(100, 2, 600, "FR")),
        "Two payments at the same moment are each in the other's hour, so both hours are raised.",
    ),
    (
        "600 EUR in DE at 12:20, 10 EUR in DE at 12:30, then 600 EUR in FR that happened at 12:10 and comes last",
        (_paid(140, 1, 600, "DE"), _paid(150, 2, 10, "DE"), _paid(130, 3, 600, "FR")),
        "A payment that comes late changes the hours of payments already seen: those that end within the hour after it.",
    ),
    (
        "a payment that comes late and changes an hour that was raised before",
        (_paid(140, 1, 600, "DE"), _paid(150, 2, 600, "FR"), _paid(135, 3, 20, "DE")),
        "An hour that was raised is not raised again, and one that ends before the late payment does not hold it.",
    ),
    (
        "600 EUR in DE, 10 EUR in DE 65 minutes later, then 600 EUR in FR that happened three minutes before and comes last",
        (_paid(100, 1, 600, "DE"), _paid(165, 2, 10, "DE"), _paid(162, 3, 600, "FR")),
        "The history reaches back further than the hour: what lies an hour or more before the end is outside, also for a late payment.",
    ),
    (
        "600 EUR and 10 EUR in DE, then 600 EUR in DE that comes late",
        (_paid(140, 1, 600, "DE"), _paid(150, 2, 10, "DE"), _paid(130, 3, 600, "DE")),
        "Countries are counted, not payments: each country once.",
    ),
    (
        "a payment that lies exactly 30 minutes behind the user's newest",
        (_paid(140, 1, 600, "DE"), _paid(110, 2, 600, "FR")),
        "Exactly 30 minutes late is still allowed.",
    ),
    (
        "a payment that lies 31 minutes behind the user's newest",
        (_paid(140, 1, 600, "DE"), _paid(109, 2, 600, "FR")),
        "More than 30 minutes behind the user's newest payment is too late.",
    ),
    (
        "a duplicate: the second payment comes again",
        (_paid(100, 1, 600, "DE"), _paid(110, 2, 300, "FR"), _paid(110, 2, 300, "FR")),
        "What comes twice counts once: 900 EUR are no 1,200 EUR.",
    ),
)


def judge_hours(_observed: None, answer: Callable[..., Any]) -> Verdict:
    """The learner's `judge` must say of each history what the pipeline's says."""
    for name, payments, sentence in _HISTORIES:
        expected, found = _shown(judge, payments), _shown(answer, payments)
        if found != expected:
            return wrong(
                sentence, found=f"{_said(found)} for {name}", expected="what the rule says, payment by payment"
            )
    return right("One function, no clock, no cluster. It decides on every payment of this bank.")


_Shown = list[tuple[str, tuple[SuspiciousHour, ...]]]


def _shown(function: Callable[..., Any], payments: Sequence[Payment]) -> _Shown:
    """What became of each payment, and the hours that it raised."""
    history = b""
    said: _Shown = []
    for payment in payments:
        verdict = call(function, _RULE, history, payment)
        history = verdict.history
        # The pipeline wants countries sorted, each once; the sentence for that belongs to a history where it makes a difference.
        hours = tuple(hour._replace(countries=tuple(sorted(set(hour.countries)))) for hour in verdict.hours)
        said.append((str(verdict.arrival.value), hours))
    return said


def _said(shown: _Shown) -> str:
    parts = []
    for arrival, hours in shown:
        ends = [
            f"the hour that ends with payment {one.transaction_id}, of {len(one.transaction_ids)} payments"
            for one in hours
        ]
        raised = " and ".join(ends)
        parts.append(f"{arrival}, raised {raised}" if hours else arrival)
    return "; ".join(parts)


def _edited(*edits: tuple[str, str]) -> Callable[..., Any]:
    """The pipeline's `judge` as a learner might have written it: with other text in some places."""
    source = inspect.getsource(rule_module._raise) + "\n\n" + inspect.getsource(rule_module.judge)
    return _with_edits(source, edits, vars(rule_module), "judge")


def _with_edits(
    source: str, edits: Iterable[tuple[str, str]], namespace: dict[str, Any], name: str
) -> Callable[..., Any]:
    for old, new in edits:
        assert source.count(old) == 1, f"{source.count(old)} times in the pipeline's source: {old}"
        source = source.replace(old, new)
    defined = dict(namespace)
    exec(source, defined)  # noqa: S102 - the pipeline's own source, with the edits below
    return defined[name]  # type: ignore[no-any-return]


_WINDOW = "window = [item for item in entries if start_ms < item[0] <= end_ms]"
_TOO_LATE = "too_late = time_ms < latest_ms - rule.allowed_lateness_ms"
_CHANGED = "_raise(rule, entries, time_ms, time_ms + rule.window_ms)"

HOURS = Exercise(
    number="04.2",
    title="The hour that ends with each payment",
    task="fill in the three places: which payments an hour holds, when one is too late, and which hours it may change.",
    hints=(
        "An entry is (time, id, cents, country, raised). The hour is open at its beginning and closed at its end.",
        "`window` holds the entries with `start_ms < item[0] <= end_ms`. Too late is measured against `latest_ms`, the user's own newest.",
        "A payment at `time_ms` lies in the hours that end at `time_ms` or later, and before `time_ms + rule.window_ms`.",
    ),
    shape="the function `judge` of a rule, a history and a payment that gives a Verdict",
    observe=nothing_to_observe,
    judge=judge_hours,
    right=[
        Example((judge,)),
        Example(
            (_edited((_WINDOW, "window = list(filter(lambda item: 0 <= end_ms - item[0] < rule.window_ms, entries))")),)
        ),
        Example((_edited((_TOO_LATE, "too_late = latest_ms - time_ms > rule.allowed_lateness_ms")),)),
        Example((_edited((_CHANGED, "_raise(rule, entries, time_ms, latest_ms + 1)")),)),
    ],
    wrong=[
        Example(
            (_edited((_WINDOW, "window = [item for item in entries if start_ms < item[0] < end_ms]")),),
            says=_HISTORIES[0][2],
        ),
        Example(
            (_edited((_WINDOW, "window = [item for item in entries if item[0] <= end_ms]")),),
            says=_HISTORIES[9][2],
        ),
        Example(
            (
                _edited(
                    (
                        "countries = tuple(sorted({item[3] for item in window}))",
                        "countries = tuple(item[3] for item in window)",
                    )
                ),
            ),
            says=_HISTORIES[10][2],
        ),
        Example((_edited((_CHANGED, "_raise(rule, entries, time_ms, time_ms + 1)")),), says=_HISTORIES[7][2]),
        Example(
            (_edited((_CHANGED, "_raise(rule, entries, time_ms + 1, time_ms + rule.window_ms)")),),
            says=_HISTORIES[0][2],
        ),
        Example(
            (_edited((_TOO_LATE, "too_late = time_ms < latest_ms")),),
            says=_HISTORIES[7][2],
        ),
        Example(
            (_edited((_TOO_LATE, "too_late = time_ms <= latest_ms - rule.allowed_lateness_ms")),),
            says=_HISTORIES[11][2],
        ),
        Example((_edited((_TOO_LATE, "too_late = time_ms < latest_ms - rule.window_ms")),), says=_HISTORIES[12][2]),
        Example((_edited((_TOO_LATE, "too_late = False")),), says=_HISTORIES[12][2]),
        Example((5,), says="The check cannot read this answer."),
    ],
)


# 04.3


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
    return right("State is read once and written once a payment. That is all Flink sees of your rule.")


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
    """The bank's own customers: those accused in the topic, those that MySQL's payments accuse, and the robbed ones."""

    accused: frozenset[int]
    expected: frozenset[int]
    robbed: frozenset[int]
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
        len(raised),
        len(expected),
    )


def _customers(users: Iterable[int]) -> frozenset[int]:
    return frozenset(user for user in users if user < FIRST_OWN_USER)


def judge_score(observed: Found, precision: float, recall: float) -> Verdict:
    """Both shares, counted in accounts."""
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
    hit, accused, robbed = len(observed.accused & observed.robbed), len(observed.accused), len(observed.robbed)
    wanted = {"precision": hit / accused, "recall": hit / robbed}
    given = {"precision": float(precision), "recall": float(recall)}
    found = f"precision {given['precision']:.3g}, recall {given['recall']:.3g}"
    expected = (
        "two shares between 0 and 1: of the accused those that were robbed, and of the robbed those that were accused"
    )
    if _near(given["precision"], wanted["precision"]) and _near(given["recall"], wanted["recall"]):
        return right(
            "Every account that it accuses was robbed, and it does not find all that were. Lab 07 turns these two numbers."
        )
    if _near(given["precision"], wanted["recall"]) and _near(given["recall"], wanted["precision"]):
        return wrong("The two are the wrong way round.", found=found, expected=expected)
    if max(given.values()) > 1:
        return wrong("A share lies between 0 and 1; these are counts or percentages.", found=found, expected=expected)
    if _near(given["recall"], 1 - wanted["recall"]):
        return wrong("That recall is the share of the robbed that were *not* found.", found=found, expected=expected)
    if not _near(given["precision"], wanted["precision"]):
        return wrong(
            "The precision is another one: of those accused, how many were robbed?", found=found, expected=expected
        )
    return wrong("The recall is another one: of those robbed, how many were accused?", found=found, expected=expected)


def _near(one: float, other: float) -> bool:
    return abs(one - other) < 0.006


_FOUND = Found(frozenset({1, 2, 3}), frozenset({1, 2, 3}), frozenset({1, 2, 4, 5, 6}), 9, 9)
_EARLY = Found(frozenset({1}), frozenset({1, 2, 3}), frozenset({1, 2, 4, 5, 6}), 4, 9)
_OTHERS = Found(frozenset({1, 9}), frozenset({1, 2}), frozenset({1, 2, 4}), 9, 9)

SCORE = Exercise(
    number="04.4",
    title="How good is it?",
    task="compute the precision and the recall of your detector, counted in accounts.",
    hints=(
        "Both begin with the same number: accounts that were robbed *and* accused. `accused & robbed` is that set.",
        "Precision divides it by the accused, recall by the robbed.",
        "`precision = len(accused & robbed) / len(accused)`; the recall has another set below the line.",
    ),
    shape="two numbers between 0 and 1",
    observe=observe_found,
    judge=judge_score,
    right=[Example((2 / 3, 0.4), _FOUND), Example(("0.67", 0.4), _FOUND)],
    wrong=[
        Example((0.4, 2 / 3), _FOUND, "The two are the wrong way round."),
        Example((66.7, 40), _FOUND, "A share lies between 0 and 1; these are counts or percentages."),
        Example((2 / 3, 0.6), _FOUND, "That recall is the share of the robbed that were *not* found."),
        Example((1 / 3, 0.4), _FOUND, "The precision is another one: of those accused, how many were robbed?"),
        Example((2 / 3, 0.5), _FOUND, "The recall is another one: of those robbed, how many were accused?"),
        Example((2 / 3, 0.4), _EARLY, "The detector has raised 4 of 9 activities so far."),
        Example(
            (2 / 3, 0.4),
            _OTHERS,
            "The detector has accused others than a recomputation in plain SQL does. Run the cell that starts it again.",
        ),
        Example(("all", "most"), _FOUND, "The check cannot read this answer."),
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
