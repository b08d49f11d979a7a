"""Lab 07, Make it yours: a rule that changes while the job runs, and the same rule in SQL and as a pattern."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fraudlab.course import jobs, live, walls
from fraudlab.course.broadcast_trial import BroadcastTrial
from fraudlab.course.exercise import (
    AnswerFailed,
    Exercise,
    Lab,
    Mistake,
    UnreadableError,
    Verdict,
    is_text,
    not_yet,
    nothing_to_observe,
    right,
    wrong,
)
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.records import iso
from fraudlab.pipeline.rule import Rule

# 07.1 and 07.2: an operator with two inputs, tried in this process


@dataclass(frozen=True, slots=True)
class _Run:
    """Records that an operator gets, what it must send for them, and the mistake of one that sends something else.

    Of the steps a tuple `(user, …)` is a record of the keyed stream, CRASH a crash, anything else a record of the broadcast stream.
    """

    name: str
    steps: tuple[Any, ...]
    sent: list[tuple[Any, ...]]
    mistake: Mistake


CRASH = object()


def _judge_runs(
    operator: Callable[..., Any], descriptor: object, runs: Sequence[_Run], expected: str
) -> Verdict | None:
    """What is wrong with an operator; None if it sends what it must in every run."""
    for run in runs:
        found = _sent(BroadcastTrial(operator, descriptor), run.steps)
        if found != run.sent:
            return wrong(run.mistake, found=f"{_told(found)} for {run.name}", expected=f"{_told(run.sent)}: {expected}")
    return None


def _sent(trial: BroadcastTrial, steps: Sequence[Any]) -> list[tuple[Any, ...]]:
    sent: list[Any] = []
    for step in steps:
        if step is CRASH:
            trial.crash()
        elif isinstance(step, _Payment):
            sent += trial.on_keyed(step.user, step.record)
        elif isinstance(step, tuple):
            sent += trial.on_keyed(step[0], step)
        else:
            sent += trial.on_broadcast(step)
    return [tuple(one) for one in sent]


def _told(rows: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(str(row) for row in rows) or "nothing sent"


# 07.1

_LIMIT_RUNS = (
    _Run(
        "payments of 80 and 50 EUR before there is a limit",
        ((17, 80), (17, 50)),
        [],
        Mistake("limit_before_any", "While no limit has arrived, nothing is refused: `get` returns None then."),
    ),
    _Run(
        "a limit of 100 EUR, then payments of 80 and 50 EUR",
        (100, (17, 80), (17, 50)),
        [(17, 50, 100)],
        Mistake("single_payments", "The limit is for all that a user has paid, not for a single payment: add them up."),
    ),
    _Run(
        "a limit of 100 EUR, then a first payment of 101 EUR",
        (100, (17, 101)),
        [(17, 101, 100)],
        Mistake("first_payment", "A new user's total begins with 0, and the first payment may exceed the limit, too."),
    ),
    _Run(
        "a limit of 100 EUR, then payments of 60 and 40 EUR",
        (100, (17, 60), (17, 40)),
        [],
        Mistake("limit_itself_refused", "Exactly the limit is allowed: only *more than* the limit is refused."),
    ),
    _Run(
        "a limit of 100 EUR, then 80 EUR of one user and 50 EUR of another",
        (100, (17, 80), (23, 50)),
        [],
        Mistake("users_added_up", "Two users' payments are added up. Keyed state has a value for each user."),
    ),
    _Run(
        "a limit of 100 EUR, then payments of 80, 50 and 20 EUR",
        (100, (17, 80), (17, 50), (17, 20)),
        [(17, 50, 100)],
        Mistake("refused_counts", "A refused payment was not made, so it does not count: 80 and 20 EUR are allowed."),
    ),
    _Run(
        "payments of 80 EUR, a limit of 100 EUR, and 50 EUR",
        ((17, 80), 100, (17, 50)),
        [(17, 50, 100)],
        Mistake("nothing_before_limit", "What was paid before the limit arrived counts, too."),
    ),
    _Run(
        "a limit of 100 EUR, a payment of 80 EUR, a crash, and 50 EUR",
        (100, (17, 80), CRASH, (17, 50)),
        [(17, 50, 100)],
        Mistake(
            "total_in_self",
            "The crash lost the total: only what is in Flink's state survives it, not what is in `self`.",
        ),
    ),
    _Run(
        "a limit of 0 EUR, then 5 EUR",
        (0, (17, 5)),
        [(17, 5, 0)],
        Mistake("limit_zero", "A limit of 0 is a limit: compare with None, because 0 counts as false."),
    ),
    _Run(
        "limits of 100 and 200 EUR, then payments of 80, 90 and 40 EUR",
        (100, 200, (17, 80), (17, 90), (17, 40)),
        [(17, 40, 200)],
        Mistake("latest_limit", "The latest limit applies, and all payments that were allowed count."),
    ),
)


def judge_limit(_observed: None, operator: Callable[..., Any], descriptor: object) -> Verdict:
    """The learner's operator must refuse what goes beyond the limit of a user's total."""
    found = _judge_runs(operator, descriptor, _LIMIT_RUNS, "rows (user, eur, limit) of what is refused")
    return found or right("Two kinds of state in one operator: one value for each user, and one map for everybody.")


LIMIT = Exercise(
    number="07.1",
    title="A limit for each user's total",
    task="keep each user's total in keyed state, and refuse a payment that would make it exceed the limit.",
    hints=(
        "`open` asks for the state once: `self.total = runtime_context.get_state(ValueStateDescriptor(name, type))`.",
        "`self.total.value()` is None for a new user, so write `(self.total.value() or 0) + eur`. Compare that with the limit.",
        "Refused: `yield user, eur, limit`. Otherwise: `self.total.update(…)`. Without a limit (None), nothing is refused.",
    ),
    shape="a class with open, process_broadcast_element and process_element, and its descriptor",
    observe=nothing_to_observe,
    judge=judge_limit,
    accepts=callable,
)


# 07.2

MINUTE_MS = 60_000
_NOON_MS = 1_769_860_800_000


@dataclass(frozen=True, slots=True)
class _Payment:
    """A payment of the keyed stream."""

    number: int
    user: int
    minute: float
    eur: int
    country: str

    @property
    def record(self) -> str:
        """As `lab.keyed_transactions` gives it."""
        time_ms = round(_NOON_MS + self.minute * MINUTE_MS)
        record = {
            "transaction_id": self.number,
            "user_id": self.user,
            "user_suspicious_activity": False,
            "transaction_amount": f"{self.eur}.00",
            "transaction_currency": "EUR",
            "transaction_country": self.country,
            "transaction_time": iso(time_ms),
            "created_at": iso(time_ms),
        }
        return f"3:{self.number + 1000}:{json.dumps(record)}"


def _rule(eur: object) -> str:
    return json.dumps({"threshold_eur": eur})


def _theft(user: int, eur: int, number: int = 31) -> tuple[_Payment, _Payment]:
    return _Payment(number, user, 0, eur // 2, "DE"), _Payment(number + 1, user, 5, eur // 2, "FR")


def _activity(user: int, eur: int, threshold_eur: int) -> tuple[str, int, int, int]:
    return "activity", user, eur * 100, threshold_eur * 100


def _new_rule(eur: int) -> tuple[str, int, int, int]:
    return "rule", 0, 0, eur * 100


NO_RULE = ("no rule", 0, 0, 0)

_RULE_RUNS = (
    _Run(
        "a theft of 1,200 EUR before any rule arrives",
        _theft(17, 1200),
        [_activity(17, 1200, 1000)],
        Mistake(
            "no_rule_yet",
            "Before the first rule arrives, the broadcast state is empty; then the rule that the job started with applies.",
        ),
    ),
    _Run(
        "a rule of 2,000 EUR",
        (_rule(2000),),
        [_new_rule(2000)],
        Mistake("rule_not_told", "Send a row for each rule, so that you can see that the job has it."),
    ),
    _Run(
        "a rule of 2,000 EUR, then a theft of 1,200 EUR",
        (_rule(2000), *_theft(17, 1200)),
        [_new_rule(2000)],
        Mistake("threshold_ignored", "A new threshold of 2,000 EUR must apply to the payments after it."),
    ),
    _Run(
        "a rule of 2,000 EUR, then a theft of 2,400 EUR",
        (_rule(2000), *_theft(17, 2400)),
        [_new_rule(2000), _activity(17, 2400, 2000)],
        Mistake("theft_missed", "A theft of 2,400 EUR must be raised, with the hour's total and the rule's threshold."),
    ),
    _Run(
        "rules of 2,000 EUR and then 500 EUR, and a theft of 600 EUR",
        (_rule(2000), _rule(500), *_theft(17, 600)),
        [_new_rule(2000), _new_rule(500), _activity(17, 600, 500)],
        Mistake("first_rule_kept", "The latest rule applies."),
    ),
    _Run(
        "a rule of 500 EUR between the two payments of a theft",
        (_theft(17, 600)[0], _rule(500), _theft(17, 600)[1]),
        [_new_rule(500), _activity(17, 600, 500)],
        Mistake(
            "payments_forgotten",
            "Do not forget the payment before the change: a rule changes what is suspicious, not what was paid.",
        ),
    ),
    _Run(
        "a rule of 0 EUR, then payments of 2 EUR in two countries",
        (_rule(0), *_theft(17, 4)),
        [_new_rule(0), _activity(17, 4, 0)],
        Mistake("threshold_zero", "A threshold of 0 is a rule: compare with None, because 0 counts as false."),
    ),
    _Run(
        "a payment in Germany, and one in France by another user",
        (_Payment(31, 17, 0, 600, "DE"), _Payment(32, 23, 5, 600, "FR")),
        [],
        Mistake(
            "users_mixed",
            "Two users' payments make one theft here. Keep the history in keyed state: one for each user.",
        ),
    ),
    _Run(
        "a theft of 1,200 EUR, followed by the same record again",
        (*_theft(17, 1200), _theft(17, 1200)[1]),
        [_activity(17, 1200, 1000)],
        Mistake(
            "duplicate_counts",
            "A payment that comes twice counts twice: put `verdict.history` into the state each time.",
        ),
    ),
    _Run(
        "a theft of 1,200 EUR, and two users with 10 EUR between its payments",
        (_theft(17, 1200)[0], _Payment(40, 23, 1, 10, "DE"), _Payment(41, 117, 2, 10, "FR"), _theft(17, 1200)[1]),
        [_activity(17, 1200, 1000)],
        Mistake(
            "history_of_the_last",
            "Another user's payment came between the two: each user needs a history of their own.",
        ),
    ),
    _Run(
        "the first payment of a theft, a crash, then the second",
        (_theft(17, 1200)[0], CRASH, _theft(17, 1200)[1]),
        [_activity(17, 1200, 1000)],
        Mistake(
            "history_in_self",
            "The crash lost the payment: only what is in Flink's state survives it, not what is in `self`.",
        ),
    ),
    _Run(
        "a rule of 2,000 EUR, a crash, then a theft of 1,200 EUR",
        (_rule(2000), CRASH, *_theft(17, 1200)),
        [_new_rule(2000)],
        Mistake(
            "rule_in_self",
            "The crash lost the rule: a crash loses what is in `self`, but not what is in the broadcast state.",
        ),
    ),
    _Run(
        "one payment that completes two suspicious hours",
        (_Payment(31, 17, 10, 700, "DE"), _Payment(32, 17, 15, 20, "DE"), _Payment(33, 17, 0, 400, "FR")),
        [_activity(17, 1100, 1000), _activity(17, 1120, 1000)],
        Mistake(
            "one_hour_only", "One late payment can complete several hours: send a row for each of `verdict.hours`."
        ),
    ),
)

_MALFORMED = ('{"threshold_eur": "a lot"}', '{"limit": 5}', "not JSON", "[1]", '{"threshold_eur": -1}', None)
_BROKEN = _Run(
    "a rule of 2,000 EUR, a record that is not a rule, then a theft of 1,200 EUR",
    (_rule(2000), _MALFORMED[0], *_theft(17, 1200)),
    [_new_rule(2000), NO_RULE],
    Mistake("broken_rule_applies", "A record that is not a rule must change nothing: only its row says that it came."),
)
_POISON = Mistake(
    "poison_rule",
    "A record that is not a rule made it fail. On the cluster that is a poison record: the job restarts, and reads it again.",
)
_OTHER_ROW = Mistake(
    "other_row", "The row of an activity has four values: `activity`, the user, the hour's total, the rule's threshold."
)
_NO_ROW = Mistake("broken_rule_silent", "A record that is not a rule must become a row that says so.")
_NO_TTL = Mistake(
    "never_forgets", "The state of a user who never pays again stays indefinitely: give its descriptor a time to live."
)
_SHORT_TTL = Mistake(
    "forgets_too_soon", "The history must outlive the hour and the half hour by which a payment may be late."
)


def judge_rules(_observed: None, detector: Callable[..., Any], descriptor: object) -> Verdict:
    """The learner's detector, run in this process, must apply the rule that came last, and survive what is not one."""

    def make() -> Any:
        return detector(Rule())

    if not callable(detector):
        raise UnreadableError("not a class")
    row, first = "rows (what, user, total in cents, threshold in cents)", _RULE_RUNS[0]
    found = _sent(BroadcastTrial(make, descriptor), first.steps)
    if [one[:2] for one in found] == [one[:2] for one in first.sent] and found[0][2:3] != first.sent[0][2:3]:
        return wrong(_OTHER_ROW, found=_told(found), expected=f"{_told(first.sent)}: {row}")
    if (verdict := _judge_runs(make, descriptor, _RULE_RUNS, row)) is not None:
        return verdict
    for record in _MALFORMED:
        trial = BroadcastTrial(make, descriptor)
        try:
            sent = [tuple(one) for one in trial.on_broadcast(record)]
        except AnswerFailed as failure:
            return wrong(_POISON, found=str(failure), expected=f"the row {NO_RULE}")
        if sent != [NO_RULE]:
            return wrong(_NO_ROW, found=f"{_told(sent)} for {record!r}", expected=f"the row {NO_RULE}")
    if (verdict := _judge_runs(make, descriptor, (_BROKEN,), row)) is not None:
        return verdict
    for name, time in BroadcastTrial(make, descriptor).times_to_live.items():
        if time is None:
            return wrong(_NO_TTL, found=f"no time to live for the state {name!r} when you get it", expected="two hours")
        if time.to_milliseconds() < Rule().retention_ms:
            return wrong(_SHORT_TTL, found=str(time), expected="an hour and a half or more, such as two hours")
    return right("A rule is data now. You can change it without stopping a job.")


RULES = Exercise(
    number="07.2",
    title="A detector whose rule changes",
    task="write the whole operator: its broadcast state, its keyed state with a time to live, and what it does with a rule and a payment.",
    hints=(
        '`RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())`, and four methods: `__init__`, `open` and one for each input. The warm-up has the frame.',
        'The history: `judge(rule, self.history.value() or b"", payment)` gives a verdict; put `verdict.history` back. '
        "Time to live: `descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(2)).build())`, before `get_state`.",
        'The rule: `cents = ctx.get_broadcast_state(RULES).get("cents")`, then `self.rule if cents is None else replace(self.rule, threshold_eur_cents=cents)`.',
    ),
    shape="a class with open, process_broadcast_element and process_element, and its descriptor",
    observe=nothing_to_observe,
    judge=judge_rules,
    accepts=callable,
)


# 07.3

DETECTOR = "changeable-detector"
OLD_EUR = 1000


@dataclass(frozen=True, slots=True)
class Watched:
    """What the learner's job has sent so far, and what it must find under the rule that it started with."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    robbed: frozenset[int]


FOUND_COLUMNS = ("what", "user_id", "eur_cents", "threshold_eur_cents")


def observe_detector(workspace: Workspace, query: Any) -> Watched:
    """Reads what the learner's job has sent."""
    if not isinstance(query, live.LiveQuery):
        raise UnreadableError("not a running query")
    hours = jobs.largest_hours(workspace)
    return Watched(
        tuple(query.columns),
        tuple(query.rows()),
        frozenset(hours.loc[hours["eur"] >= OLD_EUR, "user_id"]),
    )


def judge_connected(observed: Watched, _query: object) -> Verdict:
    """All thefts of the bank under the rule that the job started with."""
    if observed.columns != FOUND_COLUMNS:
        return wrong(
            Mistake(
                "other_columns", "The rows have other columns: give `process` the type FOUND, or they are pickled."
            ),
            found=", ".join(observed.columns),
            expected=", ".join(FOUND_COLUMNS),
        )
    activities = [row for row in observed.rows if row[0] == "activity"]
    found = {row[1] for row in activities if row[3] == OLD_EUR * 100} & observed.robbed
    if found != observed.robbed:
        so_far = f"Your job has found {len(found)} of {len(observed.robbed)} customers so far."
        if not activities:  # it may only be starting
            return not_yet(so_far)
        return not_yet(
            so_far,
            at_rest=wrong(
                Mistake("other_customers", "Your job leaves customers out, or judges them by another rule."),
                found=f"{len(found)} of {len(observed.robbed)} customers under the rule of {OLD_EUR:,} EUR",
                expected="the same customers as in the bank's tables",
            ),
        )
    return right("Your operator runs: payments go to one task each, by user, and rules will go to all of them.")


CONNECTED = Exercise(
    number="07.3",
    title="Two inputs, one job",
    task="connect the payments with the broadcast rules, and run your operator on both as a job.",
    hints=(
        "`rules.broadcast(RULES)` is the rules' side. `payments_by_user.connect(…)` joins both sides into one input.",
        '`.process(ChangeableDetector(rule), FOUND)` follows. Watch what comes out with `lab.watch(tables, found, "changeable-detector")`.',
        "`found = payments_by_user.connect(rules.broadcast(RULES)).process(ChangeableDetector(…), FOUND)`",
    ),
    shape="the running query that `lab.watch` returned",
    observe=observe_detector,
    judge=judge_connected,
    patience_s=60,
    job=DETECTOR,
)


# 07.4 and 07.5: a query of the learner's, run once on Flink to the end of the topic


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment as the bank stored it."""

    transaction_id: int
    user_id: int
    time: datetime
    country: str
    eur: Decimal


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query returned by the end of its job (None: it is still running), and the payments it read, in order of event time."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] | None
    payments: tuple[Paid, ...]


_running: dict[str, tuple[int, live.LiveQuery]] = {}
"""The latest query: its text, how many records the topic had then, and its job."""

HOUR = timedelta(hours=1)
OVER_DELAY_MINUTES = 90


def observe_query(workspace: Workspace, name: str, definitions: Sequence[str], query: str, payment: int) -> Answer:
    """Runs a query over all payments in the topic, and returns its answer when it is complete.

    The same query runs again only if the topic has grown since. Users whose payments came twice are left out, rows and payments: that SQL counts those twice is what the lab shows next.

    Args:
        workspace: The learner's workspace.
        name: The job's name.
        definitions: Statements that the query needs.
        query: The query.
        payment: The place of the column that names a payment.
    """
    text, records = "\n".join((*definitions, query)), workspace.count("transaction_mid")
    asked, running = _running.get(text, (0, None))
    if running is None or (running.ended and asked != records):
        try:
            _, tables = jobs.environments(workspace)
            jobs.read_payments(workspace, tables, delay_minutes=OVER_DELAY_MINUTES, bounded=True)
            for statement in definitions:
                jobs.sql(workspace, tables, statement)
            running = jobs.watch(workspace, tables, query, name)
        except Exception as error:
            raise AnswerFailed(
                f"Flink does not accept this. {walls.of_flink(str(error), walls.statement_of(error.__traceback__)).line}"
            ) from error
        _running.clear()
        _running[text] = records, running
    columns = tuple(running.columns)
    if not running.ended or payment >= len(columns):
        return Answer(columns, None, ())
    times = _times_in_topic(workspace)
    twice = {user_id for (user_id, _), number in times.items() if number > 1}
    there = {transaction_id for _, transaction_id in times}
    payments = tuple(
        paid for paid in _payments(workspace) if paid.user_id not in twice and paid.transaction_id in there
    )
    known = {paid.transaction_id for paid in payments}
    return Answer(columns, tuple(row for row in running.rows() if row[payment] in known), payments)


def _times_in_topic(workspace: Workspace) -> Counter[tuple[int, int]]:
    """How often the topic has each payment (user, transaction), without those of accounts that were stopped, which the query leaves out."""
    records = [record.json for record in workspace.records("transaction_mid") if record.value]
    return Counter(
        (one["user_id"], one["transaction_id"]) for one in records if one["user_suspicious_activity"] is False
    )


def _payments(workspace: Workspace) -> tuple[Paid, ...]:
    found = jobs.payments(workspace)
    paid = [
        Paid(row.transaction_id, row.user_id, row.transaction_time.to_pydatetime(), row.country, row.eur)  # type: ignore[arg-type,union-attr]
        for row in found.itertuples()
    ]
    return tuple(sorted(paid, key=lambda one: (one.time, one.transaction_id)))


_HOURS_QUERY = "SELECT transaction_id, user_id, eur_cents, countries FROM hours"


def observe_over(workspace: Workspace, definition: str) -> Answer:
    """Runs the learner's view `hours`, and reads all of it."""
    if not re.match(r"CREATE\b.*?\bVIEW\b", _bare(definition), re.IGNORECASE | re.DOTALL):
        raise AnswerFailed("This statement makes no view: it begins with `CREATE TEMPORARY VIEW hours AS`.")
    return observe_query(workspace, "over-window", [definition], _HOURS_QUERY, payment=0)


def _bare(statement: str) -> str:
    """SQL without its comments."""
    return re.sub(r"--[^\n]*", "", statement).strip()


def judge_over(observed: Answer, definition: str) -> Verdict:
    """For each payment the total and the countries of the hour that ends with it."""
    if observed.rows is None:
        return not_yet("Your query still reads the topic.")
    found = {row[0]: (row[2], row[3]) for row in observed.rows}
    expected = hours_of(observed.payments)
    wanted = (
        "for each payment the total in cents and the countries of the hour that ends with it, open at its beginning"
    )
    if len(found) < len(observed.rows) or found.keys() != expected.keys():
        return wrong(
            Mistake("not_each_payment", "The view needs one row for each payment, suspicious or not."),
            found=f"{len(observed.rows)} rows for {len(expected)} payments",
            expected=wanted,
        )
    if found == expected == hours_of(observed.payments, closed=True):
        return wrong(
            Mistake(
                "no_edge",
                "These hours may be right, but no payment is on their edge: run the cell in which Edgar pays, then this one again.",
            ),
            found="no two payments exactly one hour apart",
            expected="those of Edgar",
        )
    if found == expected:
        return right("One statement says the same as your operator. The next step shows what it can't say.")
    different = [one for one in expected if found[one] != expected[one]]
    said = f"{len(different)} of {len(expected)} hours differ"
    for mistaken, mistake in _over_mistakes(observed.payments, expected):
        if found == mistaken:
            return wrong(mistake, found=said, expected=wanted)
    spent = Counter[int]()
    for paid in observed.payments:
        spent[paid.user_id] += _cents(paid)
    if any(found[paid.transaction_id][0] > spent[paid.user_id] for paid in observed.payments):
        return wrong(
            Mistake("not_partitioned", "Payments of different users share a window: partition it by user."),
            found="an hour that holds more than its user ever paid",
            expected=wanted,
        )
    if re.search(r"\bROWS\b", _bare(definition), re.IGNORECASE):
        return wrong(
            Mistake("rows_for_range", "ROWS counts payments, RANGE measures time: an hour is a time."),
            found=said,
            expected=wanted,
        )
    return wrong(Mistake("other_hours", "The hours are wrong."), found=said, expected=wanted)


Hours = dict[int, tuple[Any, Any]]
"""Payment to the cents and the number of countries of its hour."""


def _over_mistakes(payments: Sequence[Paid], expected: Hours) -> Iterator[tuple[Hours, Mistake]]:
    yield (
        hours_of(payments, closed=True),
        Mistake(
            "closed_hour",
            "`RANGE BETWEEN INTERVAL '1' HOUR PRECEDING` includes the payment exactly one hour before.",
        ),
    )
    yield (
        hours_of(payments, length=None),
        Mistake("unbounded", "Without a bound, the window holds everything that a user ever paid."),
    )
    yield (
        hours_of(payments, distinct=False),
        Mistake("payments_for_countries", "Payments are counted, not countries: each country counts once (DISTINCT)."),
    )
    yield (
        {one: (Decimal(cents) / 100, countries) for one, (cents, countries) in expected.items()},
        Mistake("eur_for_cents", "The total is in EUR, and the view's column is in cents."),
    )
    yield (
        {one: (countries, cents) for one, (cents, countries) in expected.items()},
        Mistake("total_and_countries_swapped", "The total and the number of countries are swapped."),
    )


def _cents(paid: Paid) -> int:
    return int(paid.eur * 100)


def hours_of(
    payments: Sequence[Paid], *, closed: bool = False, length: timedelta | None = HOUR, distinct: bool = True
) -> Hours:
    """The hour of each payment; the keywords are a learner's mistakes. Payments of the same moment are in each other's hour."""
    found: Hours = {}
    by_user: dict[int, list[Paid]] = {}
    for paid in payments:
        by_user.setdefault(paid.user_id, []).append(paid)
    for same in by_user.values():
        for last in same:
            inside = [
                one
                for one in same
                if one.time <= last.time
                and (length is None or one.time > last.time - length or (closed and one.time == last.time - length))
            ]
            countries = [one.country for one in inside]
            found[last.transaction_id] = sum(map(_cents, inside)), len(set(countries) if distinct else countries)
    return found


OVER = Exercise(
    number="07.4",
    title="The rule in SQL",
    task="write the view `hours`: for each payment the total and the number of countries of the user's hour that ends with it.",
    hints=(
        "Start from the example: two functions over one window, and an hour in the place of ten minutes. "
        "`COUNT(DISTINCT country)` counts each country once.",
        "`RANGE BETWEEN INTERVAL … PRECEDING AND CURRENT ROW` measures time. It is closed at both ends; our hour is open at its beginning.",
        "Times have milliseconds: `INTERVAL '59:59.999' MINUTE TO SECOND(3)` is the longest time that is less than an hour.",
    ),
    shape="a statement in SQL, as text",
    observe=observe_over,
    judge=judge_over,
    patience_s=40,
    job="over-window",
    accepts=is_text,
)


def observe_pattern(workspace: Workspace, query: str) -> Answer:
    """Runs the learner's pattern."""
    return observe_query(workspace, "pattern", [], query, payment=2)


def judge_pattern(observed: Answer, _query: str) -> Verdict:
    """Pairs of payments in a row: (user, first, second)."""
    expected_columns = "the columns user_id, first_payment and second_payment"
    if len(observed.columns) != 3:
        return wrong(
            Mistake("three_columns", "The answer needs three columns."),
            found=", ".join(observed.columns),
            expected=expected_columns,
        )
    if observed.rows is None:
        return not_yet("Your pattern still reads the topic.")
    found = {(row[0], row[1], row[2]) for row in observed.rows}
    wanted = "two payments of a user in a row, in different countries, together 1,000 EUR or more, within an hour"
    said = f"{len(found)} pairs"
    expected, user_of = pairs(observed.payments), {one.transaction_id: one.user_id for one in observed.payments}
    if found == expected == pairs(observed.payments, more=True):
        return wrong(
            Mistake(
                "no_exact_pair",
                "These pairs may be right, but none is on the edge: run the cell in which Frida pays, then this one again.",
            ),
            found="no pair worth exactly 1,000 EUR",
            expected="that of Frida",
        )
    if found == expected:
        return right("A pattern says what must follow what. How much there was in an hour is another question.")
    if any(user_of.get(first) != user_of.get(second) for _, first, second in found):
        return wrong(
            Mistake("pairs_of_two_users", "Payments of two users make a pair: partition the rows by user."),
            found="a pair of payments of different users",
            expected=wanted,
        )
    known = (
        (
            {"more": True},
            Mistake(
                "more_than_threshold_pair",
                "Two payments of exactly 1,000 EUR together are enough: *or more* includes 1,000.",
            ),
        ),
        (
            {"abroad": False},
            Mistake(
                "same_country",
                "Two payments in one country are a pair here: the second must be made in another country.",
            ),
        ),
        (
            {"worth": False},
            Mistake("small_pairs", "Small pairs are found, too: together they must be worth 1,000 EUR."),
        ),
        (
            {"each": True},
            Mistake("each_alone", "The two must be worth 1,000 EUR together; one of them alone need not be."),
        ),
        ({"within": False}, Mistake("more_than_an_hour", "Some pairs are more than an hour apart.")),
        (
            {"skip": True},
            Mistake(
                "pairs_skipped", "A payment that ends one pair may begin the next: write AFTER MATCH SKIP TO NEXT ROW."
            ),
        ),
    )
    for made, mistake in known:
        if found == pairs(observed.payments, **made):
            return wrong(mistake, found=said, expected=wanted)
    missing, extra = len(expected - found), len(found - expected)
    return wrong(
        Mistake("other_pairs", "The pairs are wrong."),
        found=f"{said}, {missing} missing, {extra} that should not be there",
        expected=wanted,
    )


def pairs(
    payments: Sequence[Paid],
    *,
    abroad: bool = True,
    worth: bool = True,
    more: bool = False,
    each: bool = False,
    within: bool = True,
    skip: bool = False,
) -> set[tuple[int, int, int]]:
    """Pairs of neighbours; the keywords are a learner's mistakes."""
    found, last_of, taken = set(), dict[int, Paid](), set[int]()
    for second in payments:
        first = last_of.get(second.user_id)
        last_of[second.user_id] = second
        if first is None or (skip and first.transaction_id in taken):
            continue
        together = second.eur if each else first.eur + second.eur
        enough = together > 1000 if more else together >= 1000
        if (
            (not abroad or first.country != second.country)
            and (not worth or enough)
            and (not within or second.time - first.time < HOUR)
        ):
            found.add((second.user_id, first.transaction_id, second.transaction_id))
            taken |= {first.transaction_id, second.transaction_id}
    return found


PATTERN = Exercise(
    number="07.5",
    title="The rule as a pattern",
    task="write the whole query: which two payments of a user, one right after the other, look like a theft.",
    hints=(
        "Start from the example. The pattern has two rows, `(A B)`, and B needs two conditions: a country other than A's, and enough money "
        "together with A.",
        "Two rows, not one summary: `MEASURES A.transaction_id AS first_payment, B.transaction_id AS second_payment`. A payment may end one "
        "pair and begin the next: `AFTER MATCH SKIP TO NEXT ROW`.",
        "`PATTERN (A B) WITHIN INTERVAL '1' HOUR DEFINE B AS B.country <> A.country AND A.eur_cents + B.eur_cents >= …`",
    ),
    shape="a query in SQL, as text",
    observe=observe_pattern,
    judge=judge_pattern,
    patience_s=40,
    job="pattern",
    accepts=is_text,
)


LAB = Lab(
    number="07",
    name="make-it-yours",
    title="Make it yours",
    exercises=(LIMIT, RULES, CONNECTED, OVER, PATTERN),
)
