"""Lab 07, Make it yours: another threshold, rules that change while the job runs, and the same rule in SQL and as a pattern."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from fraudlab.course import jobs, live, walls
from fraudlab.course.exercise import (
    NO_RETURN,
    NOT_A_SHARE,
    SHARES_SWAPPED,
    AnswerFailed,
    Exercise,
    Lab,
    Mistake,
    Verdict,
    call,
    is_text,
    not_yet,
    nothing_to_observe,
    right,
    wrong,
)
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.records import iso
from fraudlab.pipeline.rule import Rule

# 07.1

_HOURS = pd.DataFrame(
    [
        (1, Decimal("120.00"), False),
        (2, Decimal("400.00"), False),
        (3, Decimal("1000.00"), True),
        (4, Decimal("5000.00"), True),
    ],
    columns=["user_id", "eur", "robbed"],
)
_ROBBED = frozenset({3, 4, 8, 9})
_HONEST = pd.DataFrame([(5, Decimal("6000.00"), False)], columns=["user_id", "eur", "robbed"])
_PEOPLE = "two honest people of 120 and 400 EUR, two robbed ones of 1,000 and 5,000 EUR, and two robbed ones without such an hour"

_SCORES: tuple[tuple[int, tuple[float, float], Mistake], ...] = (
    (
        500,
        (1, 2 / 4),
        Mistake(
            "recall_of_those_seen",
            "The recall is a share of *all* robbed people, including those who never paid in two countries.",
        ),
    ),
    (
        100,
        (2 / 4, 2 / 4),
        Mistake(
            "other_precision",
            "The precision is a share of the accused: with 100 EUR, four are accused, and two of them were robbed.",
        ),
    ),
    (1000, (1, 2 / 4), Mistake("more_than_threshold", "Exactly the threshold is enough: the rule says *at least*.")),
    (4000, (1, 1 / 4), Mistake("other_recall", "With a threshold of 4,000 EUR, one of four robbed people is found.")),
    (
        9000,
        (1, 0),
        Mistake(
            "nobody_accused", "If no one is accused, no accusation is false: the precision is 1, and the recall 0."
        ),
    ),
)


_ALL_FALSE = Mistake(
    "all_false", "If every accusation is false, the precision is 0. It is 1 only if no one was accused at all."
)


def judge_score(_observed: None, score: Callable[..., Any]) -> Verdict:
    """The function must give precision and recall for each threshold."""
    cases = [(_PEOPLE, _HOURS, *one) for one in _SCORES]
    cases.append(
        ("one honest person of 6,000 EUR, and four robbed ones without such an hour", _HONEST, 1000, (0, 0), _ALL_FALSE)
    )
    for people, hours, threshold, expected, mistake in cases:
        try:
            found = call(score, hours.copy(), set(_ROBBED), threshold)
        except AnswerFailed as failure:
            if "ZeroDivisionError" in str(failure):
                return wrong(mistake, found="a division by zero", expected="precision 1, recall 0")
            raise
        if found is None:
            return wrong(NO_RETURN, found=None, expected="two shares")
        precision, recall = (float(one) for one in found)
        if abs(precision - expected[0]) > 0.001 or abs(recall - expected[1]) > 0.001:
            if max(precision, recall) > 1:
                mistake = NOT_A_SHARE
            elif abs(precision - expected[1]) < 0.001 and abs(recall - expected[0]) < 0.001:
                mistake = SHARES_SWAPPED
            elif expected[0] != expected[1] and abs(precision - expected[1]) < 0.001:
                mistake = Mistake(
                    "precision_of_the_robbed",
                    "Both are divided by the robbed. The precision is a share of the accused.",
                )
            return wrong(
                mistake,
                found=f"precision {precision:.2f}, recall {recall:.2f} with {threshold} EUR, for {people}",
                expected="precision first, then recall, each between 0 and 1",
            )
    return right("Now every threshold has two numbers, and you can draw what strictness costs.")


THRESHOLD = Exercise(
    number="07.1",
    title="A score for each threshold",
    task="write the function that gives precision and recall for a threshold.",
    hints=(
        'First the accused: `set(hours.loc[hours["eur"] >= threshold, "user_id"])`. Continue as in Lab 04.',
        "The recall divides by `len(robbed)`: people without an hour in two countries are not in the table, but they count.",
        "Only the precision can divide by zero: `len(accused & robbed) / len(accused) if accused else 1.0`.",
    ),
    shape="a function of a table, a set and a threshold that gives two shares",
    observe=nothing_to_observe,
    judge=judge_score,
)


# 07.2

MINUTE_MS = 60_000
_NOON_MS = 1_769_860_800_000


class Broadcast(dict[str, int]):
    """Broadcast state in this process: PyFlink's has these methods of a dictionary."""

    def put(self, key: str, value: int) -> None:
        self[key] = value

    def contains(self, key: str) -> bool:
        return key in self

    def __missing__(self, _key: str) -> None:
        return None


class Context:
    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def get_broadcast_state(self, _descriptor: object) -> Broadcast:
        return self._broadcast


@dataclass(frozen=True, slots=True)
class _Paid:
    number: int
    user: int
    minute: int
    eur: int
    country: str


_Step = _Paid | int | str
"""A payment, a rule's threshold in EUR, or "crash": a new instance with the old one's state."""

_RUNS: tuple[tuple[str, tuple[_Step, ...], list[tuple[int, int]], Mistake], ...] = (
    (
        "a theft of 1,200 EUR before any rule arrives",
        (_Paid(1, 7, 0, 600, "DE"), _Paid(2, 7, 5, 600, "FR")),
        [(7, 100_000)],
        Mistake(
            "no_rule_yet",
            "Before the first rule arrives, the broadcast state is empty; then the rule that the job started with applies.",
        ),
    ),
    (
        "a threshold of 2,000 EUR, then a theft of 1,200 EUR",
        (2000, _Paid(1, 7, 0, 600, "DE"), _Paid(2, 7, 5, 600, "FR")),
        [],
        Mistake(
            "threshold_ignored",
            "A new threshold of 2,000 EUR must apply to the payments after it. It comes in EUR; the rule counts in cents.",
        ),
    ),
    (
        "a threshold of 2,000 EUR, then a theft of 2,400 EUR",
        (2000, _Paid(1, 7, 0, 1200, "DE"), _Paid(2, 7, 5, 1200, "FR")),
        [(7, 200_000)],
        Mistake(
            "theft_missed", "With a threshold of 2,000 EUR, a theft of 2,400 EUR must be raised, under this threshold."
        ),
    ),
    (
        "a threshold of 500 EUR between two payments",
        (_Paid(1, 7, 0, 400, "DE"), 500, _Paid(2, 7, 5, 200, "FR")),
        [(7, 50_000)],
        Mistake(
            "payments_forgotten",
            "Do not forget the payment before the change: a rule changes what is suspicious, not what was paid.",
        ),
    ),
    (
        "thresholds of 2,000 EUR and then 500 EUR",
        (2000, 500, _Paid(1, 7, 0, 400, "DE"), _Paid(2, 7, 5, 200, "FR")),
        [(7, 50_000)],
        Mistake("first_rule_kept", "The latest rule applies."),
    ),
    (
        "a threshold of 2,000 EUR, a crash, then a theft of 1,200 EUR",
        (2000, "crash", _Paid(1, 7, 0, 600, "DE"), _Paid(2, 7, 5, 600, "FR")),
        [],
        Mistake(
            "rule_in_self",
            "The crash lost the rule: a crash loses what is in `self`, but not what is in the broadcast state.",
        ),
    ),
)


def judge_rules(_observed: None, detector: Callable[..., Any]) -> Verdict:
    """The learner's detector, run in this process, must apply the rule that came last."""
    for name, steps, expected, mistake in _RUNS:
        found = _run(detector, steps)
        if found != expected:
            return wrong(mistake, found=f"{_told(found)} for {name}", expected=_told(expected))
    return right("A rule is data now. You can change it without stopping a job.")


def _run(detector: Callable[..., Any], steps: Sequence[_Step]) -> list[tuple[int, int]]:
    """What a detector raises: user and the threshold in cents that it names."""
    trial, context = jobs.Trial(lambda: call(detector, Rule())), Context(Broadcast())
    raised: list[tuple[int, int]] = []

    def process_broadcast_element(value: str) -> None:
        list(trial.operator.process_broadcast_element(value, context) or ())

    for step in steps:
        if isinstance(step, int):
            call(process_broadcast_element, json.dumps({"threshold_eur": step}))
        elif isinstance(step, str):
            trial.crash()
        else:
            raised += [(row[1], row[3]) for row in trial.process_element(step.user, _record(step), context)]
    return raised


def _record(paid: _Paid) -> str:
    time_ms = _NOON_MS + paid.minute * MINUTE_MS
    record = {
        "transaction_id": paid.number,
        "user_id": paid.user,
        "user_suspicious_activity": False,
        "transaction_amount": f"{paid.eur}.00",
        "transaction_currency": "EUR",
        "transaction_country": paid.country,
        "transaction_time": iso(time_ms),
        "created_at": iso(time_ms),
    }
    return f"0:{paid.number}:{json.dumps(record)}"


def _told(raised: Sequence[tuple[int, int]]) -> str:
    return (
        ", ".join(f"user {user} raised with a threshold of {cents / 100:,.0f} EUR" for user, cents in raised)
        or "nothing raised"
    )


RULES = Exercise(
    number="07.2",
    title="A rule that changes",
    task="put the new threshold into the broadcast state, and judge each payment by the current rule.",
    hints=(
        "`ctx.get_broadcast_state(RULES)` is like a dictionary: the rules' side calls `put(key, value)`, the payments' side `get(key)`.",
        '`put("threshold_eur_cents", cents)` on one side, `get("threshold_eur_cents")` on the other. `get` returns None until the first rule arrives.',
        "`rule = self._rule if cents is None else replace(self._rule, threshold_eur_cents=cents)`",
    ),
    shape="a class with process_element and process_broadcast_element",
    observe=nothing_to_observe,
    judge=judge_rules,
)


# 07.3 and 07.4: a query of the learner's, run once on Flink to the end of the topic


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
    rows: frozenset[tuple[Any, ...]] | None
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
    return Answer(columns, frozenset(row for row in running.rows() if row[payment] in known), payments)


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


_HOURS_QUERY = (
    "SELECT transaction_id FROM hours WHERE countries >= ${min_countries} AND total_amount_eur >= ${threshold_eur}"
)


def observe_over(workspace: Workspace, definition: str) -> Answer:
    """Runs the learner's view `hours`, and asks it for the suspicious ones."""
    return observe_query(workspace, "over-window", [definition], _HOURS_QUERY, payment=0)


def judge_over(observed: Answer, definition: str) -> Verdict:
    """The payments whose hour is suspicious, and no others."""
    if observed.rows is None:
        return not_yet("Your query still reads the topic.")
    found = {row[0] for row in observed.rows}
    expected = suspicious_payments(observed.payments)
    said, wanted = (
        f"{len(found)} suspicious payments",
        "for each payment the hour that ends with it, open at its beginning",
    )
    if found == expected == suspicious_payments(observed.payments, closed=True):
        return wrong(
            Mistake(
                "no_edge",
                "These hours may be right, but no payment is on their edge: run the cell in which Edgar pays, then this one again.",
            ),
            found="no two payments exactly one hour apart",
            expected="those of Edgar",
        )
    if found == expected:
        return right("One statement says the same as a class of sixty lines. The next step shows what it cannot say.")
    known = (
        (
            {"closed": True},
            Mistake(
                "closed_hour",
                "`RANGE BETWEEN INTERVAL '1' HOUR PRECEDING` includes the payment exactly one hour before.",
            ),
        ),
        ({"length": None}, Mistake("unbounded", "Without a bound, the window holds everything that a user ever paid.")),
        (
            {"by_user": False},
            Mistake("not_partitioned", "Payments of different users share a window: partition it by user."),
        ),
    )
    for made, mistake in known:
        mistaken = suspicious_payments(observed.payments, **made)
        # Without a window for each user those who were left out still count in everybody's.
        if len(found ^ mistaken) * 100 <= len(mistaken):
            return wrong(mistake, found=said, expected=wanted)
    missing, extra = len(expected - found), len(found - expected)
    if "ROWS" in definition.upper():
        return wrong(
            Mistake("rows_for_range", "ROWS counts payments, RANGE measures time: an hour is a time."),
            found=said,
            expected=wanted,
        )
    return wrong(
        Mistake("other_hours", "The hours are wrong."),
        found=f"{said}, {missing} missing, {extra} that should not be there",
        expected=wanted,
    )


def suspicious_payments(
    payments: Sequence[Paid], *, closed: bool = False, length: timedelta | None = HOUR, by_user: bool = True
) -> set[int]:
    """Ids of the payments whose window holds two countries and 1,000 EUR; the keywords are a learner's mistakes."""
    found: set[int] = set()
    groups: dict[int, list[Paid]] = {}
    for paid in payments:
        groups.setdefault(paid.user_id if by_user else 0, []).append(paid)
    for same in groups.values():
        first, total, countries = 0, Decimal(0), dict[str, int]()
        for place, last in enumerate(same):
            total, countries[last.country] = total + last.eur, countries.get(last.country, 0) + 1
            while length is not None and (
                same[first].time < last.time - length or (not closed and same[first].time == last.time - length)
            ):
                total, countries[same[first].country] = total - same[first].eur, countries[same[first].country] - 1
                first += 1
            # Rows of the same moment are in each other's window.
            peers = [one for one in same[place + 1 : place + 4] if one.time == last.time]
            worth = total + sum((one.eur for one in peers), Decimal(0))
            if (
                worth >= 1000
                and len({name for name, count in countries.items() if count} | {one.country for one in peers}) >= 2
            ):
                found.add(last.transaction_id)
    return found


OVER = Exercise(
    number="07.3",
    title="The rule in SQL",
    task="write the window: partitioned by user, in order of event time, the hour that ends with each payment.",
    hints=(
        "A window has three parts: PARTITION BY, ORDER BY, and how far it reaches back.",
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
    expected = pairs(observed.payments)
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
    number="07.4",
    title="The rule as a pattern",
    task="write what makes the second payment suspicious after the first.",
    hints=(
        "In DEFINE, a condition may use both: `A.country`, `B.country`, `A.eur_cents`, `B.eur_cents`.",
        "A needs no condition. B needs two: a country other than A's, and enough money together with A.",
        "`B AS B.country <> A.country AND … >= 100000`",
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
    exercises=(THRESHOLD, RULES, OVER, PATTERN),
)
