"""Answers to Lab 04, The windowed detector: right and wrong ones. Only tests and `fraudlab course check` load them."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab04.checks import Box, Boxes, Found, OnCluster, Paid

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

_SUMS = """
class Sums:
    def create_accumulator(self):
        return 0, Decimal(0), frozenset()

    def add(self, payment, sums):
        number, eur, countries = sums
        return number + 1, eur + payment["eur"], countries | {payment["country"]}

    def merge(self, one, other):
        return one[0] + other[0], one[1] + other[1], one[2] | other[2]

    def get_result(self, sums):
        return sums
"""

_LIST_OF_PAYMENTS = """
class Sums:
    def create_accumulator(self):
        return []

    def add(self, payment, sums):
        return sums + [payment]

    def merge(self, one, other):
        return one + other

    def get_result(self, sums):
        return len(sums), sum(one["eur"] for one in sums), {one["country"] for one in sums}
"""

_DICTIONARY = """
class Sums:
    def create_accumulator(self):
        return {"number": 0, "eur": Decimal(0), "countries": set()}

    def add(self, payment, sums):
        sums["number"] += 1
        sums["eur"] += payment["eur"]
        sums["countries"].add(payment["country"])
        return sums

    def merge(self, one, other):
        return {"number": one["number"] + other["number"], "eur": one["eur"] + other["eur"], "countries": one["countries"] | other["countries"]}

    def get_result(self, sums):
        return sums["number"], sums["eur"], sums["countries"]
"""


def _sums(*edits: tuple[str, str], source: str = _SUMS) -> Callable[..., Any]:
    for old, new in edits:
        assert source.count(old) == 1, f"{source.count(old)} times in the answer: {old}"
        source = source.replace(old, new)
    namespace: dict[str, Any] = {"Decimal": Decimal}
    exec(source, namespace)  # noqa: S102 - the source above
    return namespace["Sums"]  # type: ignore[no-any-return]


_START_MS = 1_769_860_800_000 - 120_000
"""Two minutes before noon."""
_ADAS = ((1_000_000, _START_MS, "DE", Decimal(600)), (1_000_000, _START_MS + 240_000, "FR", Decimal(700)))
_BENS = ((7, _START_MS, "DE", Decimal(5)),)


def _boxes(
    payments: Sequence[tuple[int, int, str, Decimal]], length_ms: int = 3_600_000, slide_ms: int = 300_000
) -> tuple[Box, ...]:
    """The windows of these payments, found by trying every beginning."""
    found = []
    for user in {one[0] for one in payments}:
        times = [time_ms for one, time_ms, _, _ in payments if one == user]
        begin = (min(times) - length_ms) // slide_ms * slide_ms
        for start in range(begin, max(times) + 1, slide_ms):
            inside = [one for one in payments if one[0] == user and start <= one[1] < start + length_ms]
            thieves = len({one[2] for one in inside}) >= 2 and sum(one[3] for one in inside) >= 1000
            if inside:
                found.append(Box(user, start, start + length_ms, len(inside), thieves))
    return tuple(found)


_ENDED = Boxes(_boxes(_ADAS + _BENS), ended=True, payments=_ADAS + _BENS)

WINDOWS = Answers(
    right=[
        Example((_sums(), None), _ENDED),
        Example((_sums(source=_LIST_OF_PAYMENTS), None), _ENDED),
        Example((_sums(source=_DICTIONARY), None), _ENDED),
    ],
    wrong=[
        Example(
            (_sums(("return 0, Decimal(0), frozenset()", "return 1, Decimal(0), frozenset()")), None),
            _ENDED,
            "other_beginning",
        ),
        Example((_sums(("number + 1", "number")), None), _ENDED, "other_sums"),
        Example(
            (
                _sums(
                    ("frozenset()", "()"),
                    ('countries | {payment["country"]}', '(*countries, payment["country"])'),
                    ("return sums\n", "return sums[0], sums[1], len(sums[2])\n"),
                ),
                None,
            ),
            _ENDED,
            "unreadable",
        ),
        Example((_sums(('eur + payment["eur"]', 'max(eur, payment["eur"])')), None), _ENDED, "not_added"),
        Example(
            (
                _sums(
                    (
                        'return {"number": 0, "eur": Decimal(0), "countries": set()}',
                        'return self.__dict__.setdefault("kept", {"number": 0, "eur": Decimal(0), "countries": set()})',
                    ),
                    source=_DICTIONARY,
                ),
                None,
            ),
            _ENDED,
            "shared_accumulator",
        ),
        Example((_sums(("one[2] | other[2]", "one[2]")), None), _ENDED, "not_merged"),
        Example((_sums(("return number + 1, eur", "number + 1, eur")), None), _ENDED, "unreadable"),
        Example((_sums(), None), replace(_ENDED, ended=False), waits="has not come to the end"),
        Example((_sums(), None), replace(_ENDED, found=(), payments=()), "no_windows"),
        Example((_sums(), None), replace(_ENDED, found=_boxes(_ADAS, length_ms=1_800_000)), "other_length"),
        Example((_sums(), None), replace(_ENDED, found=_boxes(_ADAS + _BENS, slide_ms=3_600_000)), "tumbling"),
        Example((_sums(), None), replace(_ENDED, found=_boxes(_ADAS + _BENS, slide_ms=60_000)), "other_slide"),
        Example((_sums(), None), replace(_ENDED, found=_boxes(_ADAS + _BENS, slide_ms=600_000)), "other_slide"),
        Example(
            (_sums(), None),
            replace(_ENDED, found=_boxes([(1_000_000, *one[1:]) for one in _ADAS + _BENS])),
            "not_by_user",
        ),
        Example(
            (_sums(), None),
            replace(_ENDED, found=tuple(replace(one, suspicious=False) for one in _ENDED.found)),
            "other_hours",
        ),
    ],
    observe=lambda *_answers: _ENDED,
    mutants=False,
    equivalent={"return (0, _same(0), frozenset())": "0 plus a Decimal is that Decimal"},
)


# 04.3

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


# 04.4


_DETECTOR = """
class Detector(KeyedProcessFunction):
    def open(self, context):
        self._paid = context.get_map_state(MapStateDescriptor("paid", Types.LONG(), Types.STRING()))

    def process_element(self, payment, ctx):
        number, time = payment["transaction_id"], payment["time"]
        if self._paid.contains(number):
            return
        self._paid.put(number, packed(payment))
        paid = {known: unpacked(text) for known, text in self._paid.items()}
        for other, (end, country, eur) in paid.items():
            if time <= end < time + timedelta(hours=1) and suspicious(list(paid.values()), end):
                yield other
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2 * HOUR_MS)

    def on_timer(self, timestamp, ctx):
        for number, text in list(self._paid.items()):
            if unpacked(text)[0] <= moment(timestamp) - timedelta(hours=2):
                self._paid.remove(number)
"""

_IN_A_VALUE = """
class Detector(KeyedProcessFunction):
    def open(self, context):
        self._state = context.get_state(ValueStateDescriptor("history", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, payment, ctx):
        history = self._state.value() or {}
        if payment["transaction_id"] not in history:
            history[payment["transaction_id"]] = (payment["time"], payment["country"], payment["eur"])
            self._state.update(history)
            ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2 * HOUR_MS)
            for number, (end, _, _) in history.items():
                if timedelta(0) <= end - payment["time"] < timedelta(hours=1):
                    if suspicious(list(history.values()), end):
                        yield number

    def on_timer(self, timestamp, ctx):
        old = moment(timestamp) - timedelta(hours=2)
        self._state.update({number: paid for number, paid in self._state.value().items() if paid[0] > old})
"""

_IN_A_LIST = """
class Detector(KeyedProcessFunction):
    def open(self, context):
        self.payments = context.get_list_state(ListStateDescriptor("payments", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, payment, ctx):
        known = list(self.payments.get())
        if payment["transaction_id"] in [number for number, _ in known]:
            return []
        paid = (payment["time"], payment["country"], payment["eur"])
        self.payments.add((payment["transaction_id"], paid))
        known.append((payment["transaction_id"], paid))
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + 3 * HOUR_MS)
        return [
            number for number, (end, _, _) in known
            if 0 <= (end - paid[0]).total_seconds() < 3600 and suspicious([one for _, one in known], end)
        ]

    def on_timer(self, timestamp, ctx):
        kept = list(self.payments.get())
        newest = max((paid[0] for _, paid in kept), default=None)
        if newest is not None and newest <= moment(ctx.timer_service().current_watermark()) - timedelta(hours=2):
            self.payments.clear()
        elif kept:
            timers = ctx.timer_service()
            timers.register_processing_time_timer(timers.current_processing_time() + 3 * HOUR_MS)
"""

_NOTHING = "pass"


def _unpacked(text: str) -> tuple[datetime, str, Decimal]:
    time, country, eur = json.loads(text)
    return datetime.fromisoformat(time), country, Decimal(eur)


def _namespace() -> dict[str, Any]:
    """What the notebook has before the exercise."""
    from pyflink.common import Types
    from pyflink.datastream import KeyedProcessFunction, OutputTag
    from pyflink.datastream.functions import ProcessFunction
    from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor

    return {
        "KeyedProcessFunction": KeyedProcessFunction,
        "OutputTag": OutputTag,
        "ProcessFunction": ProcessFunction,
        "ListStateDescriptor": ListStateDescriptor,
        "MapStateDescriptor": MapStateDescriptor,
        "ValueStateDescriptor": ValueStateDescriptor,
        "Types": Types,
        "HOUR_MS": 3_600_000,
        "moment": lambda timestamp: datetime(1970, 1, 1) + timedelta(milliseconds=timestamp),
        "packed": lambda payment: json.dumps([payment["time"].isoformat(), payment["country"], str(payment["eur"])]),
        "unpacked": _unpacked,
        "suspicious": _suspicious(),
        "timedelta": timedelta,
    }


def _edited(source: str, name: str, edits: Iterable[tuple[str, str]]) -> Any:
    """What a learner's source defines, with other text in some places."""
    for old, new in edits:
        assert source.count(old) == 1, f"{source.count(old)} times in the answer: {old}"
        source = source.replace(old, new)
    namespace = _namespace()
    exec(source, namespace)  # noqa: S102 - the source above
    return namespace[name]


def _detector(*edits: tuple[str, str], source: str = _DETECTOR) -> Callable[..., Any]:
    """A learner's detector. PyFlink is imported when it is made, not with the labs."""
    return lambda: _edited(source, "Detector", edits)()


_DUPLICATE = "        if self._paid.contains(number):\n            return\n"
_PUT = "self._paid.put(number, packed(payment))"
_UNPACKED = "unpacked(text) for"
_TIMER = "ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2 * HOUR_MS)"
_IF_OLD = "if unpacked(text)[0] <= moment(timestamp) - timedelta(hours=2):"
_STATE = 'context.get_map_state(MapStateDescriptor("paid", Types.LONG(), Types.STRING()))'
_IF_CHANGED = "time <= end < time + timedelta(hours=1) and suspicious"
_REMOVE = "self._paid.remove(number)"

_OUTSIDE = """
class Detector(KeyedProcessFunction):
    def open(self, context):
        self._paid = {}

    def process_element(self, payment, ctx):
        paid = self._paid.setdefault(ctx.get_current_key(), {})
        if payment["transaction_id"] not in paid:
            paid[payment["transaction_id"]] = (payment["time"], payment["country"], payment["eur"])
            if suspicious(list(paid.values()), payment["time"]):
                yield payment["transaction_id"]
"""

_FLAG = "\n        self._raised = context.get_state(ValueStateDescriptor('raised', Types.BOOLEAN()))"
_ONLY_ONCE = (
    "if not self._raised.value():\n                    self._raised.update(True)\n                    yield other"
)
_AGAIN = "ctx.timer_service().register_event_time_timer(timestamp + 24 * HOUR_MS)"
_RAISED_ONCE = """
class Detector(KeyedProcessFunction):
    def open(self, context):
        self._paid = context.get_list_state(ListStateDescriptor("paid", Types.PICKLED_BYTE_ARRAY()))
        self._raised = context.get_map_state(MapStateDescriptor("raised", Types.LONG(), Types.BOOLEAN()))

    def process_element(self, payment, ctx):
        self._paid.add((payment["time"], payment["country"], payment["eur"]))
        number = payment["transaction_id"]
        if suspicious(list(self._paid.get()), payment["time"]) and not self._raised.contains(number):
            self._raised.put(number, True)
            yield number
"""
_SHARED = """
class Detector(KeyedProcessFunction):
    def open(self, context):
        self._paid = []

    def process_element(self, payment, ctx):
        self._paid.append((payment["time"], payment["country"], payment["eur"]))
        if suspicious(self._paid, payment["time"]):
            yield payment["transaction_id"]
"""

_ORDER = "the order makes no difference"
_NAME = "a state may have any name"
_LATER = "a later timer forgets later"

IN_STATE = Answers(
    right=[
        Example((_detector(),)),
        Example((_detector(source=_IN_A_VALUE),)),
        Example((_detector(source=_IN_A_LIST),)),
        Example(
            (
                _detector(
                    (_TIMER, _TIMER.replace("2 * HOUR_MS", "24 * HOUR_MS")),
                    (_IF_OLD, _IF_OLD.replace("hours=2", "hours=24")),
                ),
            )
        ),
    ],
    wrong=[
        Example((_detector((_PUT, _NOTHING)),), mistake="state_not_kept"),
        Example((_detector(("self._state.update(history)", _NOTHING), source=_IN_A_VALUE),), mistake="state_not_kept"),
        Example((_detector(source=_SHARED),), mistake="state_shared"),
        Example((_detector(source=_OUTSIDE),), mistake="state_outside"),
        Example((_detector((_DUPLICATE, "")),), mistake="duplicate_raised"),
        Example(
            (
                _detector(
                    (_PUT, _PUT.replace("number,", "ctx.timestamp(),")),
                    (_DUPLICATE, "        if self._paid.contains(ctx.timestamp()):\n            return\n"),
                    ("yield other", "yield number"),
                ),
            ),
            mistake="one_of_two_lost",
        ),
        Example((_detector((_IF_CHANGED, "end == time and suspicious")),), mistake="late_not_judged"),
        Example((_detector((_IF_CHANGED, "time <= end and suspicious")),), mistake="closed_beginning_changed"),
        Example((_detector((_IF_CHANGED, "suspicious")),), mistake="raised_again"),
        Example((_detector(("yield other", "yield number")),), mistake="late_not_judged"),
        Example((_detector(("yield other", "yield payment")),), mistake="not_an_id"),
        Example((_detector(source=_RAISED_ONCE),), mistake="duplicate_counted"),
        Example((_detector((_PUT, f"yield number\n        {_PUT}")),), mistake="first_payment"),
        Example(
            (_detector((_UNPACKED, f"({_UNPACKED[:-4]}[0], unpacked(text)[0], {_UNPACKED[:-4]}[2]) for")),),
            mistake="country_not_kept",
        ),
        Example((_detector(("yield other", "yield other\n                return")),), mistake="first_hour_only"),
        Example((_detector((_IF_OLD, _IF_OLD.replace("hours=2", "hours=1"))),), mistake="cleared_too_early"),
        Example((_detector((_STATE, f"{_STATE}{_FLAG}"), ("yield other", _ONLY_ONCE)),), mistake="wrong_id"),
        Example((_detector((_TIMER, _NOTHING)),), mistake="no_timer"),
        Example(
            (
                _detector(
                    (
                        "        for number, text in",
                        f"        {_AGAIN}\n        for number, text in",
                    )
                ),
            ),
            mistake="timers_without_end",
        ),
        Example((_detector((_REMOVE, _NOTHING)),), mistake="never_cleared"),
        Example((_detector((_IF_OLD, _IF_OLD.replace("<=", "<"))),), mistake="never_cleared"),
        Example((_detector((_IF_OLD, "if True:")),), mistake="needed_cleared"),
        Example(
            (
                _detector(
                    (_TIMER, _TIMER.replace("2 * HOUR_MS", "HOUR_MS")), (_IF_OLD, _IF_OLD.replace("hours=2", "hours=1"))
                ),
            ),
            mistake="cleared_too_early",
        ),
        Example(
            (_detector(("self._state.value() or {}", "self._state.value()"), source=_IN_A_VALUE),), mistake="failed"
        ),
        Example(("Detector",), mistake="unreadable"),
    ],
    given={
        "timedelta": timedelta,
        "HOUR_MS": 3_600_000,
        "suspicious": _suspicious(),
    },
    equivalent={
        "paid = {known: unpacked(text) for known, text in self._paid.items()}; ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2 * HOUR_MS)": _ORDER,
        "yield other; ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2 * HOUR_MS)": (
            "the payment itself is among those known, so the loop runs, and a timer registered twice is one"
        ),
        "for other, (end, country, eur) in reversed(list(paid.items())):": _ORDER,
        "for number, text in reversed(list(list(self._paid.items()))):": _ORDER,
        "for number, text in _same(self._paid.items()):": "the trial gives a copy of the entries",
        "if time <= end < time + timedelta(hours=1) and suspicious(_same(paid.values()), end):": "a function may go through values, too",
        "self._paid = context.get_map_state(MapStateDescriptor('', Types.LONG(), Types.STRING()))": _NAME,
        "self._paid = context.get_map_state(MapStateDescriptor('time', Types.LONG(), Types.STRING()))": _NAME,
        "self._paid = context.get_map_state(MapStateDescriptor('transaction_id', Types.LONG(), Types.STRING()))": _NAME,
        "ctx.timer_service().register_event_time_timer(ctx.timestamp() + 3 * HOUR_MS)": _LATER,
        "ctx.timer_service().register_event_time_timer(ctx.timestamp() + 20 * HOUR_MS)": _LATER,
    },
)


# 04.5

_ALL = frozenset({7, 12, 3001})
_DONE = OnCluster(_ALL, _ALL, _ALL | {3008}, 3005, 3005)


def _detect(payments: Any) -> Any:
    return payments.key_by(lambda payment: payment["user_id"]).process(None)


def _detect_in_two_steps(payments: Any) -> Any:
    class ByUser:
        def get_key(self, payment: Any) -> int:
            return payment["user_id"]  # type: ignore[no-any-return]

    keyed = payments.filter(lambda payment: payment["eur"] > 0).key_by(ByUser())
    return keyed.process(None).name("mine")


def _by_country(payments: Any) -> Any:
    return payments.key_by(lambda payment: payment["country"]).process(None)


def _by_payment(payments: Any) -> Any:
    return payments.key_by(lambda payment: payment[0]).process(None)


ON_CLUSTER = Answers(
    right=[
        Example((_detect, None), _DONE),
        Example((_detect_in_two_steps, None), replace(_DONE, raised=_ALL | {3008})),
        Example((_detect, None), replace(_DONE, read=0)),
    ],
    wrong=[
        Example((_by_country, None), replace(_DONE, raised=frozenset(), read=0), "keys_apart"),
        Example((_by_payment, None), replace(_DONE, raised=frozenset(), read=0), "keys_apart"),
        Example((_detect, None), replace(_DONE, raised=_ALL | {9}), "others_raised"),
        Example((_detect, None), replace(_DONE, raised=frozenset({9})), "others_raised"),
        Example((_detect, None), replace(_DONE, raised=frozenset(), read=0), waits="0 of 3 suspicious hours"),
        Example((_detect, None), replace(_DONE, raised=frozenset({7})), waits="1 of 3 suspicious hours"),
        Example((_detect, None), replace(_DONE, raised=frozenset({7})), "hours_missing", at_rest=True),
        Example((_detect, None), replace(_DONE, raised=frozenset()), waits="0 of 3 suspicious hours"),
    ],
    mutants=False,
)


# 04.6

_TIMED = """
CREATE TEMPORARY TABLE timed_payments (
  user_id INT,
  transaction_time TIMESTAMP_LTZ(3),
  WATERMARK FOR transaction_time AS transaction_time - INTERVAL '5' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = '${transaction_mid}',
  ${kafka_options},
  'scan.startup.mode' = 'earliest-offset',
  'scan.watermark.idle-timeout' = '2 s',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
)
"""

AWAKE = Answers(
    right=[
        Example((_TIMED,), 5.0),
        Example((_TIMED.replace("user_id INT", "transaction_country STRING"),), 5.2),
        Example((_TIMED.replace("'2 s'", "'1000 ms'"),), 6.1),
    ],
    wrong=[
        Example((_TIMED.replace("  'scan.watermark.idle-timeout' = '2 s',\n", ""),), 63.0, "stalled", at_rest=True),
        Example((_TIMED,), 63.0, waits="where the bank's history ended"),
        Example((_TIMED,), None, waits="no watermark of your job yet"),
        Example((_TIMED.replace("'5' MINUTE", "'5' SECOND"),), 0.1, "other_delay", at_rest=True),
        Example((_TIMED.replace("'5'", "'10'"),), 10.1, "other_delay", at_rest=True),
        Example((_TIMED.replace("'5' MINUTE", "'1' HOUR"),), 60.1, "stalled", at_rest=True),
    ],
    mutants=False,
)


# 04.7

_SPLIT = """
too_late = OutputTag("too-late", Types.LONG())


class SplitLate(ProcessFunction):
    def process_element(self, payment, ctx):
        if ctx.timestamp() <= ctx.timer_service().current_watermark():
            yield too_late, payment["transaction_id"]
        else:
            yield payment
"""

_SPLIT_IN_A_LIST = """
too_late = OutputTag("late ones")


class SplitLate(ProcessFunction):
    def process_element(self, payment, ctx):
        on_time = ctx.timestamp() > ctx.timer_service().current_watermark()
        return [payment if on_time else (too_late, payment["transaction_id"])]
"""

_SPLIT_WITH_A_RETURN = """
class SplitLate(ProcessFunction):
    LATE = OutputTag("too-late", Types.LONG())

    def process_element(self, payment, ctx):
        behind = ctx.timer_service().current_watermark() - ctx.timestamp()
        if behind < 0:
            yield payment
            return
        yield self.LATE, payment["transaction_id"]


too_late = SplitLate.LATE
"""

_OWN_WATERMARK = """
too_late = OutputTag("too-late", Types.LONG())


class SplitLate(ProcessFunction):
    def open(self, context):
        self.latest = 0

    def process_element(self, payment, ctx):
        watermark = max(self.latest - 300_000, ctx.timer_service().current_watermark())
        if ctx.timestamp() <= watermark:
            yield too_late, payment["transaction_id"]
        else:
            yield payment
        self.latest = max(self.latest, ctx.timestamp())
"""

_RETURNED = """
too_late = OutputTag("too-late", Types.LONG())


class SplitLate(ProcessFunction):
    def process_element(self, payment, ctx):
        if ctx.timestamp() <= ctx.timer_service().current_watermark():
            return too_late, payment["transaction_id"]
        return [payment]
"""

_LATE = "if ctx.timestamp() <= ctx.timer_service().current_watermark():"
_KNOWN = "if ctx.timer_service().current_watermark() > 0 and "
_TO_THE_SIDE = 'yield too_late, payment["transaction_id"]'
_GOES_ON = "        else:\n            yield payment"


def _split(*edits: tuple[str, str], source: str = _SPLIT) -> Callable[..., Any]:
    """A learner's operator. PyFlink is imported when it is made, not with the labs."""
    return lambda: _edited(source, "SplitLate", edits)()


SIDE_OUTPUT = Answers(
    right=[
        Example((_split(),)),
        Example((_split(source=_SPLIT_IN_A_LIST),)),
        Example((_split(source=_SPLIT_WITH_A_RETURN),)),
    ],
    wrong=[
        Example((_split((_LATE, _LATE.replace("<=", ">"))),), mistake="late_without_watermark"),
        Example(
            (_split((_LATE, _LATE.replace("current_watermark", "current_processing_time"))),),
            mistake="late_without_watermark",
        ),
        Example((_split((_LATE, f"{_KNOWN}{_LATE[3:]}".replace("<=", ">"))),), mistake="on_time_to_side"),
        Example((_split((_LATE, _LATE.replace("<=", "<"))),), mistake="at_the_watermark"),
        Example((_split((_LATE, f"{_LATE[:-1]} + 1000:")),), mistake="on_time_to_side"),
        Example((_split(source=_OWN_WATERMARK),), mistake="own_watermark"),
        Example((_split((_TO_THE_SIDE, "pass")),), mistake="dropped"),
        Example((_split((_TO_THE_SIDE, "yield payment")),), mistake="late_in_main"),
        Example((_split((_GOES_ON, "        yield payment")),), mistake="in_both"),
        Example((_split((_TO_THE_SIDE, 'yield "too-late", payment["transaction_id"]')),), mistake="without_tag"),
        Example((_split((_TO_THE_SIDE, 'yield payment["transaction_id"]')),), mistake="without_tag"),
        Example((_split((_TO_THE_SIDE, "yield too_late, payment")),), mistake="side_value"),
        Example((_split(("Types.LONG()", "Types.INT()")),), mistake="tag_type"),
        Example((_split(("Types.LONG()", "Types.STRING()")),), mistake="tag_type"),
        Example(
            (_split((_GOES_ON, '        else:\n            yield payment["country"]')),), mistake="changed_payment"
        ),
        Example((_split(source=_RETURNED),), mistake="returned_pair"),
        Example((_split((_LATE, _LATE.replace("ctx.timestamp()", 'payment["time"]'))),), mistake="failed"),
        Example(("SplitLate",), mistake="unreadable"),
    ],
    equivalent={
        "too_late = OutputTag('transaction_id', Types.LONG())": "a side output may have any name",
        "return": "a payment is yielded once, so nothing is left to do behind it",
    },
)


# 04.8

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

ANSWERS = {
    "04.1": LATE,
    "04.2": WINDOWS,
    "04.3": HOURS,
    "04.4": IN_STATE,
    "04.5": ON_CLUSTER,
    "04.6": AWAKE,
    "04.7": SIDE_OUTPUT,
    "04.8": SCORE,
}
