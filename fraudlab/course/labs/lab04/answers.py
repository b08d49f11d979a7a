"""Answers to Lab 04, The windowed detector: right and wrong ones. Only tests and `fraudlab course check` load them."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab04.checks import Found, Paid
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.rule import Rule

# 04.1


def _late_by_position(times: Sequence[int], delay: int) -> list[int]:
    return [time for place, time in enumerate(times) if any(time < earlier - delay for earlier in times[:place])]


def _late_to_the_one_before(times: Sequence[int], delay: int) -> list[int]:
    return [time for before, time in pairwise(times) if time < before - delay]


def _late_without_patience(times: Sequence[int], _delay: int) -> list[int]:
    return _late_by_position(times, 0)


def _late_by_first_place(times: Sequence[int], delay: int) -> list[int]:
    return [time for time in times if any(time < earlier - delay for earlier in times[: times.index(time)])]


def _late_when_equal(times: Sequence[int], delay: int) -> list[int]:
    return [time for place, time in enumerate(times) if any(time <= earlier - delay for earlier in times[:place])]


def _late_to_all(times: Sequence[int], delay: int) -> list[int]:
    return [time for time in times if time < max(times) - delay]


LATE = Answers(
    right=[Example((_late_by_position,)), Example((lambda times, delay: tuple(_late_by_position(times, delay)),))],
    wrong=[
        Example((_late_to_all,), mistake="in_order"),
        Example((_late_without_patience,), mistake="equal_is_late"),
        Example((lambda times, delay: [],), mistake="late_missed"),
        Example((lambda times, delay: _late_by_position(times, 5),), mistake="delay_ignored"),
        Example((_late_by_first_place,), mistake="other_watermark"),
        Example((_late_when_equal,), mistake="equal_is_late"),
        Example((_late_to_the_one_before,), mistake="watermark_moved_back"),
        Example(
            (lambda times, delay: sorted(_late_by_position(times, delay), reverse=True),),
            mistake="watermark_moved_back",
        ),
        Example((lambda times, delay: sorted(_late_by_position(times, delay)),), mistake="sorted_times"),
        Example((lambda times, delay: None,), mistake="no_return"),
        Example(([20],), mistake="unreadable"),
    ],
    equivalent={
        "for time in times:; latest = max(latest, time)": "a time that moves the watermark is not behind it, before or after",
        "latest = max(time, latest)": "the same number",
    },
)


# 04.2

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


def _back_to_the_first_outside(payments: list[Paid], end: datetime) -> bool:
    """Goes back from the end of the list to the first payment that is not in the hour: right where nothing comes late."""
    hour: list[Paid] = []
    for paid in reversed(payments):
        if paid[0] > end:
            continue
        if paid[0] <= end - _HOUR:
            break
        hour.append(paid)
    return len({country for _, country, _ in hour}) >= 2 and sum(eur for _, _, eur in hour) >= 1000


def _one_payment_a_moment(payments: list[Paid], end: datetime) -> bool:
    by_time = {time: (time, country, eur) for time, country, eur in payments}
    return _suspicious()(list(by_time.values()), end)


def _last_against_the_others(payments: list[Paid], end: datetime) -> bool:
    hour = [paid for paid in payments if end - _HOUR < paid[0] <= end]
    abroad = hour[-2:-1] != [] and hour[-2][1] != hour[-1][1]
    return abroad and sum(eur for _, _, eur in hour) >= 1000


HOURS = Answers(
    right=[
        Example((_suspicious(),)),
        Example((_by_a_loop,)),
        Example((_suspicious(lambda time, end: timedelta(0) <= end - time < _HOUR),)),
    ],
    wrong=[
        Example((_suspicious(lambda time, end: end - _HOUR <= time <= end),), mistake="closed_beginning"),
        Example((_suspicious(lambda time, end: end - _HOUR < time < end),), mistake="theft_missed"),
        Example((_suspicious(lambda time, end: end - _HOUR < time),), mistake="after_the_end"),
        Example((_suspicious(lambda time, end: time <= end),), mistake="closed_beginning"),
        Example((_suspicious(lambda time, end: end - timedelta(minutes=59) <= time <= end),), mistake="almost_an_hour"),
        Example((_suspicious(lambda time, end: time.hour == end.hour and time <= end),), mistake="hour_of_the_clock"),
        Example(
            (_suspicious(lambda time, end: 0 <= (end - time).seconds < 3600 and time < end),), mistake="theft_missed"
        ),
        Example((_suspicious(countries=len),), mistake="countries_counted_twice"),
        Example(
            (_suspicious(lambda time, end: time <= end and not _HOUR <= end - time < 2 * _HOUR),), mistake="whole_list"
        ),
        Example((_one_payment_a_moment,), mistake="same_moment"),
        Example((_last_against_the_others,), mistake="last_countries_only"),
        Example((_last_ones_only,), mistake="order_of_arrival"),
        Example(
            (_suspicious(lambda time, end: (end - time).seconds < 3600 and time <= end),), mistake="yesterday_counts"
        ),
        Example((_back_to_the_first_outside,), mistake="stopped_at_a_latecomer"),
        Example((_suspicious(enough=lambda total: total > 1000),), mistake="more_than_threshold"),
        Example((_suspicious(enough=lambda total: round(total) >= 1000),), mistake="rounded"),
        Example((lambda payments, end: None,), mistake="no_return"),
        Example((lambda payments, end: len(payments) >= 2,), mistake="after_the_end"),
        Example((True,), mistake="unreadable"),
    ],
    equivalent={
        "hour = [(country, eur) for time, country, eur in payments if start < time <= end];"
        " total = sum((eur for country, eur in hour))": "countries and sum need not be found in this order",
    },
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


def _detector(*edits: tuple[str, str]) -> Callable[..., Any]:
    """The pipeline's detector with other text in some places. PyFlink is imported when it is made, not with the labs."""

    def make(*arguments: object) -> Any:
        from fraudlab.pipeline import detector

        source = inspect.getsource(detector.FraudDetector)
        return _with_edits(source, edits, vars(detector), "FraudDetector")(*arguments)

    return make


class _AccusesEverybody:
    def __init__(self, _rule: Rule, _names: Names) -> None:
        pass

    def process_element(self, value: str, _ctx: object) -> list[tuple[str, str, str]]:
        return [("suspicious_activities", "7", '{"activity_id": "activity-1"}')]


def _impatient(rule: Rule, names: Names) -> Any:
    return _detector()(replace(rule, allowed_lateness_ms=0), names)


_READ = 'history, waiting = self._user.value() or (b"", ())'
_WRITE = "self._user.update((verdict.history, activities))"
_CALLED = "verdict = judge(self._rule, history, payment)"
_LETTER = 'yield self._dead_letter("later than the allowed lateness", payment.transaction_id, partition, offset, text)'
_IF_LATE = "if verdict.arrival is Arrival.TOO_LATE:"
_IF_CHANGED = "if verdict.history is not history or len(activities) != len(waiting):"

_WRITES_MORE_OFTEN = "it writes the state more often than it must, but never another one"

IN_STATE = Answers(
    right=[
        Example((_detector(),)),
        Example((_detector((_IF_CHANGED, "if True:")),)),
        Example(
            (_detector((_READ, "history, waiting = (b'', ()) if self._user.value() is None else self._user.value()")),)
        ),
    ],
    wrong=[
        Example((_detector((_WRITE, "pass")),), mistake="state_not_kept"),
        Example((_detector((_WRITE, "self._user.update((history, activities))")),), mistake="state_not_kept"),
        Example(
            (
                _detector(
                    (_READ, 'history, waiting = getattr(self, "_kept", None) or (b"", ())'),
                    (_WRITE, "self._kept = (verdict.history, activities)"),
                ),
            ),
            mistake="state_shared",
        ),
        Example((_detector((_LETTER, "pass")),), mistake="late_dropped"),
        Example((_detector((_LETTER, "return")),), mistake="late_dropped"),
        Example((_detector((_IF_CHANGED, "if verdict.history != history:")),), mistake="waiting_kept"),
        Example((_detector((_LETTER, f"{_LETTER}; return")),), mistake="ended_by_a_latecomer"),
        Example((_detector((_IF_LATE, "if verdict.arrival is not Arrival.COUNTED:")),), mistake="duplicate_raised"),
        Example((_detector((_CALLED, 'verdict = judge(self._rule, b"", payment)')),), mistake="state_not_kept"),
        Example((_AccusesEverybody,), mistake="first_payment"),
        Example(
            (_detector((_LETTER, _LETTER.replace("later than the allowed lateness", " "))),), mistake="empty_letter"
        ),
        Example((_impatient,), mistake="late_not_counted"),
        Example(("FraudDetector",), mistake="unreadable"),
    ],
    equivalent={
        "if True:": _WRITES_MORE_OFTEN,
        "if verdict.history is not verdict or len(activities) != len(waiting):": _WRITES_MORE_OFTEN,
        "if verdict.history is not waiting or len(activities) != len(waiting):": _WRITES_MORE_OFTEN,
        "if verdict.history is not history or _same(activities) != len(waiting):": _WRITES_MORE_OFTEN,
        "if verdict.history is not history or len(activities) != _same(waiting):": _WRITES_MORE_OFTEN,
        "if verdict.history is not history or len(activities) != len(history):": _WRITES_MORE_OFTEN,
        "if verdict.history is not history or len(activities) != len(verdict):": (
            "another answer only where exactly three of more waiting activities are left after a duplicate"
        ),
        "if verdict.history != history or len(activities) != len(waiting):": "equal bytes need not be written again",
        "history, waiting = self._user.value() or ((), b'')": "both are empty, whatever their type",
    },
)


# 04.4

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


SCORE = Answers(
    right=[Example((_score,), _FOUND), Example((_score,), _GOOD), Example((_score_by_counting,), _FOUND)],
    wrong=[
        Example((lambda accused, robbed: _score(accused, robbed)[::-1],), _FOUND, "shares_swapped"),
        Example((lambda accused, robbed: [100 * one for one in _score(accused, robbed)],), _FOUND, "not_a_share"),
        Example(
            (lambda accused, robbed: (_score(accused, robbed)[0], len(robbed - accused) / len(robbed)),),
            _FOUND,
            "share_not_found",
        ),
        Example(
            (lambda accused, robbed: (len(accused - robbed) / len(accused), _score(accused, robbed)[1]),),
            _FOUND,
            "wrong_precision",
        ),
        Example(
            (lambda accused, robbed: (1.0, _score(accused, robbed)[1]),),  # right for the job, whose precision is 1
            _GOOD,
            "wrong_precision",
        ),
        Example(
            (lambda accused, robbed: (_score(accused, robbed)[0], len(accused & robbed) / len(accused | robbed)),),
            _FOUND,
            "wrong_recall",
        ),
        Example((lambda accused, robbed: None,), _FOUND, "no_return"),
        Example((_score,), _EARLY, waits="4 of 9 activities"),
        Example((_score,), _OTHERS, "other_accounts"),
        Example((0.67,), _FOUND, "unreadable"),
    ],
    observe=lambda _score: _FOUND,
    equivalent={
        '"""Precision and recall of a detector that accuses these accounts."""; recall = len(accused & robbed) / len(robbed)': (
            "the two shares need not be found in this order"
        ),
    },
)

ANSWERS = {"04.1": LATE, "04.2": HOURS, "04.3": IN_STATE, "04.4": SCORE}
