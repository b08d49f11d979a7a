"""Lab 06, Break it: kills, poison, late data, backpressure, transactions, and an upgrade from a savepoint."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from fraudlab.course import breaking
from fraudlab.course.exercise import (
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
    word,
    wrong,
)
from fraudlab.course.workspace import Workspace, in_eur

DETECTOR = "fraud-detector"

# 06.1


@dataclass(frozen=True, slots=True)
class Alarm:
    """A record of `suspicious_activities`: when the payment that made it known was stored, when it was raised, when the payment happened."""

    activity_id: str
    created: datetime
    detected: datetime
    happened: datetime


@dataclass(frozen=True, slots=True)
class Outage:
    """The alarms of payments that were stored since the learner's bank began to pay, and whether every job was started again since then.

    A JobManager that takes jobs over starts them again. A restart because of a TaskManager leaves a job's start as it was.
    """

    alarms: tuple[Alarm, ...]
    taken_over: bool


def observe_outage(workspace: Workspace, _longest_s: float, began: object) -> Outage:
    """Reads the alarms, and asks Flink when the jobs began."""
    if not isinstance(began, datetime) or began.tzinfo is None:
        raise UnreadableError("not a time")
    found = [record.json for record in workspace.records("suspicious_activities")]
    times = ("created_at", "detected_at", "window_end")
    alarms = [Alarm(one["activity_id"], *(datetime.fromisoformat(one[name]) for name in times)) for one in found]
    jobs = workspace.jobs()
    return Outage(
        tuple(one for one in alarms if one.created >= began),
        taken_over=bool(jobs) and all(job.started >= began for job in jobs),
    )


def judge_longest(outage: Outage, longest_s: float, _began: datetime | None = None) -> Verdict:
    """The jobs were taken over, and it is the longest time from the bank's commit to the first record of an activity."""
    alarms = outage.alarms
    expected = (
        "the seconds from `created_at` to `detected_at` of the slowest activity, each counted by its first record"
    )
    if not outage.taken_over:
        return wrong(
            Mistake(
                "not_killed",
                "Since `began` no JobManager has taken over your jobs: kill `jobmanager` after that moment, and nothing else.",
            ),
            found="jobs that were started before `began`, or none",
            expected="all your jobs started again by a new JobManager",
        )
    if not alarms:
        return not_yet("No alarm was raised since `began`: let the bank pay, and wait for two more alarms.")
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
    title="Kill the JobManager",
    task="kill the JobManager while the bank pays, and measure how many seconds the slowest alarm took.",
    hints=(
        "The steps are those of the kill before: note the time, let the bank pay, kill, wait for two more alarms, measure.",
        "`with lab.paying_bank(seed=9):` keeps the bank paying while its block runs. The program's name is `jobmanager`.",
        '`began = datetime.now(UTC)`, then in the block `lab.kill("jobmanager")` and the line with `lab.wait_for_records` from above; after it `longest = longest_wait(began)`.',
    ),
    shape="a number of seconds, and the time when you began, with its time zone",
    observe=observe_outage,
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

SLOW = "slow"
PLENTY = 0.5
"""Of its time, so that an operator counts as busy or as backpressured."""


def observe_loads(workspace: Workspace, _operator: str) -> tuple[breaking.Load, ...]:
    """Asks Flink how the operators of the learner's job spend their time."""
    return tuple(breaking.loads(workspace, SLOW))


def judge_bottleneck(loads: tuple[breaking.Load, ...], operator: str) -> Verdict:
    """The bottleneck is the busy operator behind the last one that is backpressured."""
    expected = "the operator that makes the others wait"
    found = "; ".join(
        f"{one.operator:.20}: busy {one.busy:.0%}, backpressured {one.backpressured:.0%}, idle {one.idle:.0%}"
        for one in loads
    )
    answer = word(operator)
    if not answer:
        raise ValueError("no name")
    if not loads:
        return not_yet(f"Flink has not measured the job `{SLOW}` yet: it does so every ten seconds.")
    if len(loads) == 1:
        return wrong(
            Mistake(
                "chained",
                "All operators of this job run in one task, so none of them waits for another: separate yours with `disable_chaining()`.",
            ),
            found=found,
            expected=expected,
        )
    waiting = [place for place, one in enumerate(loads) if one.backpressured >= PLENTY]
    if not waiting or waiting[-1] + 1 == len(loads):
        return not_yet(
            "No operator is backpressured: does yours sleep for each payment, and does the job still have payments to read?"
        )
    bottleneck = loads[waiting[-1] + 1]
    named = [one for one in loads if answer in one.operator.lower()]
    if len(named) != 1:
        return wrong(
            Mistake("no_operator", "That is not the name of one operator of this job."),
            found=operator,
            expected=expected,
        )
    if named[0] == bottleneck:
        return right("Busy all the time, and everything in front of it waits: that is the bottleneck.")
    if named[0].backpressured >= PLENTY:
        return wrong(
            Mistake(
                "waits_for_room",
                "That operator is backpressured: it has a result and can't hand it over. Look for the one that makes it wait.",
            ),
            found=found,
            expected=expected,
        )
    return wrong(
        Mistake(
            "waits_for_input",
            "That operator is mostly idle: it waits for input. Look for the one that keeps it waiting.",
        ),
        found=found,
        expected=expected,
    )


BOTTLENECK = Exercise(
    number="06.4",
    title="Find the bottleneck",
    task=f"write the job `{SLOW}`, which asks the office about each payment, and name the operator that is its bottleneck.",
    hints=(
        "Two parts: a class with one method `map` that sleeps and returns its input, and a chain of calls that begins with `lab.keyed_transactions(tables)`.",
        'An operator: `payments.map(AskTheOffice(), output_type=Types.STRING()).name("ask the office").disable_chaining()`. The bottleneck is busy, and the operator in front of it is backpressured.',
        '`asked.map(len, output_type=Types.INT()).name("count the letters").disable_chaining()` is the last one. Submit with `environment.execute_async(lab.names().job("slow"))`. The slow operator is the bottleneck.',
    ),
    shape="the name of an operator, as text",
    observe=observe_loads,
    judge=judge_bottleneck,
    patience_s=45,
    job=SLOW,
    accepts=is_text,
)


# 06.5

GUARANTEE, PREFIX, TIMEOUT = (
    "sink.delivery-guarantee",
    "sink.transactional-id-prefix",
    "properties.transaction.timeout.ms",
)
BROKER_MAX_MS = 900_000
"""The default of a Kafka broker's `transaction.max.timeout.ms`: 15 minutes."""
SHORTEST_MS = 60_000
"""A checkpoint interval and an outage of this lab together take less."""
GUARANTEES = ("none", "at-least-once", "exactly-once")
COPY, SAFE = "copy", "safe"


@dataclass(frozen=True, slots=True)
class Copied:
    """The learner's name; records to be copied; records in the topic `safe`; how many markers of finished transactions are among them."""

    learner: str
    payments: int
    copies: int
    markers: int


def observe_copied(workspace: Workspace, _table: str, _insert: str) -> Copied:
    """Counts. The end of a topic counts the markers of transactions, too, which no reader sees."""
    copies = len(workspace.records(SAFE)) if f"{workspace.settings.learner}.{SAFE}" in workspace.other_topics() else 0
    ends = workspace.count(SAFE) if copies else 0
    return Copied(workspace.settings.learner, workspace.count("transactions"), copies, max(0, ends - copies))


def options_of(statement: str) -> dict[str, str]:
    """The options that a CREATE TABLE spells out."""
    return dict(re.findall(r"'([^'\n]+)'\s*=\s*'([^'\n]*)'", re.sub(r"--[^\n]*", "", statement)))


def judge_copied(observed: Copied, table: str, insert: str) -> Verdict:
    """Exactly once, a prefix of the learner's own, a timeout that the broker allows and an outage does not reach; then the copies."""
    expected = "a sink that writes in transactions, under its own name, for no longer than the broker allows"
    if not re.search(r"\bCREATE\s+(TEMPORARY\s+)?TABLE\b", table, re.IGNORECASE) or not is_text(insert):
        raise ValueError("no table")
    options = options_of(table)
    if missing := [one for one in (GUARANTEE, PREFIX, TIMEOUT) if one not in options]:
        return wrong(
            Mistake("option_missing", "The table lacks an option that a sink with transactions needs."),
            found=", ".join(sorted(options)) or "no options",
            expected=f"also {missing[0]}",
        )
    guarantee, prefix = options[GUARANTEE].lower(), options[PREFIX].replace("${learner}", observed.learner)
    if guarantee not in GUARANTEES:
        return wrong(
            Mistake("unknown_guarantee", "Flink has no guarantee of this name, and refuses the table."),
            found=repr(options[GUARANTEE]),
            expected=f"one of {', '.join(GUARANTEES)}",
        )
    if guarantee != "exactly-once":
        return wrong(
            Mistake("no_transactions", "With this guarantee, the sink makes no transactions."),
            found=guarantee,
            expected=expected,
        )
    if not prefix.startswith(f"{observed.learner}.") or len(prefix) == len(observed.learner) + 1:
        return wrong(
            Mistake(
                "shared_prefix",
                "A new transaction aborts the open ones of the same name: use a name that only you have.",
            ),
            found=repr(prefix),
            expected="a prefix that begins with `${learner}.`",
        )
    timeout_ms = int(options[TIMEOUT])
    if timeout_ms > BROKER_MAX_MS:
        return wrong(
            Mistake(
                "timeout_too_long",
                "The broker allows 15 minutes. It refuses the job's transactions, and the job restarts indefinitely.",
            ),
            found=f"{timeout_ms:,} ms",
            expected=expected,
        )
    if timeout_ms < SHORTEST_MS:
        return wrong(
            Mistake(
                "timeout_too_short",
                "If Flink is down for a moment, no checkpoint may complete within this time. The broker then aborts the transaction, and its records are lost.",
            ),
            found=f"{timeout_ms:,} ms",
            expected=expected,
        )
    if not observed.copies:
        return not_yet(
            f"No record is in your topic `{SAFE}` yet.",
            at_rest=wrong(
                Mistake("elsewhere", f"Your job runs, and writes nothing into the topic `${{learner}}.{SAFE}`."),
                found=f"topic {options.get('topic', 'not named')!r}",
                expected=f"every record of `transactions` in `${{learner}}.{SAFE}`",
            ),
        )
    if observed.copies < observed.payments:
        return not_yet(
            f"{observed.copies:,} of {observed.payments:,} records are copied so far.",
            at_rest=wrong(
                Mistake("not_all", "Your INSERT leaves records out."),
                found=f"{observed.copies:,} of {observed.payments:,} records",
                expected="every record of `transactions`",
            ),
        )
    if not observed.markers:
        return not_yet("No transaction is complete yet: each checkpoint completes one.")
    return right("The records of a checkpoint become visible together, or not at all.")


TRANSACTIONS = Exercise(
    number="06.5",
    title="A sink that writes in transactions",
    task="write the table `safe`, which writes to Kafka in transactions, and the INSERT that copies every record into it.",
    hints=(
        "Begin with the whole statement of the table `fast`. Its name, its topic and its guarantee change; two options are new.",
        "The guarantee is `exactly-once`. The prefix begins with `${learner}.`. The timeout is in milliseconds, written as text: at most 15 minutes.",
        "`'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = '${learner}.copy', 'properties.transaction.timeout.ms' = '600000'`, and `INSERT INTO safe SELECT envelope FROM captured`.",
    ),
    shape="two statements as text: CREATE TABLE safe …, INSERT INTO safe …",
    observe=observe_copied,
    judge=judge_copied,
    patience_s=45,
    job=COPY,
    accepts=is_text,
)


# 06.6

WIDER = 2
NEW_THRESHOLD_CENTS = 60_000


@dataclass(frozen=True, slots=True)
class Hour:
    """The hour that ends with a payment: how many EUR cents and countries it has, whether it reaches back before the upgrade, and whether
    it was raised."""

    eur_cents: int
    countries: int
    reaches_back: bool = True
    raised: bool = False


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The parallelism of each running detector; the place from which the newest was restored, or empty; whether that is a savepoint;
    the hours of the account's payments since it began; the threshold of the old rule."""

    widths: tuple[int, ...]
    restored_from: str = ""
    is_savepoint: bool = False
    hours: tuple[Hour, ...] = ()
    old_cents: int = 100_000


def observe_upgrade(workspace: Workspace, _savepoint: str, patient: int) -> Upgrade:
    """Asks Flink for the detectors, MySQL for the payments, and Kafka for the alarms."""
    old_cents = workspace.settings.rule.threshold_eur_cents
    running = [job for job in workspace.jobs() if job.name == DETECTOR and job.state == "RUNNING"]
    widths = tuple(breaking.parallelism(workspace, DETECTOR))
    if not running or not widths:
        return Upgrade((), old_cents=old_cents)
    restored = workspace.flink.checkpoints(running[-1].id)["latest"]["restored"] or {}
    rows = workspace.rows(
        "SELECT transaction_id, country, amount, currency, transaction_time, created_at FROM transactions"
        " WHERE user_id = %s ORDER BY transaction_id",
        int(patient),
    )
    raised = {
        one.json["transaction_id"] for one in workspace.records("suspicious_activities") if one.key == str(int(patient))
    }
    began = running[-1].started.astimezone(UTC).replace(tzinfo=None)
    hours = []
    for last in (row for row in rows if row["created_at"] >= began):
        since = last["transaction_time"] - timedelta(seconds=workspace.settings.window_s)
        inside = [row for row in rows if since < row["transaction_time"] <= last["transaction_time"]]
        inside = [row for row in inside if row["transaction_id"] <= last["transaction_id"]]
        hours.append(
            Hour(
                round(sum(in_eur(row["amount"], row["currency"]) for row in inside) * 100),
                len({row["country"] for row in inside}),
                reaches_back=any(row["created_at"] < began for row in inside),
                raised=last["transaction_id"] in raised,
            )
        )
    place = str(restored.get("external_path") or "")
    return Upgrade(widths, place, bool(restored.get("is_savepoint")), tuple(hours), old_cents)


def judge_upgrade(observed: Upgrade, savepoint: str, _patient: int) -> Verdict:
    """One detector, of two subtasks, restored from the learner's savepoint, that applies the new rule to what the old one remembered."""
    expected = f"one detector, with a parallelism of {WIDER}, that was restored from your savepoint"
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
    return _judge_proof(observed)


def _judge_proof(observed: Upgrade) -> Verdict:
    """The account's hours since the upgrade show that the new rule is applied, and that the state survived."""
    new_eur, old_eur = NEW_THRESHOLD_CENTS // 100, observed.old_cents // 100
    expected = f"since the upgrade, an hour in two countries below {new_eur} EUR and no alarm, then one of {new_eur} EUR or more and its alarm"
    hours = [hour for hour in observed.hours if hour.countries > 1]
    found = ", ".join(f"{hour.eur_cents / 100:.2f} EUR{' raised' * hour.raised}" for hour in hours) or "no such hour"
    below = [hour for hour in hours if hour.eur_cents < NEW_THRESHOLD_CENTS]
    between = [hour for hour in hours if NEW_THRESHOLD_CENTS <= hour.eur_cents < observed.old_cents]
    if any(hour.raised for hour in below):
        return wrong(
            Mistake("too_low", "The detector raises hours below the new threshold: the rule counts in cents."),
            found=found,
            expected=expected,
        )
    if not below:
        return wrong(
            Mistake(
                "one_side",
                f"Show the other side, too: since the upgrade the account needs an hour in two countries that stays below {new_eur} EUR.",
            ),
            found=found,
            expected=expected,
        )
    if not between:
        return wrong(
            Mistake(
                "no_proof",
                f"No hour of this account shows the new rule: since the upgrade it needs one in two countries, of {new_eur} EUR or more and less than {old_eur}.",
            ),
            found=found,
            expected=expected,
        )
    if not any(hour.reaches_back for hour in between):
        return wrong(
            Mistake(
                "nothing_remembered",
                "All payments of that hour came after the upgrade, so it does not show that the state survived.",
            ),
            found=found,
            expected=expected,
        )
    if not any(hour.raised for hour in between):
        return not_yet(
            "There is no alarm of the new rule yet.",
            at_rest=wrong(
                Mistake("old_rule", "The detector still applies the old threshold."), found=found, expected=expected
            ),
        )
    return right("A new rule, two subtasks, and not a payment forgotten.")


UPGRADE = Exercise(
    number="06.6",
    title="Upgrade the detector",
    task="stop the detector with a savepoint, start it from there with a threshold of 600 EUR and a parallelism of 2, and let `patient` prove it.",
    hints=(
        "Three steps: stop with a savepoint, submit with the changed rule from its place, then pay twice: first up to less than 600 EUR, then over it.",
        "`detector.submit` starts the job. The savepoint is an option of the cluster that you pass to it; rule and parallelism are arguments of their own. `replace(rule, threshold_eur_cents=…)` counts in cents.",
        'The first lines: `savepoint = lab.stop_with_savepoint("fraud-detector")` and `detector.submit(lab.cluster(execution__state_recovery__path=savepoint), lab.kafka(), lab.names(), replace(rule, threshold_eur_cents=60_000), parallelism=2)`. Then pay 40.00 and 20.00 EUR in FR.',
    ),
    shape="the place of the savepoint, as text, and the number of the account",
    observe=observe_upgrade,
    judge=judge_upgrade,
    patience_s=40,
    job=DETECTOR,
    accepts=is_text,
)


LAB = Lab(
    number="06",
    name="break-it",
    title="Break it",
    exercises=(LONGEST, POISON, LATE, BOTTLENECK, TRANSACTIONS, UPGRADE),
)
