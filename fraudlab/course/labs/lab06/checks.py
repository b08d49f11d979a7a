"""Lab 06, Break it: kills, poison, late data, savepoints, and what Kafka's transactions cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from fraudlab.course import breaking
from fraudlab.course.exercise import Exercise, Lab, Mistake, Verdict, call, not_yet, nothing_to_observe, right, wrong
from fraudlab.course.workspace import Workspace

# 06.1


@dataclass(frozen=True, slots=True)
class Alarm:
    """A record of `suspicious_activities`: when the payment that made it known was stored, when it was raised, when the payment happened."""

    activity_id: str
    created: datetime
    detected: datetime
    happened: datetime


def observe_alarms(workspace: Workspace, _longest_s: float, began: datetime) -> tuple[Alarm, ...]:
    """The alarms of payments that were stored since then."""
    found = [record.json for record in workspace.records("suspicious_activities")]
    times = ("created_at", "detected_at", "window_end")
    alarms = [Alarm(one["activity_id"], *(datetime.fromisoformat(one[name]) for name in times)) for one in found]
    return tuple(one for one in alarms if one.created >= began)


def judge_longest(alarms: tuple[Alarm, ...], longest_s: float, _began: datetime | None = None) -> Verdict:
    """The longest time from the bank's commit to the first record of an activity."""
    expected = (
        "the seconds from `created_at` to `detected_at` of the slowest activity, each counted by its first record"
    )
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
        return right("People who were robbed during the outage were warned some seconds late. No one was forgotten.")
    for mistaken, mistake in (
        (
            max(_seconds(one.detected - one.created) for one in alarms),
            Mistake(
                "counted_again",
                "That activity was raised a second time after the kill; its first record came long before. Count each activity once.",
            ),
        ),
        (longest * 1000, Mistake("milliseconds", "Those are milliseconds.")),
        (median(waits), Mistake("median", "That is the usual wait, the median. Which was the longest?")),
        (min(waits), Mistake("shortest", "That is the shortest wait.")),
        (
            max(_seconds(one.detected - one.happened) for one in firsts.values()),
            Mistake(
                "from_the_payment",
                "That counts from the time of the payment. Before the bank stored it, the pipeline could not know of it.",
            ),
        ),
    ):
        if _close(answer, mistaken):
            return wrong(mistake, found=answer, expected=expected)
    return wrong(Mistake("other_wait", "The topic gives another time."), found=answer, expected=expected)


def _seconds(span: timedelta) -> float:
    return span / timedelta(seconds=1)


def _close(answer: float, true: float) -> bool:
    return abs(answer - true) <= max(0.1, 0.05 * true)


LONGEST = Exercise(
    number="06.1",
    title="The longest wait",
    task="find out how many seconds the slowest alarm took during the kill.",
    hints=(
        "Each alarm has two times that matter: when the bank stored the payment, and when the alarm was raised. Which column is which?",
        "The same activity may be there twice: after the kill, some were raised again. The first one warned the person.",
        '`first = alarms.sort_values("detected_at").drop_duplicates("activity_id")`, and then the largest difference of the two times in it.',
    ),
    shape="a number of seconds",
    observe=observe_alarms,
    judge=judge_longest,
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
    """The function must handle good records, bury poison records with the reason, and let an outage through."""
    expected = "good records handled, bad ones buried with the reason, and an error that may pass raised"
    desk = _Desk()
    call(careful, GOOD, desk.handle, desk.bury)
    if desk.buried or desk.handled != [{"user_id": 7}]:
        return wrong(
            Mistake("good_record_buried", "Pass a good record to `handle` once, as a dictionary, and do not bury it."),
            found=f"{len(desk.handled)} times handled, {len(desk.buried)} times buried",
            expected=expected,
        )
    for poison, mistake in (
        (
            NO_JSON,
            Mistake(
                "no_json_raised",
                "A record that is not JSON raised an error: the program ends, restarts, and reads the same record again, indefinitely.",
            ),
        ),
        (
            NO_ACTIVITY,
            Mistake(
                "no_activity_raised",
                "JSON that is not an activity is a poison record, too: `handle` will raise the same ValueError every time.",
            ),
        ),
    ):
        desk = _Desk()
        try:
            careful(poison, desk.handle, desk.bury)
        except Exception as error:
            return wrong(mistake, found=f"{type(error).__name__} for {poison.decode()!r}", expected=expected)
        if not desk.buried:
            return wrong(
                Mistake("dropped", "A record that you skip silently is lost: bury it."),
                found="no dead letter",
                expected=expected,
            )
        ((value, reason),) = desk.buried
        if value != poison:
            return wrong(
                Mistake("changed", "Bury the record as it came, so that you can look at it later."),
                found=repr(value),
                expected=expected,
            )
        if reason is not None and not isinstance(reason, str):
            return wrong(
                Mistake(
                    "reason_not_text", "A dead letter's reason is text: an exception cannot be written to a topic."
                ),
                found=f"a {type(reason).__name__}",
                expected=expected,
            )
        if not (reason or "").strip():
            return wrong(
                Mistake("no_reason", "A dead letter without a reason does not help."),
                found="no reason",
                expected=expected,
            )
    desk = _Desk(away=True)
    try:
        careful(GOOD, desk.handle, desk.bury)
    except ConnectionError:
        return right(
            "Poison goes to the dead letters with its reason. An outage is not poison: its records will be tried again."
        )
    return wrong(
        Mistake(
            "outage_buried",
            "The database was away for a moment, and a good activity was buried. Raise an error that may pass.",
        ),
        found="buried" if desk.buried else "passed over",
        expected=expected,
    )


POISON = Exercise(
    number="06.2",
    title="Poison, or an outage?",
    task="write the function that handles a good record, buries a bad one, and lets an outage through.",
    hints=(
        "Ask about each error: if I try the same record again in a minute, can it succeed?",
        "`json.loads` and `handle` both raise a ValueError for a bad record. A database that is away raises something else.",
        "`try:` `handle(json.loads(value))`, then `except ValueError as error:` with `bury(value, str(error))`. Catch nothing else.",
    ),
    shape="a function of a value, `handle` and `bury`",
    observe=nothing_to_observe,
    judge=judge_careful,
)


# 06.3


@dataclass(frozen=True, slots=True)
class Arrived:
    """A payment: its number, which is the order of arrival, and how many minutes it was behind the newest one when it arrived."""

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


def observe_latecomer(workspace: Workspace, user_id: int) -> Latecomer:
    """Reads the account's payments, and what the pipeline made of them."""
    rows = workspace.rows(
        "SELECT transaction_id, transaction_time, created_at FROM transactions WHERE user_id = %s ORDER BY transaction_id",
        int(user_id),
    )
    payments, newest = [], None
    for row in rows:
        newest = max(newest or row["transaction_time"], row["transaction_time"])
        payments.append(Arrived(row["transaction_id"], (newest - row["transaction_time"]) / timedelta(minutes=1)))
    mine = {one.transaction_id for one in payments}
    key = str(int(user_id))
    joined = {
        one.json["transaction_id"] for one in workspace.records("transaction_mid") if one.key == key and one.value
    }
    # An alarm carries the `created_at` of the payment that made it known, which need not be the last of its hour.
    known_at = {
        datetime.fromisoformat(one.json["created_at"]).replace(tzinfo=None)
        for one in workspace.records("suspicious_activities")
        if one.key == key
    }
    letters = [one.json for one in workspace.records("dead_letters")]
    return Latecomer(
        tuple(payments),
        frozenset(row["transaction_id"] for row in rows if row["created_at"] in known_at),
        frozenset(one["transaction_id"] for one in letters if one.get("transaction_id") in mine),
        len(mine - joined),
        workspace.settings.allowed_lateness_s / 60,
    )


def judge_latecomer(observed: Latecomer, _user_id: int) -> Verdict:
    """One payment too late, and in dead_letters; another late, and raising an alarm."""
    expected = "one payment that is late and still raises an alarm, and one that is too late and in dead_letters"
    late = {one.transaction_id for one in observed.payments if one.late_min > 0}
    too_late = {one.transaction_id for one in observed.payments if one.late_min > observed.allowed_min}
    found = f"{len(observed.payments)} payments, {len(late)} late, of these {len(too_late)} too late"
    if not observed.payments:
        return wrong(Mistake("no_payment", "This account has not paid yet."), found=found, expected=expected)
    if observed.on_their_way:
        return not_yet(f"{observed.on_their_way} of its payments are still on their way to the detector.")
    if not late:
        return wrong(
            Mistake("nothing_late", "Nothing was late: every payment arrived in the order in which it was made."),
            found=found,
            expected=expected,
        )
    if not too_late:
        return wrong(
            Mistake(
                "none_too_late",
                "No payment was too late. If the account was stopped first, the bank refused the rest: make the one that is too late before the alarm.",
            ),
            found=found,
            expected=expected,
        )
    if not too_late <= observed.buried:
        return not_yet("The payment that is too late is not in `dead_letters` yet.")
    if not late - too_late:
        return wrong(
            Mistake("all_too_late", "Every late payment was too late: it counts for nothing, and nothing was found."),
            found=found,
            expected=expected,
        )
    if not late & observed.alarming:
        mistake = (
            Mistake(
                "alarm_of_another",
                "There is an alarm, but the late payment did not raise it. Without the late payment, there must be no alarm.",
            )
            if observed.alarming
            else Mistake(
                "no_alarm",
                "There is no alarm. Together with the late payment, an hour must hold two countries and 1,000 EUR.",
            )
        )
        return not_yet(
            "There is no alarm of the late payment yet.", at_rest=wrong(mistake, found=found, expected=expected)
        )
    return right(
        "A late payment changes an hour that was over, and raises its alarm then. The allowed lateness decides what is too late."
    )


LATE = Exercise(
    number="06.3",
    title="Late, and too late",
    task="pay from one account so that one payment is too late to count, and another one is late but still raises an alarm.",
    hints=(
        "A payment is late if it happened before another one that the bank already has. So what must you pay first?",
        "`minutes_ago=20` after a payment of now is late, and counts. `minutes_ago=45` is too late. A stopped account can pay no more.",
        "First 600.00 EUR in DE, now. Then something small, `minutes_ago=45`. Then 600.00 EUR in FR, `minutes_ago=20`.",
    ),
    shape="the number of the account, as `lab.open_account` gave it",
    observe=observe_latecomer,
    judge=judge_latecomer,
)


# 06.4

DETECTOR = "fraud-detector"
WIDER = 2


@dataclass(frozen=True, slots=True)
class Detectors:
    """The parallelism of each running detector; the place from which the newest was restored, or empty; whether that is a savepoint."""

    widths: tuple[int, ...]
    restored_from: str = ""
    is_savepoint: bool = False


def observe_detectors(workspace: Workspace, _savepoint: str) -> Detectors:
    """Asks Flink."""
    running = [job for job in workspace.jobs() if job.name == DETECTOR and job.state == "RUNNING"]
    widths = tuple(breaking.parallelism(workspace, DETECTOR))
    if not running or not widths:
        return Detectors(())
    restored = workspace.flink.checkpoints(running[-1].id)["latest"]["restored"] or {}
    return Detectors(widths, str(restored.get("external_path") or ""), bool(restored.get("is_savepoint")))


def judge_detectors(observed: Detectors, savepoint: str) -> Verdict:
    """One detector, with a parallelism of two, restored from the learner's savepoint."""
    expected = f"one detector, with a parallelism of {WIDER}, that went on from your savepoint"
    found = f"detectors with a parallelism of {', '.join(map(str, observed.widths))}"
    if not str(savepoint).strip():
        raise ValueError("no place")
    if not observed.widths:
        return not_yet("No detector of yours is running yet.")
    if len(observed.widths) > 1:
        return wrong(
            Mistake(
                "two_detectors",
                "Two detectors are running, and each raises everything: stop the first one with a savepoint.",
            ),
            found=found,
            expected=expected,
        )
    if not observed.restored_from:
        return wrong(
            Mistake(
                "from_nothing",
                "The detector started without state: it has forgotten what it knew, and reads the whole topic again.",
            ),
            found=found,
            expected=expected,
        )
    if not observed.is_savepoint or not breaking.same_place(observed.restored_from, savepoint):
        return wrong(
            Mistake("from_elsewhere", "The detector did not resume from your savepoint."),
            found=observed.restored_from,
            expected=expected,
        )
    if observed.widths != (WIDER,):
        return wrong(
            Mistake("not_rescaled", "The detector was not rescaled, or to another parallelism."),
            found=found,
            expected=expected,
        )
    return right("The same state, rescaled: each user's state went to one of the two subtasks.")


RESCALE = Exercise(
    number="06.4",
    title="Twice as wide",
    task="stop the detector with a savepoint, and start it from there with a parallelism of 2.",
    hints=(
        "Two steps, in this order. The first: a function of `lab` stops a job and returns the place of its savepoint.",
        "`detector.submit` starts the job. The savepoint is an option of the cluster that you pass to it; the parallelism is an option of its own.",
        "`detector.submit(lab.cluster(execution__state_recovery__path=savepoint), lab.kafka(), lab.names(), rule, parallelism=…)`",
    ),
    shape="the place of the savepoint, as `lab.stop_with_savepoint` gave it",
    observe=observe_detectors,
    judge=judge_detectors,
    patience_s=40,
    job=DETECTOR,
)


# 06.5

GUARANTEE, PREFIX, TIMEOUT = (
    "sink.delivery-guarantee",
    "sink.transactional-id-prefix",
    "properties.transaction.timeout.ms",
)
BROKER_MAX_MS = 900_000
"""The default of a Kafka broker's `transaction.max.timeout.ms`: 15 minutes."""
CHECKPOINT_MS = 2_000
GUARANTEES = ("none", "at-least-once", "exactly-once")


def judge_options(learner: str, options: Mapping[str, object]) -> Verdict:
    """Exactly once, a prefix of the learner's own, a timeout between a checkpoint and what the broker allows."""
    expected = "a sink that writes in transactions, under its own name, for no longer than the broker allows"
    known = {GUARANTEE, PREFIX, TIMEOUT}
    if unknown := sorted(set(options) - known):
        return wrong(
            Mistake("unknown_option", "These options do not belong here."),
            found=", ".join(unknown),
            expected=", ".join(sorted(known)),
        )
    if missing := sorted(known - set(options)):
        return wrong(
            Mistake("option_missing", "An option is missing."),
            found=", ".join(sorted(options)) or "none",
            expected=f"also {missing[0]}",
        )
    guarantee, prefix = str(options[GUARANTEE]), str(options[PREFIX])
    if guarantee.lower() not in GUARANTEES:
        return wrong(
            Mistake("unknown_guarantee", "Flink has no guarantee of this name, and would refuse the table."),
            found=repr(guarantee),
            expected=f"one of {', '.join(GUARANTEES)}",
        )
    if guarantee.lower() != "exactly-once":
        return wrong(
            Mistake("no_transactions", "With this guarantee, the sink makes no transactions."),
            found=guarantee,
            expected=expected,
        )
    if not prefix.startswith(f"{learner}.") or len(prefix) == len(learner) + 1:
        return wrong(
            Mistake(
                "shared_prefix",
                "A new transaction aborts the open ones of the same name: use a name that only you have.",
            ),
            found=repr(prefix),
            expected="a prefix from `lab.names().job(…)`",
        )
    timeout_ms = int(str(options[TIMEOUT]))
    if timeout_ms > BROKER_MAX_MS:
        return wrong(
            Mistake(
                "timeout_too_long",
                "The broker allows 15 minutes. It would refuse the job's transactions, and the job would restart indefinitely.",
            ),
            found=f"{timeout_ms:,} ms",
            expected=expected,
        )
    if timeout_ms <= CHECKPOINT_MS:
        return wrong(
            Mistake(
                "timeout_too_short",
                "A transaction is open until the next checkpoint. The broker would abort it before that, and its records would be lost.",
            ),
            found=f"{timeout_ms:,} ms",
            expected=expected,
        )
    return right("The records of a checkpoint become visible together, or not at all.")


TRANSACTIONS = Exercise(
    number="06.5",
    title="A sink that writes in transactions",
    task="fill in the three options of a Kafka sink that writes in transactions.",
    hints=(
        "The guarantee is named after its promise: not `at-least-once`, which is the default, but …",
        'The prefix names your transactions for the broker; only you have the name `lab.names().job("copy")`.',
        "The timeout is in milliseconds: more than the 2 seconds between checkpoints, at most 15 minutes, for instance 10 minutes.",
    ),
    shape="a dictionary with the three options",
    observe=lambda workspace, _options: workspace.settings.learner,
    judge=judge_options,
)


LAB = Lab(number="06", name="break-it", title="Break it", exercises=(LONGEST, POISON, LATE, RESCALE, TRANSACTIONS))
