"""Lab 06, Break it: kills, poison, late data, savepoints, and what Kafka's transactions cost."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from fraudlab.course import breaking
from fraudlab.course.exercise import Example, Exercise, Lab, Verdict, call, not_yet, nothing_to_observe, right, wrong
from fraudlab.course.world import World
from fraudlab.stack.flink import get_json

# 06.1


@dataclass(frozen=True, slots=True)
class Alarm:
    """A record of `suspicious_activities`: when the payment that made it known was stored, when it was raised, when the payment happened."""

    activity_id: str
    created: datetime
    detected: datetime
    happened: datetime


def observe_alarms(world: World, _longest_s: float, began: datetime) -> tuple[Alarm, ...]:
    """The alarms of payments that were stored since then."""
    found = [record.json for record in world.records("suspicious_activities")]
    times = ("created_at", "detected_at", "window_end")
    alarms = [Alarm(one["activity_id"], *(datetime.fromisoformat(one[name]) for name in times)) for one in found]
    return tuple(one for one in alarms if one.created >= began)


def judge_longest(alarms: tuple[Alarm, ...], longest_s: float, _began: datetime | None = None) -> Verdict:
    """The longest time from the bank's commit to the first record of an activity."""
    expected = "the seconds from `created_at` to `detected_at` of the activity that waited longest, each counted by its first record"
    if not alarms:
        return not_yet("No alarm was raised since the bank began to pay: run the cell with `lab.paying_bank` first.")
    answer = float(longest_s)
    firsts: dict[str, Alarm] = {}
    for one in alarms:
        if one.activity_id not in firsts or one.detected < firsts[one.activity_id].detected:
            firsts[one.activity_id] = one
    waits = [_seconds(one.detected - one.created) for one in firsts.values()]
    longest = max(waits)
    if _close(answer, longest):
        return right("Who was robbed during the outage was warned some seconds late. Nobody was forgotten.")
    for mistaken, sentence in (
        (
            max(_seconds(one.detected - one.created) for one in alarms),
            "That activity was raised a second time after the kill; its first record had come long before. Count each activity once.",
        ),
        (longest * 1000, "Those are milliseconds."),
        (median(waits), "That is the usual wait, the median. Who waited longest?"),
        (min(waits), "That is the shortest wait."),
        (
            max(_seconds(one.detected - one.happened) for one in firsts.values()),
            "That counts from when the payment happened. Before the bank stored it, nobody here could know of it.",
        ),
    ):
        if _close(answer, mistaken):
            return wrong(sentence, found=answer, expected=expected)
    return wrong("The topic says something else.", found=answer, expected=expected)


def _seconds(span: timedelta) -> float:
    return span / timedelta(seconds=1)


def _close(answer: float, true: float) -> bool:
    return abs(answer - true) <= max(0.1, 0.05 * true)


_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def _alarm(name: str, created_s: float, detected_s: float, late_s: float = 0) -> Alarm:
    created = _NOON + timedelta(seconds=created_s)
    return Alarm(name, created, _NOON + timedelta(seconds=detected_s), created - timedelta(seconds=late_s))


_ALARMS = (
    _alarm("activity-1", 0, 0.5),
    _alarm("activity-2", 2, 2.7, late_s=600),
    _alarm("activity-3", 5, 11),  # during the outage
    _alarm("activity-2", 2, 11),  # raised again
)

LONGEST = Exercise(
    number="06.1",
    title="The longest wait",
    task="find out how many seconds the alarm took that waited longest during the kill.",
    hints=(
        "Each alarm has two times that matter: when the bank stored the payment, and when the alarm was raised. Which column is which?",
        "The same activity may be there twice: after the kill some were raised again. The person was warned by the first one.",
        '`first = alarms.sort_values("detected_at").drop_duplicates("activity_id")`, and of it the largest difference of the two times.',
    ),
    shape="a number of seconds",
    observe=observe_alarms,
    judge=judge_longest,
    right=[Example((6.0,), _ALARMS), Example((6,), _ALARMS), Example((5.96,), _ALARMS)],
    wrong=[
        Example(
            (9.0,),
            _ALARMS,
            "That activity was raised a second time after the kill; its first record had come long before. Count each activity once.",
        ),
        Example((6000,), _ALARMS, "Those are milliseconds."),
        Example((0.7,), _ALARMS, "That is the usual wait, the median. Who waited longest?"),
        Example((0.5,), _ALARMS[:1] + _ALARMS[2:], "That is the shortest wait."),
        Example(
            (600.7,),
            _ALARMS,
            "That counts from when the payment happened. Before the bank stored it, nobody here could know of it.",
        ),
        Example((77.0,), _ALARMS, "The topic says something else."),
        Example(("long",), _ALARMS, "The check cannot read this answer."),
        Example(
            (6.0,), (), "No alarm was raised since the bank began to pay: run the cell with `lab.paying_bank` first."
        ),
    ],
)


# 06.2

Careful = Callable[[bytes, Callable[[Mapping[str, Any]], None], Callable[[bytes, str], None]], object]

GOOD, NO_JSON, NO_ACTIVITY = b'{"user_id": 7}', b"}{ not JSON", b'{"colour": "green"}'


class _Desk:
    """What a function did with records: those handled, and those buried with their reasons."""

    def __init__(self, *, away: bool = False) -> None:
        self.handled: list[Any] = []
        self.buried: list[tuple[Any, Any]] = []
        self._away = away

    def handle(self, activity: Mapping[str, Any]) -> None:
        if self._away:
            raise ConnectionError("the database is away")
        if not isinstance(activity, Mapping):
            raise TypeError("handle takes the activity, a dictionary")
        if "user_id" not in activity:
            raise ValueError("not an activity: it has no user_id")
        self.handled.append(dict(activity))

    def bury(self, value: bytes, reason: str) -> None:
        self.buried.append((value, reason))


def judge_careful(_observed: None, careful: Careful) -> Verdict:
    """Good ones handled, poison buried with its reason, an outage raised."""
    expected = "good records handled, bad ones buried with the reason, and what may pass by itself raised"
    desk = _Desk()
    call(careful, GOOD, desk.handle, desk.bury)
    if desk.buried or desk.handled != [{"user_id": 7}]:
        return wrong(
            "A good record must be handed to `handle` once, as a dictionary, and not be buried.",
            found=f"{len(desk.handled)} times handled, {len(desk.buried)} times buried",
            expected=expected,
        )
    for poison, sentence in (
        (
            NO_JSON,
            "What is no JSON came out as an error: the program ends, is started again, and reads the same record again, for ever.",
        ),
        (
            NO_ACTIVITY,
            "JSON that is no activity is poison as well: what `handle` says with a ValueError, it will say every time.",
        ),
    ):
        desk = _Desk()
        try:
            careful(poison, desk.handle, desk.bury)
        except Exception as error:
            return wrong(sentence, found=f"{type(error).__name__} for {poison.decode()!r}", expected=expected)
        if not desk.buried:
            return wrong(
                "A record that is passed over in silence is lost: bury it.", found="no dead letter", expected=expected
            )
        ((value, reason),) = desk.buried
        if value != poison:
            return wrong(
                "Bury the record as it came, so that somebody can look at it.", found=repr(value), expected=expected
            )
        if not str(reason or "").strip():
            return wrong("A dead letter without a reason helps nobody.", found="no reason", expected=expected)
    desk = _Desk(away=True)
    try:
        careful(GOOD, desk.handle, desk.bury)
    except ConnectionError:
        return right(
            "Poison is put aside with its reason; an outage is not poison, and what it hit will be tried again."
        )
    return wrong(
        "The database was away for a moment, and a good activity was put aside for it. What may pass by itself must be raised.",
        found="buried" if desk.buried else "passed over",
        expected=expected,
    )


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


POISON = Exercise(
    number="06.2",
    title="Poison, or an outage?",
    task="write the function that handles a good record, buries a bad one, and lets an outage through.",
    hints=(
        "Ask of each error: if I try the same record again in a minute, can it go well?",
        "`json.loads` and `handle` both say with a ValueError that a record is bad. What does a database that is away raise? Not that.",
        "`try:` `handle(json.loads(value))`, then `except ValueError as error:` and there `bury(value, str(error))`. Catch nothing else.",
    ),
    shape="a function of a value, `handle` and `bury`",
    observe=nothing_to_observe,
    judge=judge_careful,
    right=[Example((_right_two_steps,)), Example((_right_raise_outages,))],
    wrong=[
        Example(
            (_wrong_everything,),
            says="The database was away for a moment, and a good activity was put aside for it. What may pass by itself must be raised.",
        ),
        Example(
            (_wrong_nothing,),
            says="What is no JSON came out as an error: the program ends, is started again, and reads the same record again, for ever.",
        ),
        Example(
            (_wrong_json_only,),
            says="JSON that is no activity is poison as well: what `handle` says with a ValueError, it will say every time.",
        ),
        Example((_wrong_silent,), says="A record that is passed over in silence is lost: bury it."),
        Example((_wrong_no_reason,), says="A dead letter without a reason helps nobody."),
        Example(
            (_wrong_always,), says="A good record must be handed to `handle` once, as a dictionary, and not be buried."
        ),
        Example((_wrong_bytes,), says="Bury the record as it came, so that somebody can look at it."),
        Example((5,), says="The check cannot read this answer."),
    ],
)


# 06.3


@dataclass(frozen=True, slots=True)
class Arrived:
    """A payment: its number, which is the order of arrival, and how many minutes it lay behind the newest one when it arrived."""

    transaction_id: int
    late_min: float


@dataclass(frozen=True, slots=True)
class Latecomer:
    """An account's payments in the order of arrival; those whose arrival raised an alarm; those in dead_letters; how many the pipeline
    still has to see."""

    payments: tuple[Arrived, ...]
    alarming: frozenset[int]
    buried: frozenset[int]
    on_their_way: int = 0
    allowed_min: float = 30.0


def observe_latecomer(world: World, user_id: int) -> Latecomer:
    """Reads the account's payments, and what the pipeline made of them."""
    rows = world.rows(
        "SELECT transaction_id, transaction_time, created_at FROM transactions WHERE user_id = %s ORDER BY transaction_id",
        int(user_id),
    )
    payments, newest = [], None
    for row in rows:
        newest = max(newest or row["transaction_time"], row["transaction_time"])
        payments.append(Arrived(row["transaction_id"], (newest - row["transaction_time"]) / timedelta(minutes=1)))
    mine = {one.transaction_id for one in payments}
    key = str(int(user_id))
    joined = {one.json["transaction_id"] for one in world.records("transaction_mid") if one.key == key and one.value}
    # An alarm carries the `created_at` of the payment that made it known, which need not be the last of its hour.
    known_at = {
        datetime.fromisoformat(one.json["created_at"]).replace(tzinfo=None)
        for one in world.records("suspicious_activities")
        if one.key == key
    }
    letters = [one.json for one in world.records("dead_letters")]
    return Latecomer(
        tuple(payments),
        frozenset(row["transaction_id"] for row in rows if row["created_at"] in known_at),
        frozenset(one["transaction_id"] for one in letters if one.get("transaction_id") in mine),
        len(mine - joined),
        world.settings.allowed_lateness_s / 60,
    )


def judge_latecomer(observed: Latecomer, _user_id: int) -> Verdict:
    """One payment too late, and in dead_letters; another late, and raising an alarm."""
    expected = "one payment that is late and raises an alarm all the same, and one that is too late and in dead_letters"
    late = {one.transaction_id for one in observed.payments if one.late_min > 0}
    too_late = {one.transaction_id for one in observed.payments if one.late_min > observed.allowed_min}
    found = f"{len(observed.payments)} payments, {len(late)} late, of these {len(too_late)} too late"
    if not observed.payments:
        return wrong("Nobody has paid from this account yet.", found=found, expected=expected)
    if observed.on_their_way:
        return not_yet(f"{observed.on_their_way} of its payments are still on their way to the detector.")
    if not late:
        return wrong(
            "Nothing was late: every payment arrived in the order in which they were made.",
            found=found,
            expected=expected,
        )
    if not too_late:
        return wrong(
            "None was too late. If the account was stopped first, the bank refused the rest: make the one that is too late before the alarm.",
            found=found,
            expected=expected,
        )
    if not too_late <= observed.buried:
        return not_yet("The payment that is too late is not in `dead_letters` yet.")
    if not late - too_late:
        return wrong(
            "All that was late was too late: it counts for nothing, and nothing was found.",
            found=found,
            expected=expected,
        )
    if not late & observed.alarming:
        mistake = (
            "There is an alarm, but it was not the late payment that raised it. It must still be missing before that one comes."
            if observed.alarming
            else "No alarm comes. Together with the late payment an hour must hold two countries and 1,000 EUR."
        )
        return not_yet(
            "There is no alarm of the late payment yet.", at_rest=wrong(mistake, found=found, expected=expected)
        )
    return right(
        "A late payment changes an hour that was over, and its alarm comes then. Too late is a line that somebody has drawn."
    )


def _account(
    *late_min: float, alarming: tuple[int, ...] = (), buried: tuple[int, ...] = (), on_their_way: int = 0
) -> Latecomer:
    """Payments 1, 2, … by their minutes of lateness."""
    payments = tuple(Arrived(number, minutes) for number, minutes in enumerate(late_min, 1))
    return Latecomer(payments, frozenset(alarming), frozenset(buried), on_their_way)


LATE = Exercise(
    number="06.3",
    title="Late, and too late",
    task="make payments of one account of which one is too late to count, and another is late and raises an alarm all the same.",
    hints=(
        "Late is a payment that happened before another one that the bank already knows. So what must you pay first?",
        "`minutes_ago=20` after a payment of now is late, and counts. `minutes_ago=45` is too late. A stopped account can pay no more.",
        "First 600.00 EUR in DE, now. Then something small, `minutes_ago=45`. Then 600.00 EUR in FR, `minutes_ago=20`.",
    ),
    shape="the number of the account, as `lab.open_account` gave it",
    observe=observe_latecomer,
    judge=judge_latecomer,
    right=[
        Example((1,), _account(0, 45, 20, alarming=(3,), buried=(2,))),
        Example((1,), _account(0, 0, 31, 300, 29, alarming=(5,), buried=(3, 4))),
    ],
    wrong=[
        Example(
            (1,),
            _account(0, 0, alarming=(2,)),
            "Nothing was late: every payment arrived in the order in which they were made.",
        ),
        Example(
            (1,),
            _account(0, 20, alarming=(2,)),
            "None was too late. If the account was stopped first, the bank refused the rest: make the one that is too late before the alarm.",
        ),
        Example(
            (1,),
            _account(0, 45, buried=(2,)),
            "All that was late was too late: it counts for nothing, and nothing was found.",
        ),
        Example(
            (1,),
            # 600 EUR in DE, a late 20 EUR in DE, then 600 EUR in FR: the alarm names the late one, and did not need it.
            _account(0, 45, 20, 0, alarming=(4,), buried=(2,)),
            "There is an alarm, but it was not the late payment that raised it. It must still be missing before that one comes.",
            at_rest=True,
        ),
        Example(
            (1,),
            _account(0, 45, 20, buried=(2,)),
            "No alarm comes. Together with the late payment an hour must hold two countries and 1,000 EUR.",
            at_rest=True,
        ),
        Example((1,), _account(0, 45, 20, buried=(2,)), "There is no alarm of the late payment yet."),
        Example((1,), _account(), "Nobody has paid from this account yet."),
        Example((1,), _account(0, 45, 20, on_their_way=2), "2 of its payments are still on their way to the detector."),
    ],
)


# 06.4

DETECTOR = "fraud-detector"
WIDER = 2


@dataclass(frozen=True, slots=True)
class Detectors:
    """The detectors that run, the widest part of each; from what the newest was restored: a place, or empty; whether that is a savepoint."""

    widths: tuple[int, ...]
    restored_from: str = ""
    is_savepoint: bool = False


def observe_detectors(world: World, _savepoint: str) -> Detectors:
    """Asks Flink."""
    running = [job for job in world.jobs() if job.name == DETECTOR and job.state == "RUNNING"]
    widths = tuple(breaking.parallelism(world, DETECTOR))
    if not running or not widths:
        return Detectors(())
    restored = get_json(world.settings, f"/jobs/{running[-1].id}/checkpoints")["latest"]["restored"] or {}
    return Detectors(widths, str(restored.get("external_path") or ""), bool(restored.get("is_savepoint")))


def judge_detectors(observed: Detectors, savepoint: str) -> Verdict:
    """One detector, two subtasks wide, from the learner's savepoint."""
    expected = f"one detector, with a parallelism of {WIDER}, that went on from your savepoint"
    found = f"detectors with a parallelism of {', '.join(map(str, observed.widths))}"
    if not str(savepoint).strip():
        raise ValueError("no place")
    if not observed.widths:
        return not_yet("No detector of yours runs yet.")
    if len(observed.widths) > 1:
        return wrong(
            "Two detectors run at the same time, and each raises everything: stop the first one with a savepoint.",
            found=found,
            expected=expected,
        )
    if not observed.restored_from:
        return wrong(
            "The detector began from nothing: it has forgotten what it knew, and reads the whole topic again.",
            found=found,
            expected=expected,
        )
    if not observed.is_savepoint or not breaking.same_place(observed.restored_from, savepoint):
        return wrong(
            "The detector went on from somewhere else than your savepoint.",
            found=observed.restored_from,
            expected=expected,
        )
    if observed.widths != (WIDER,):
        return wrong("The detector is as wide as before, or has another width.", found=found, expected=expected)
    return right("The same memory, now in two hands: each user's state went to one of the two subtasks.")


_PLACE = "file:/state/savepoints/savepoint-1234-abcd"

RESCALE = Exercise(
    number="06.4",
    title="Twice as wide",
    task="stop the detector with a savepoint, and start it from there with a parallelism of 2.",
    hints=(
        "Two steps, in this order: one function of `lab` stops a job and gives the place of its savepoint.",
        "`detector.submit` starts the job. The savepoint is an option of the cluster that you hand to it, the parallelism one of its own.",
        "`detector.submit(lab.cluster(execution__state_recovery__path=savepoint), lab.kafka(), lab.names(), rule, parallelism=…)`",
    ),
    shape="the place of the savepoint, as `lab.stop_with_savepoint` gave it",
    observe=observe_detectors,
    judge=judge_detectors,
    right=[
        Example((_PLACE,), Detectors((2,), _PLACE, is_savepoint=True)),
        Example((f"{_PLACE}/",), Detectors((2,), _PLACE.replace("file:/", "file:///"), is_savepoint=True)),
    ],
    wrong=[
        Example(
            (_PLACE,),
            Detectors((2,)),
            "The detector began from nothing: it has forgotten what it knew, and reads the whole topic again.",
        ),
        Example(
            (_PLACE,),
            Detectors((1,), _PLACE, is_savepoint=True),
            "The detector is as wide as before, or has another width.",
        ),
        Example(
            (_PLACE,),
            Detectors((1, 2), _PLACE, is_savepoint=True),
            "Two detectors run at the same time, and each raises everything: stop the first one with a savepoint.",
        ),
        Example(
            (_PLACE,),
            Detectors((2,), "file:/state/checkpoints/1234/chk-7", is_savepoint=False),
            "The detector went on from somewhere else than your savepoint.",
        ),
        Example((_PLACE,), Detectors(()), "No detector of yours runs yet."),
        Example(("",), Detectors((2,), _PLACE, is_savepoint=True), "The check cannot read this answer."),
    ],
    patience_s=40,
)


# 06.5

GUARANTEE, PREFIX, TIMEOUT = (
    "sink.delivery-guarantee",
    "sink.transactional-id-prefix",
    "properties.transaction.timeout.ms",
)
BROKER_MAX_MS = 900_000
"""`transaction.max.timeout.ms` of a Kafka broker, unless somebody changes it: 15 minutes."""
CHECKPOINT_MS = 2_000
GUARANTEES = ("none", "at-least-once", "exactly-once")


def judge_options(learner: str, options: Mapping[str, object]) -> Verdict:
    """Exactly once, a prefix of the learner's own, a timeout between a checkpoint and what the broker allows."""
    expected = "a sink that writes in transactions, under a name of its own, for no longer than the broker allows"
    known = {GUARANTEE, PREFIX, TIMEOUT}
    if unknown := sorted(set(options) - known):
        return wrong("These options do not belong here.", found=", ".join(unknown), expected=", ".join(sorted(known)))
    if missing := sorted(known - set(options)):
        return wrong("An option is missing.", found=", ".join(sorted(options)) or "none", expected=f"also {missing[0]}")
    guarantee, prefix = str(options[GUARANTEE]), str(options[PREFIX])
    if guarantee.lower() not in GUARANTEES:
        return wrong(
            "Flink knows no guarantee of this name, and would not take the table.",
            found=repr(guarantee),
            expected=f"one of {', '.join(GUARANTEES)}",
        )
    if guarantee.lower() != "exactly-once":
        return wrong("With this guarantee the sink makes no transactions.", found=guarantee, expected=expected)
    if not prefix.startswith(f"{learner}.") or len(prefix) == len(learner) + 1:
        return wrong(
            "Whoever begins a transaction under a name ends the others' of that name: it must be one that only you have.",
            found=repr(prefix),
            expected="a prefix from `lab.names().job(…)`",
        )
    timeout_ms = int(str(options[TIMEOUT]))
    if timeout_ms > BROKER_MAX_MS:
        return wrong(
            "The broker allows 15 minutes. The job would be refused, and restart for ever.",
            found=f"{timeout_ms:,} ms",
            expected=expected,
        )
    if timeout_ms <= CHECKPOINT_MS:
        return wrong(
            "A transaction is open until the next checkpoint. The broker would end it before, and its records would be lost.",
            found=f"{timeout_ms:,} ms",
            expected=expected,
        )
    return right("The records of a checkpoint become visible together, or not at all.")


def _options(
    guarantee: str = "exactly-once", prefix: str = "anna.copy", timeout: object = "600000"
) -> dict[str, object]:
    return {GUARANTEE: guarantee, PREFIX: prefix, TIMEOUT: timeout}


TRANSACTIONS = Exercise(
    number="06.5",
    title="A sink that writes in transactions",
    task="fill in the three options of a Kafka sink that writes in transactions.",
    hints=(
        "The guarantee is called what it promises: not `at-least-once`, which is the default, but …",
        'The prefix names your transactions for the broker; `lab.names().job("copy")` is a name that nobody else has.',
        "The timeout is in milliseconds: more than the 2 seconds between checkpoints, at most 15 minutes, for instance 10 minutes.",
    ),
    shape="a dictionary with the three options",
    observe=lambda world, _options: world.settings.learner,
    judge=judge_options,
    right=[
        Example((_options(timeout=900_000),), "anna"),
        Example((_options(prefix="anna.tx-1", timeout="60000"),), "anna"),
        Example((_options("EXACTLY-ONCE"),), "anna"),  # Flink does not mind
    ],
    wrong=[
        Example((_options("at-least-once"),), "anna", "With this guarantee the sink makes no transactions."),
        Example(
            (_options("exactly_once"),), "anna", "Flink knows no guarantee of this name, and would not take the table."
        ),
        Example(
            (_options(prefix="copy"),),
            "anna",
            "Whoever begins a transaction under a name ends the others' of that name: it must be one that only you have.",
        ),
        Example(
            (_options(timeout="3600000"),),
            "anna",
            "The broker allows 15 minutes. The job would be refused, and restart for ever.",
        ),
        Example(
            (_options(timeout="600"),),
            "anna",
            "A transaction is open until the next checkpoint. The broker would end it before, and its records would be lost.",
        ),
        Example(({GUARANTEE: "exactly-once"},), "anna", "An option is missing."),
        Example((_options(timeout="ten minutes"),), "anna", "The check cannot read this answer."),
    ],
)


LAB = Lab(number="06", name="break-it", title="Break it", exercises=(LONGEST, POISON, LATE, RESCALE, TRANSACTIONS))
