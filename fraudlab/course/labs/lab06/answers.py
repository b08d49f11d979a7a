"""Answers to Lab 06, Break it: right and wrong ones. Only tests and `fraudlab course check` load them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.breaking import Load
from fraudlab.course.labs.lab06.checks import Alarm, Arrived, Copied, Hour, Latecomer, Outage, Upgrade

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

_OUTAGE = Outage(_ALARMS, taken_over=True)

LONGEST = Answers(
    right=[Example((6.0,), _OUTAGE), Example((6,), _OUTAGE), Example((5.96,), _OUTAGE)],
    wrong=[
        Example((6.0,), Outage(_ALARMS, taken_over=False), "not_killed"),  # the TaskManager was killed, or nothing
        Example((9.4,), _OUTAGE, "counted_again"),
        Example((6000,), _OUTAGE, "milliseconds"),
        Example((0.7,), _OUTAGE, "median"),
        Example((0.5,), Outage(_ALARMS[:1] + _ALARMS[2:], taken_over=True), "shortest"),
        Example((600.7,), _OUTAGE, "from_the_payment"),
        Example((77.0,), _OUTAGE, "other_wait"),
        Example(("long",), _OUTAGE, "unreadable"),
        Example((6.0,), Outage((), taken_over=True), waits="No alarm was raised"),
    ],
    mutants=False,
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

_SOURCE, _ASK, _COUNT = "Source: transaction_mid[1] -> Calc[2]", "ask the office", "count the letters"
_BEHIND_ASK = (Load(_SOURCE, 0.0, 1.0, 0.0), Load(_ASK, 0.98, 0.0, 0.02), Load(_COUNT, 0.01, 0.0, 0.99))
_BEHIND_COUNT = (Load(_SOURCE, 0.0, 1.0, 0.0), Load(_ASK, 0.01, 0.99, 0.0), Load(_COUNT, 1.0, 0.0, 0.0))

BOTTLENECK = Answers(
    right=[
        Example((_ASK,), _BEHIND_ASK),
        Example(
            ("Ask the Office ",), (_BEHIND_ASK[0], Load(f"{_ASK} -> {_COUNT}", 0.97, 0.0, 0.03))
        ),  # chained behind it
        Example((_COUNT,), _BEHIND_COUNT),  # the sleep is in the last one
    ],
    wrong=[
        Example((_SOURCE,), _BEHIND_ASK, "waits_for_room"),
        Example((_ASK,), _BEHIND_COUNT, "waits_for_room"),
        Example((_COUNT,), _BEHIND_ASK, "waits_for_input"),
        Example(("fraud detector",), _BEHIND_ASK, "no_operator"),
        Example(("t",), _BEHIND_ASK, "no_operator"),  # of all of them
        Example((_ASK,), (Load(f"{_SOURCE} -> {_ASK} -> {_COUNT}", 1.0, 0.0, 0.0),), "chained"),
        Example(
            (_ASK,), (Load(_SOURCE, 0.1, 0.0, 0.9), Load(_ASK, 0.2, 0.0, 0.8)), waits="No operator is backpressured"
        ),
        Example((_ASK,), (), waits="has not measured"),
        Example((" ",), _BEHIND_ASK, "unreadable"),
    ],
    mutants=False,
)


# 06.5


def _table(
    guarantee: str = "exactly-once", prefix: str = "${learner}.copy", timeout: str = "600000", more: str = ""
) -> str:
    return (
        "CREATE TABLE safe (envelope STRING) WITH (\n'connector' = 'kafka', 'topic' = '${learner}.safe',\n"
        f"  ${{kafka_options}},\n  'format' = 'raw',{more}\n  'sink.delivery-guarantee'='{guarantee}',\n"
        f"  'sink.transactional-id-prefix' = '{prefix}', 'properties.transaction.timeout.ms'   = '{timeout}')"
    )


_INSERT = "INSERT INTO safe SELECT envelope FROM captured"
_COPIED = Copied("anna", payments=5_600, copies=5_600, markers=9)


def _without(option: str) -> str:
    return "\n".join(line for line in _table().replace(", '", ",\n'").splitlines() if option not in line)


TRANSACTIONS = Answers(
    right=[
        Example((_table(timeout="900000"), _INSERT), _COPIED),
        Example((_table(prefix="anna.tx-1", timeout="120000"), _INSERT + ";"), Copied("anna", 5_600, 5_700, 1)),
        Example((_table("EXACTLY-ONCE").replace("CREATE TABLE", "create temporary table"), _INSERT), _COPIED),
        Example((_table(more="\n-- not 'sink.delivery-guarantee' = 'at-least-once'"), _INSERT), _COPIED),
    ],
    wrong=[
        Example((_table("at-least-once"), _INSERT), _COPIED, "no_transactions"),
        Example((_table("exactly_once"), _INSERT), _COPIED, "unknown_guarantee"),
        Example((_table(prefix="copy"), _INSERT), _COPIED, "shared_prefix"),
        Example((_table(prefix="${learner}."), _INSERT), _COPIED, "shared_prefix"),
        Example((_table(timeout="3600000"), _INSERT), _COPIED, "timeout_too_long"),
        Example((_table(timeout="2000"), _INSERT), _COPIED, "timeout_too_short"),
        Example((_table(timeout="ten minutes"), _INSERT), _COPIED, "unreadable"),
        Example((_without("timeout"), _INSERT), _COPIED, "option_missing"),
        Example((_without("prefix"), _INSERT), _COPIED, "option_missing"),
        Example((_INSERT, _table()), _COPIED, "unreadable"),  # the two swapped
        Example((_table(), _INSERT), Copied("anna", 5_600, 0, 0), "elsewhere", at_rest=True),
        Example((_table(), f"{_INSERT} WHERE RAND() < 0.5"), Copied("anna", 5_600, 2_800, 9), "not_all", at_rest=True),
        Example((_table(), _INSERT), Copied("anna", 5_600, 1_200, 1), waits="1,200 of 5,600 records"),
        Example((_table(), _INSERT), Copied("anna", 5_600, 5_600, 0), waits="No transaction is complete"),
    ],
    mutants=False,
)


# 06.6

_PLACE = "file:/state/savepoints/savepoint-1234-abcd"
_PROOF = (Hour(59_000, 2), Hour(61_000, 2, raised=True))


def _upgrade(*hours: Hour, widths: tuple[int, ...] = (2,), place: str = _PLACE, is_savepoint: bool = True) -> Upgrade:
    return Upgrade(widths, place, is_savepoint, hours)


UPGRADE = Answers(
    right=[
        Example((_PLACE, 1_000_001), _upgrade(*_PROOF)),
        Example((f"{_PLACE}/", 1_000_001), _upgrade(*_PROOF, place=_PLACE.replace("file:/", "file:///"))),
        Example(  # exactly the threshold counts; more is paid afterwards, by cards in one country, too
            (_PLACE, 1_000_001),
            _upgrade(Hour(55_100, 2), Hour(5_000, 1), Hour(60_000, 2, raised=True), Hour(120_000, 3, raised=True)),
        ),
    ],
    wrong=[
        Example((_PLACE, 1_000_001), Upgrade((2,)), "from_nothing"),
        Example((_PLACE, 1_000_001), _upgrade(*_PROOF, widths=(1,)), "not_rescaled"),
        Example((_PLACE, 1_000_001), _upgrade(*_PROOF, widths=(1, 2)), "two_detectors"),
        Example(
            (_PLACE, 1_000_001),
            _upgrade(*_PROOF, place="file:/state/checkpoints/1234/chk-7", is_savepoint=False),
            "from_elsewhere",
        ),
        Example((_PLACE, 1_000_001), _upgrade(Hour(59_000, 2, raised=True)), "too_low"),  # 600 cents
        Example((_PLACE, 1_000_001), _upgrade(Hour(61_000, 2, raised=True)), "one_side"),
        Example((_PLACE, 1_000_001), _upgrade(Hour(4_000, 1)), "one_side"),
        Example((_PLACE, 1_000_001), _upgrade(Hour(59_000, 2), Hour(159_000, 2, raised=True)), "no_proof"),
        Example(
            (_PLACE, 1_000_001),
            _upgrade(Hour(50_000, 2, reaches_back=False), Hour(61_000, 2, reaches_back=False, raised=True)),
            "nothing_remembered",
        ),
        Example((_PLACE, 1_000_001), _upgrade(Hour(59_000, 2), Hour(61_000, 2)), "old_rule", at_rest=True),
        Example((_PLACE, 1_000_001), _upgrade(Hour(59_000, 2), Hour(61_000, 2)), waits="no alarm of the new rule"),
        Example((_PLACE, 1_000_001), Upgrade(()), waits="No detector of yours"),
        Example(("", 1_000_001), _upgrade(*_PROOF), "unreadable"),
    ],
    mutants=False,
)

ANSWERS = {
    "06.1": LONGEST,
    "06.2": POISON,
    "06.3": LATE,
    "06.4": BOTTLENECK,
    "06.5": TRANSACTIONS,
    "06.6": UPGRADE,
}
