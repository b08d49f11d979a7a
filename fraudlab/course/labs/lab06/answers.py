"""Answers to Lab 06, Break it: right and wrong ones. Only tests and `fraudlab course check` load them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab06.checks import GUARANTEE, PREFIX, TIMEOUT, Alarm, Arrived, Detectors, Latecomer
from fraudlab.course.workspace import learner_settings

# 06.1

_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def _alarm(name: str, created_s: float, detected_s: float, late_s: float = 0) -> Alarm:
    created = _NOON + timedelta(seconds=created_s)
    return Alarm(name, created, _NOON + timedelta(seconds=detected_s), created - timedelta(seconds=late_s))


_ALARMS = (
    _alarm("activity-1", 0, 0.5),
    _alarm("activity-2", 2, 2.7, late_s=600),
    _alarm("activity-3", 5, 11),  # during the outage
    _alarm("activity-2", 2, 11.4),  # raised again
)

_TABLE = pd.DataFrame(
    [(one.activity_id, one.created, one.detected) for one in reversed(_ALARMS)],  # the partitions give no order
    columns=["activity_id", "created_at", "detected_at"],
)

LONGEST = Answers(
    right=[Example((6.0,), _ALARMS), Example((6,), _ALARMS), Example((5.96,), _ALARMS)],
    wrong=[
        Example((9.4,), _ALARMS, "counted_again"),
        Example((6000,), _ALARMS, "milliseconds"),
        Example((0.7,), _ALARMS, "median"),
        Example((0.5,), _ALARMS[:1] + _ALARMS[2:], "shortest"),
        Example((600.7,), _ALARMS, "from_the_payment"),
        Example((77.0,), _ALARMS, "other_wait"),
        Example(("long",), _ALARMS, "unreadable"),
        Example((6.0,), (), waits="No alarm was raised"),
    ],
    observe=lambda *_longest: _ALARMS,
    given={"alarms": _TABLE},
    equivalent={
        "first = alarms.sort_values('detected_at').drop_duplicates('created_at')": (
            "what one payment makes known is raised together, so each of them waits as long"
        ),
    },
)


# 06.2


def _right_two_steps(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        activity = json.loads(value)
    except json.JSONDecodeError as error:
        bury(value, f"not JSON: {error}")
        return
    try:
        handle(activity)
    except ValueError as error:
        bury(value, str(error))


def _right_raise_outages(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except OSError:
        raise
    except Exception as error:
        bury(value, repr(error))


def _wrong_everything(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except Exception as error:
        bury(value, str(error))


def _wrong_nothing(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    handle(json.loads(value))


def _wrong_json_only(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except json.JSONDecodeError as error:
        bury(value, str(error))


def _wrong_silent(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except ValueError:
        pass


def _wrong_no_reason(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except ValueError:
        bury(value, "")


def _wrong_always(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except ValueError as error:
        bury(value, str(error))
    bury(value, "done")


def _wrong_bytes(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, str], None]) -> None:
    try:
        handle(json.loads(value))
    except ValueError as error:
        bury(b"", str(error))


def _wrong_exception(value: bytes, handle: Callable[[Any], None], bury: Callable[[bytes, Any], None]) -> None:
    try:
        handle(json.loads(value))
    except ValueError as error:
        bury(value, error)


POISON = Answers(
    right=[Example((_right_two_steps,)), Example((_right_raise_outages,))],
    wrong=[
        Example((_wrong_everything,), mistake="outage_buried"),
        Example((_wrong_nothing,), mistake="no_json_raised"),
        Example((_wrong_json_only,), mistake="no_activity_raised"),
        Example((_wrong_silent,), mistake="dropped"),
        Example((_wrong_no_reason,), mistake="no_reason"),
        Example((_wrong_always,), mistake="good_record_buried"),
        Example((_wrong_bytes,), mistake="changed"),
        Example((_wrong_exception,), mistake="reason_not_text"),
        Example((5,), mistake="unreadable"),
    ],
    equivalent={"bury(value, repr(error))": "another wording of the reason"},
)


# 06.3


def _account(
    *late_min: float, alarming: tuple[int, ...] = (), buried: tuple[int, ...] = (), on_their_way: int = 0
) -> Latecomer:
    """Payments 1, 2, … by their minutes of lateness."""
    payments = tuple(Arrived(number, minutes) for number, minutes in enumerate(late_min, 1))
    return Latecomer(payments, frozenset(alarming), frozenset(buried), on_their_way)


LATE = Answers(
    right=[
        Example((1,), _account(0, 45, 20, alarming=(3,), buried=(2,))),
        Example((1,), _account(0, 0, 31, 300, 29, alarming=(5,), buried=(3, 4))),
    ],
    wrong=[
        Example((1,), _account(0, 0, alarming=(2,)), "nothing_late"),
        Example((1,), _account(0, 20, alarming=(2,)), "none_too_late"),
        Example((1,), _account(0, 45, buried=(2,)), "all_too_late"),
        Example(
            (1,),
            # 600 EUR in DE, a late 20 EUR in DE, then 600 EUR in FR: the alarm names the late one, and did not need it.
            _account(0, 45, 20, 0, alarming=(4,), buried=(2,)),
            "alarm_of_another",
            at_rest=True,
        ),
        Example((1,), _account(0, 45, 20, buried=(2,)), "no_alarm", at_rest=True),
        Example((1,), _account(0, 45, 20, buried=(2,)), waits="no alarm of the late payment"),
        Example((1,), _account(), "no_payment"),
        Example((1,), _account(0, 45, 20, on_their_way=2), waits="2 of its payments"),
    ],
    mutants=False,
)


# 06.4

_PLACE = "file:/state/savepoints/savepoint-1234-abcd"

RESCALE = Answers(
    right=[
        Example((_PLACE,), Detectors((2,), _PLACE, is_savepoint=True)),
        Example((f"{_PLACE}/",), Detectors((2,), _PLACE.replace("file:/", "file:///"), is_savepoint=True)),
    ],
    wrong=[
        Example((_PLACE,), Detectors((2,)), "from_nothing"),
        Example((_PLACE,), Detectors((1,), _PLACE, is_savepoint=True), "not_rescaled"),
        Example((_PLACE,), Detectors((1, 2), _PLACE, is_savepoint=True), "two_detectors"),
        Example((_PLACE,), Detectors((2,), "file:/state/checkpoints/1234/chk-7", is_savepoint=False), "from_elsewhere"),
        Example((_PLACE,), Detectors(()), waits="No detector of yours"),
        Example(("",), Detectors((2,), _PLACE, is_savepoint=True), "unreadable"),
    ],
    mutants=False,
)


# 06.5


def _options(
    guarantee: str = "exactly-once", prefix: str = "anna.copy", timeout: object = "600000"
) -> dict[str, object]:
    return {GUARANTEE: guarantee, PREFIX: prefix, TIMEOUT: timeout}


TRANSACTIONS = Answers(
    right=[
        Example((_options(timeout=900_000),), "anna"),
        Example((_options(prefix="anna.tx-1", timeout="60000"),), "anna"),
        Example((_options("EXACTLY-ONCE"),), "anna"),  # Flink does not mind
    ],
    wrong=[
        Example((_options("at-least-once"),), "anna", "no_transactions"),
        Example((_options("exactly_once"),), "anna", "unknown_guarantee"),
        Example((_options(prefix="copy"),), "anna", "shared_prefix"),
        Example((_options(timeout="3600000"),), "anna", "timeout_too_long"),
        Example((_options(timeout="600"),), "anna", "timeout_too_short"),
        Example((_options() | {"sink.parallelism": "1"},), "anna", "unknown_option"),
        Example(({GUARANTEE: "exactly-once"},), "anna", "option_missing"),
        Example((_options(timeout="ten minutes"),), "anna", "unreadable"),
    ],
    observe=lambda _options: learner_settings().learner,
    equivalent={
        "transactional = {'sink.delivery-guarantee': 'exactly-once', 'sink.transactional-id-prefix':"
        f" lab.names().job('{name}'), 'properties.transaction.timeout.ms': '600000'}}": "any name of the learner's will do"
        for name in ("600000", "exactly-once", GUARANTEE, PREFIX, TIMEOUT)
    },
)

ANSWERS = {"06.1": LONGEST, "06.2": POISON, "06.3": LATE, "06.4": RESCALE, "06.5": TRANSACTIONS}
