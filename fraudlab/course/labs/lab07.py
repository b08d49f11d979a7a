"""Lab 07, Make it yours: another threshold, rules that change while the job runs, and the same rule in SQL and as a pattern."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from fraudlab.course import jobs, live
from fraudlab.course.exercise import (
    AnswerFailed,
    Example,
    Exercise,
    Lab,
    Verdict,
    call,
    not_yet,
    nothing_to_observe,
    right,
    wrong,
)
from fraudlab.course.world import World
from fraudlab.pipeline.records import iso
from fraudlab.pipeline.rule import Rule, judge

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

_SCORES: tuple[tuple[int, tuple[float, float], str], ...] = (
    (500, (1, 2 / 4), "The recall is a share of *all* who were robbed, also of those who never paid in two countries."),
    (
        100,
        (2 / 4, 2 / 4),
        "The precision is a share of the accused: with 100 EUR four are accused, and two of them were robbed.",
    ),
    (1000, (1, 2 / 4), "Exactly the threshold is enough: the rule says *at least*."),
    (4000, (1, 1 / 4), "With a threshold of 4,000 EUR one of four robbed people is found."),
    (9000, (1, 0), "When nobody is accused, nobody is accused wrongly: the precision is 1 then, and the recall 0."),
)


def judge_score(_observed: None, score: Callable[..., Any]) -> Verdict:
    """The function must give precision and recall for each threshold."""
    for threshold, expected, sentence in _SCORES:
        try:
            found = call(score, _HOURS.copy(), set(_ROBBED), threshold)
        except AnswerFailed as failure:
            if "ZeroDivisionError" in str(failure):
                return wrong(sentence, found="a division by zero", expected="precision 1, recall 0")
            raise
        if found is None:
            return wrong("The function gives nothing back: it lacks a `return`.", found=None, expected="two shares")
        precision, recall = (float(one) for one in found)
        if abs(precision - expected[0]) > 0.001 or abs(recall - expected[1]) > 0.001:
            if max(precision, recall) > 1:
                sentence = "A share lies between 0 and 1; these are counts or percentages."
            elif abs(precision - expected[1]) < 0.001 and abs(recall - expected[0]) < 0.001:
                sentence = "The two are the wrong way round: precision first."
            elif expected[0] != expected[1] and abs(precision - expected[1]) < 0.001:
                sentence = "Both are divided by the robbed. The precision is a share of the accused."
            return wrong(
                sentence,
                found=f"precision {precision:.2f}, recall {recall:.2f} with {threshold} EUR, for two honest people of 120 and 400 EUR,"
                " two robbed ones of 1,000 and 5,000 EUR, and two robbed ones without such an hour",
                expected="precision first, then recall, each between 0 and 1",
            )
    return right("Now every threshold has two numbers, and you can draw what it costs to be strict.")


def _accused(hours: pd.DataFrame, threshold: int) -> set[int]:
    return set(hours.loc[hours["eur"] >= threshold, "user_id"])


def _score_by_sets(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    accused = _accused(hours, threshold)
    return (len(accused & set(robbed)) / len(accused) if accused else 1.0), len(accused & set(robbed)) / len(robbed)


def _score_by_column(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> list[float]:
    hit = hours[hours["eur"] >= threshold]["robbed"]
    return [hit.mean() if len(hit) else 1, hit.sum() / len(robbed)]


def _score_of_those_seen(hours: pd.DataFrame, _robbed: Collection[int], threshold: int) -> tuple[float, float]:
    return _score_by_sets(hours, set(hours.loc[hours["robbed"], "user_id"]), threshold)


def _score_above(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    accused = set(hours.loc[hours["eur"] > threshold, "user_id"])
    return (len(accused & set(robbed)) / len(accused) if accused else 1.0), len(accused & set(robbed)) / len(robbed)


def _score_without_care(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    accused = _accused(hours, threshold)
    return len(accused & set(robbed)) / len(accused), len(accused & set(robbed)) / len(robbed)


def _score_over_the_robbed(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    share = len(_accused(hours, threshold) & set(robbed)) / len(robbed)
    return share, share


def _score_in_percent(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, ...]:
    return tuple(100 * share for share in _score_by_sets(hours, robbed, threshold))


THRESHOLD = Exercise(
    number="07.1",
    title="A score for each threshold",
    task="write the function that gives precision and recall for a threshold.",
    hints=(
        'First the accused: `set(hours.loc[hours["eur"] >= threshold, "user_id"])`. Then as in Lab 04.',
        "The recall divides by `len(robbed)`: people without an hour in two countries are not in the table, and count.",
        "Only the precision can divide by zero: `len(accused & robbed) / len(accused) if accused else 1.0`.",
    ),
    shape="a function of a table, a set and a threshold that gives two shares",
    observe=nothing_to_observe,
    judge=judge_score,
    right=[Example((_score_by_sets,)), Example((_score_by_column,))],
    wrong=[
        Example((_score_of_those_seen,), says=_SCORES[0][2]),
        Example(
            (lambda *given: tuple(reversed(_score_by_sets(*given))),),
            says="The two are the wrong way round: precision first.",
        ),
        Example(
            (_score_over_the_robbed,), says="Both are divided by the robbed. The precision is a share of the accused."
        ),
        Example((_score_in_percent,), says="A share lies between 0 and 1; these are counts or percentages."),
        Example((_score_above,), says=_SCORES[2][2]),
        Example((_score_without_care,), says=_SCORES[4][2]),
        Example((lambda hours, robbed, threshold: None,), says="The function gives nothing back: it lacks a `return`."),
        Example((lambda hours, robbed, threshold: 0.5,), says="The check cannot read this answer."),
    ],
)


# 07.2

MINUTE_MS = 60_000
_NOON_MS = 1_769_860_800_000
KEY = "threshold_eur_cents"


class _Broadcast(dict[str, int]):
    """Broadcast state in this process: what PyFlink's has of a dictionary's methods."""

    def put(self, key: str, value: int) -> None:
        self[key] = value

    def contains(self, key: str) -> bool:
        return key in self

    def __missing__(self, _key: str) -> None:
        return None


class _Context:
    def __init__(self, broadcast: _Broadcast) -> None:
        self._broadcast = broadcast

    def get_broadcast_state(self, _descriptor: object) -> _Broadcast:
        return self._broadcast


@dataclass(frozen=True, slots=True)
class _Paid:
    number: int
    user: int
    minute: int
    eur: int
    country: str


_Step = _Paid | int | str
"""A payment, a rule's threshold in EUR, or "crash": a new instance with the states of the old one."""

_RUNS: tuple[tuple[str, tuple[_Step, ...], list[tuple[int, int]], str], ...] = (
    (
        "a theft of 1,200 EUR before any rule has come",
        (_Paid(1, 7, 0, 600, "DE"), _Paid(2, 7, 5, 600, "FR")),
        [(7, 100_000)],
        "Before the first record of the rules there is nothing in the broadcast state; then the rule that the job began with holds.",
    ),
    (
        "a threshold of 2,000 EUR, then a theft of 1,200 EUR",
        (2000, _Paid(1, 7, 0, 600, "DE"), _Paid(2, 7, 5, 600, "FR")),
        [],
        "A new threshold of 2,000 EUR must hold for the payments after it. It comes in EUR; the rule counts in cents.",
    ),
    (
        "a threshold of 2,000 EUR, then a theft of 2,400 EUR",
        (2000, _Paid(1, 7, 0, 1200, "DE"), _Paid(2, 7, 5, 1200, "FR")),
        [(7, 200_000)],
        "With a threshold of 2,000 EUR a theft of 2,400 EUR must be raised, under this threshold.",
    ),
    (
        "a threshold of 500 EUR between two payments",
        (_Paid(1, 7, 0, 400, "DE"), 500, _Paid(2, 7, 5, 200, "FR")),
        [(7, 50_000)],
        "The payment before the change must not be forgotten: a rule changes what is suspicious, not what was paid.",
    ),
    (
        "thresholds of 2,000 EUR and then 500 EUR",
        (2000, 500, _Paid(1, 7, 0, 400, "DE"), _Paid(2, 7, 5, 200, "FR")),
        [(7, 50_000)],
        "The rule that came last holds.",
    ),
    (
        "a threshold of 2,000 EUR, a crash, then a theft of 1,200 EUR",
        (2000, "crash", _Paid(1, 7, 0, 600, "DE"), _Paid(2, 7, 5, 600, "FR")),
        [],
        "After a crash the rule was forgotten: what lies in `self` is gone, what lies in the broadcast state is not.",
    ),
)


def judge_rules(_observed: None, detector: Callable[..., Any]) -> Verdict:
    """The learner's detector, run in this process, must apply the rule that came last."""
    for name, steps, expected, sentence in _RUNS:
        found = _run(detector, steps)
        if found != expected:
            return wrong(sentence, found=f"{_told(found)} for {name}", expected=_told(expected))
    return right("A rule is data now. Nobody has to stop a job to change it.")


def _run(detector: Callable[..., Any], steps: Sequence[_Step]) -> list[tuple[int, int]]:
    """What a detector raises: user and the threshold in cents that it names."""
    made, context = call(detector, Rule()), _Context(_Broadcast())
    states: dict[int, jobs.ValueOfOneUser] = {}
    raised: list[tuple[int, int]] = []

    def process_broadcast_element(value: str) -> None:
        list(made.process_broadcast_element(value, context) or ())

    def process_element(value: str) -> list[Any]:
        return list(made.process_element(value, context) or ())

    for step in steps:
        if isinstance(step, int):
            call(process_broadcast_element, json.dumps({"threshold_eur": step}))
        elif isinstance(step, str):
            made = call(detector, Rule())
        else:
            made._user = states.setdefault(step.user, jobs.ValueOfOneUser())
            raised += [(row[1], row[3]) for row in call(process_element, _record(step))]
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


class _Model:
    """The detector of the notebook, as a learner may have written it; the subclasses change a part."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._user: Any = None

    def keep(self, state: _Broadcast, cents: int) -> None:
        state.put(KEY, cents)

    def kept(self, state: _Broadcast) -> int | None:
        return state.get(KEY)

    def cents(self, eur: int) -> int:
        return eur * 100

    def history(self) -> bytes:
        return self._user.value() or b""

    def process_broadcast_element(self, value: str, ctx: _Context) -> None:
        self.keep(ctx.get_broadcast_state(None), self.cents(json.loads(value)["threshold_eur"]))

    def process_element(self, value: str, ctx: _Context) -> Any:
        from dataclasses import replace

        from fraudlab.pipeline.transaction import read_payment

        payment, _, record = read_payment(value.split(":", 2)[2], self._rule.max_age_ms)
        cents = self.kept(ctx.get_broadcast_state(None))
        rule = self._rule if cents is None else replace(self._rule, threshold_eur_cents=cents)
        verdict = judge(rule, self.history(), payment)
        self._user.update(verdict.history)
        return [("activity", record.user_id, hour.total_eur_cents, rule.threshold_eur_cents) for hour in verdict.hours]


class _InSelf(_Model):
    kept_cents: int | None = None

    def keep(self, state: _Broadcast, cents: int) -> None:
        self.kept_cents = cents

    def kept(self, state: _Broadcast) -> int | None:
        return self.kept_cents


class _Deaf(_Model):
    def kept(self, state: _Broadcast) -> int | None:
        return None


class _InEuro(_Model):
    def cents(self, eur: int) -> int:
        return eur


class _FirstRuleOnly(_Model):
    def keep(self, state: _Broadcast, cents: int) -> None:
        state.setdefault(KEY, cents)


class _Zero(_Model):
    def kept(self, state: _Broadcast) -> int | None:
        return state.get(KEY) or 0


class _Forgetful(_Model):
    def process_broadcast_element(self, value: str, ctx: _Context) -> None:
        super().process_broadcast_element(value, ctx)
        self._user = jobs.ValueOfOneUser()

    def history(self) -> bytes:
        return super().history() if self._seen(self._user) else b""

    def _seen(self, user: jobs.ValueOfOneUser) -> bool:
        same = getattr(self, "_last", None) is not None and self._last_rule == self._rule_now
        self._last, self._last_rule = user, self._rule_now
        return same

    _last: jobs.ValueOfOneUser | None = None
    _last_rule: int | None = None
    _rule_now: int | None = None

    def kept(self, state: _Broadcast) -> int | None:
        self._rule_now = state.get(KEY)
        return self._rule_now


class _Otherwise(_Model):
    def kept(self, state: _Broadcast) -> int | None:
        return state[KEY] if state.contains(KEY) else None


RULES = Exercise(
    number="07.2",
    title="A rule that changes",
    task="put the new threshold into the broadcast state, and judge each payment by the rule that holds now.",
    hints=(
        "`ctx.get_broadcast_state(RULES)` is like a dictionary: the side of the rules does `put(key, value)`, the other `get(key)`.",
        '`cents = json.loads(value)["threshold_eur"] * 100`, and then `put` them. `get` gives None while no rule has come.',
        "`rule = self._rule if cents is None else replace(self._rule, threshold_eur_cents=cents)`",
    ),
    shape="a class with process_element and process_broadcast_element",
    observe=nothing_to_observe,
    judge=judge_rules,
    right=[Example((_Model,)), Example((_Otherwise,))],
    wrong=[
        Example((_Deaf,), says=_RUNS[1][3]),
        Example((_InEuro,), says=_RUNS[1][3]),
        Example((_Forgetful,), says=_RUNS[3][3]),
        Example((_FirstRuleOnly,), says=_RUNS[4][3]),
        Example((_InSelf,), says=_RUNS[5][3]),
        Example((_Zero,), says=_RUNS[0][3]),
        Example((7,), says="The check cannot read this answer."),
    ],
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
    """What a query gave when its job had ended (None: it still runs), and the payments it was asked about, in order of event time."""

    columns: tuple[str, ...]
    rows: frozenset[tuple[Any, ...]] | None
    payments: tuple[Paid, ...]


_running: dict[str, tuple[int, live.LiveQuery]] = {}
"""The query that was asked last: its text, how many records the topic had then, and its job."""

HOUR = timedelta(hours=1)
_NO_EDGE = (
    "These hours may be right, but nothing shows their edge: run the cell in which Edgar pays, then this one again."
)
_NO_EXACT_PAIR = (
    "These pairs may be right, but none is on the edge: run the cell in which Frida pays, then this one again."
)
OVER_DELAY_MINUTES = 90


def observe_query(world: World, name: str, definitions: Sequence[str], query: str, payment: int) -> Answer:
    """Runs a query over all payments in the topic, and gives its answer when it is complete.

    The same query runs again only if the topic has grown since. Users whose payments came twice are left out, rows and payments: that SQL counts those twice is what the lab shows next.

    Args:
        world: The learner's world.
        name: The job's name.
        definitions: Statements that the query needs.
        query: The query.
        payment: The place of the column that names a payment.
    """
    text, records = "\n".join((*definitions, query)), world.count("transaction_mid")
    asked, running = _running.get(text, (0, None))
    if running is None or (running.ended and asked != records):
        try:
            _, tables = jobs.environments(world)
            jobs.read_payments(world, tables, delay_minutes=OVER_DELAY_MINUTES, bounded=True)
            for statement in definitions:
                jobs.sql(world, tables, statement)
            running = jobs.watch(world, tables, query, name)
        except Exception as error:
            raise AnswerFailed(f"Flink does not accept this: {live.reason(error)}") from error
        _running.clear()
        _running[text] = records, running
    columns = tuple(running.columns)
    if not running.ended or payment >= len(columns):
        return Answer(columns, None, ())
    times = _times_in_topic(world)
    twice = {user_id for (user_id, _), number in times.items() if number > 1}
    there = {transaction_id for _, transaction_id in times}
    payments = tuple(paid for paid in _payments(world) if paid.user_id not in twice and paid.transaction_id in there)
    known = {paid.transaction_id for paid in payments}
    return Answer(columns, frozenset(row for row in running.rows() if row[payment] in known), payments)


def _times_in_topic(world: World) -> Counter[tuple[int, int]]:
    """How often the topic has each payment (user, transaction), without those of accounts that were stopped, which the query leaves out."""
    records = [record.json for record in world.records("transaction_mid") if record.value]
    return Counter(
        (one["user_id"], one["transaction_id"]) for one in records if one["user_suspicious_activity"] is False
    )


def _payments(world: World) -> tuple[Paid, ...]:
    found = jobs.payments(world)
    paid = [
        Paid(row.transaction_id, row.user_id, row.transaction_time.to_pydatetime(), row.country, row.eur)  # type: ignore[arg-type,union-attr]
        for row in found.itertuples()
    ]
    return tuple(sorted(paid, key=lambda one: (one.time, one.transaction_id)))


_HOURS_QUERY = (
    "SELECT transaction_id FROM hours WHERE countries >= ${min_countries} AND total_amount_eur >= ${threshold_eur}"
)


def observe_over(world: World, definition: str) -> Answer:
    """Runs the learner's view `hours`, and asks it for the suspicious ones."""
    return observe_query(world, "over-window", [definition], _HOURS_QUERY, payment=0)


def judge_over(observed: Answer, definition: str) -> Verdict:
    """The payments whose hour is suspicious, and no others."""
    if observed.rows is None:
        return not_yet("Your query still reads the topic.")
    found = {row[0] for row in observed.rows}
    expected = _suspicious(observed.payments)
    said, wanted = (
        f"{len(found)} suspicious payments",
        "for each payment the hour that ends with it, open at its beginning",
    )
    if found == expected == _suspicious(observed.payments, closed=True):
        return wrong(_NO_EDGE, found="no two payments exactly one hour apart", expected="those of Edgar")
    if found == expected:
        return right("One statement says what a class of sixty lines said. What it cannot say comes next.")
    mistakes = (
        ({"closed": True}, "`RANGE BETWEEN INTERVAL '1' HOUR PRECEDING` holds the payment exactly one hour before."),
        ({"length": None}, "Without a bound the window holds all that a user ever paid."),
        ({"by_user": False}, "Payments of different users share a window: it must be cut up by user."),
    )
    for mistake, sentence in mistakes:
        mistaken = _suspicious(observed.payments, **mistake)
        # Without a window for each user those who were left out still count in everybody's.
        if len(found ^ mistaken) * 100 <= len(mistaken):
            return wrong(sentence, found=said, expected=wanted)
    missing, extra = len(expected - found), len(found - expected)
    if "ROWS" in definition.upper():
        return wrong("ROWS counts payments, RANGE measures time: an hour is a time.", found=said, expected=wanted)
    return wrong(
        "These are other hours.", found=f"{said}, {missing} missing, {extra} that should not be there", expected=wanted
    )


def _suspicious(
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


_NOON = datetime(2026, 1, 31, 12)


def _at(number: int, user: int, minute: float, country: str, eur: int) -> Paid:
    return Paid(number, user, _NOON + timedelta(minutes=minute), country, Decimal(eur))


_BANK = (
    _at(1, 1, 0, "DE", 600),
    _at(2, 1, 30, "FR", 600),
    _at(3, 2, 60, "DE", 600),
    _at(4, 2, 120, "FR", 600),
    _at(5, 3, 130, "DE", 300),
    _at(6, 3, 300, "FR", 800),
    _at(7, 4, 301, "DE", 900),
    _at(8, 5, 302, "FR", 40),
    _at(9, 6, 400, "DE", 400),
    _at(10, 6, 405, "FR", 400),
    _at(11, 6, 410, "US", 400),
    _at(12, 7, 500, "DE", 30),
    _at(13, 7, 501, "BR", 2000),
    _at(14, 8, 600, "DE", 1500),
    _at(15, 8, 601, "DE", 20),
)


def _answered(rows: Collection[tuple[Any, ...]] | None, columns: tuple[str, ...] = ("transaction_id",)) -> Answer:
    return Answer(columns, None if rows is None else frozenset(rows), _BANK)


def _ids(*ids: int) -> set[tuple[int]]:
    return {(one,) for one in ids}


_VIEW = "CREATE TEMPORARY VIEW hours AS …"

OVER = Exercise(
    number="07.3",
    title="The rule in SQL",
    task="write the window: cut up by user, in order of event time, the hour that ends with each payment.",
    hints=(
        "A window has three parts: PARTITION BY, ORDER BY, and how far it reaches back.",
        "`RANGE BETWEEN INTERVAL … PRECEDING AND CURRENT ROW` measures time. It is closed at both ends; our hour is open at its beginning.",
        "Times have milliseconds: `INTERVAL '59:59.999' MINUTE TO SECOND(3)` is the longest time that is less than an hour.",
    ),
    shape="a statement in SQL, as text",
    observe=observe_over,
    judge=judge_over,
    right=[
        Example((_VIEW,), _answered(_suspicious_rows := {(one,) for one in _suspicious(_BANK)})),
        Example(("create temporary view hours as …",), _answered(list(_suspicious_rows))),
    ],
    wrong=[
        Example(
            (_VIEW,),
            _answered({(one,) for one in _suspicious(_BANK, closed=True)}),
            "`RANGE BETWEEN INTERVAL '1' HOUR PRECEDING` holds the payment exactly one hour before.",
        ),
        Example(
            (_VIEW,),
            _answered({(one,) for one in _suspicious(_BANK, length=None)}),
            "Without a bound the window holds all that a user ever paid.",
        ),
        Example(
            (_VIEW,),
            _answered({(one,) for one in _suspicious(_BANK, by_user=False)}),
            "Payments of different users share a window: it must be cut up by user.",
        ),
        Example(
            ("… ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",),
            _answered(_ids(2, 13)),
            "ROWS counts payments, RANGE measures time: an hour is a time.",
        ),
        Example((_VIEW,), _answered(_ids(2)), "These are other hours."),
        Example((_VIEW,), _answered(None), "Your query still reads the topic."),
        Example(
            (_VIEW,),
            Answer(("transaction_id",), frozenset(_ids(13)), tuple(one for one in _BANK if one.user_id == 7)),
            _NO_EDGE,
        ),
    ],
    patience_s=40,
)


def observe_pattern(world: World, query: str) -> Answer:
    """Runs the learner's pattern."""
    return observe_query(world, "pattern", [], query, payment=2)


def judge_pattern(observed: Answer, _query: str) -> Verdict:
    """Pairs of payments in a row: (user, first, second)."""
    expected_columns = "the columns user_id, first_payment and second_payment"
    if len(observed.columns) != 3:
        return wrong("The answer needs three columns.", found=", ".join(observed.columns), expected=expected_columns)
    if observed.rows is None:
        return not_yet("Your pattern still reads the topic.")
    found = {(row[0], row[1], row[2]) for row in observed.rows}
    wanted = "two payments of a user in a row, in different countries, together 1,000 EUR or more, within an hour"
    said = f"{len(found)} pairs"
    expected = _pairs(observed.payments)
    if found == expected == _pairs(observed.payments, more=True):
        return wrong(_NO_EXACT_PAIR, found="no pair worth exactly 1,000 EUR", expected="that of Frida")
    if found == expected:
        return right(
            "A pattern says what must follow what. That is another question than how much there was in an hour."
        )
    mistakes = (
        ({"more": True}, "Two payments of exactly 1,000 EUR together are enough: *or more* holds the 1,000, too."),
        ({"abroad": False}, "Two payments in one country are a pair here: the second must be made in another country."),
        ({"worth": False}, "Small pairs are found, too: together they must be worth 1,000 EUR."),
        ({"each": True}, "The two together must be worth 1,000 EUR, not one of them alone."),
        ({"within": False}, "Pairs are found that lie more than an hour apart."),
        ({"skip": True}, "A payment that ends one pair may begin the next: say AFTER MATCH SKIP TO NEXT ROW."),
    )
    for mistake, sentence in mistakes:
        if found == _pairs(observed.payments, **mistake):
            return wrong(sentence, found=said, expected=wanted)
    missing, extra = len(expected - found), len(found - expected)
    return wrong(
        "These are other pairs.", found=f"{said}, {missing} missing, {extra} that should not be there", expected=wanted
    )


def _pairs(
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


_PAIR_COLUMNS = ("user_id", "first_payment", "second_payment")
_MORE = (
    *_BANK,
    *(_at(16, 9, 700, "DE", 900), _at(17, 9, 701, "FR", 900), _at(18, 9, 702, "DE", 900)),
    *(_at(19, 10, 710, "DE", 500), _at(20, 10, 720, "FR", 500)),
)


def _paired(columns: tuple[str, ...] = _PAIR_COLUMNS, **mistake: bool) -> Answer:
    return Answer(columns, frozenset(_pairs(_MORE, **mistake)), _MORE)


_MATCH = "SELECT * FROM payments MATCH_RECOGNIZE (…)"

PATTERN = Exercise(
    number="07.4",
    title="The rule as a pattern",
    task="write what makes the second payment suspicious after the first.",
    hints=(
        "In DEFINE a condition may name both: `A.country`, `B.country`, `A.eur_cents`, `B.eur_cents`.",
        "A needs no condition. B needs two: another country than A's, and enough money together with A.",
        "`B AS B.country <> A.country AND … >= 100000`",
    ),
    shape="a query in SQL, as text",
    observe=observe_pattern,
    judge=judge_pattern,
    right=[Example((_MATCH,), _paired()), Example((_MATCH,), _paired(("u", "a", "b")))],
    wrong=[
        Example(
            (_MATCH,),
            _paired(abroad=False),
            "Two payments in one country are a pair here: the second must be made in another country.",
        ),
        Example(
            (_MATCH,),
            _paired(more=True),
            "Two payments of exactly 1,000 EUR together are enough: *or more* holds the 1,000, too.",
        ),
        Example((_MATCH,), _paired(worth=False), "Small pairs are found, too: together they must be worth 1,000 EUR."),
        Example((_MATCH,), _paired(each=True), "The two together must be worth 1,000 EUR, not one of them alone."),
        Example((_MATCH,), _paired(within=False), "Pairs are found that lie more than an hour apart."),
        Example(
            (_MATCH,),
            _paired(skip=True),
            "A payment that ends one pair may begin the next: say AFTER MATCH SKIP TO NEXT ROW.",
        ),
        Example((_MATCH,), _answered({(1, 1, 2)}, _PAIR_COLUMNS), "These are other pairs."),
        Example((_MATCH,), _answered(_ids(2)), "The answer needs three columns."),
        Example(
            (_MATCH,),
            Answer(_PAIR_COLUMNS, frozenset(_pairs(_BANK)), _BANK),
            _NO_EXACT_PAIR,
        ),
        Example((_MATCH,), _answered(None, _PAIR_COLUMNS), "Your pattern still reads the topic."),
    ],
    patience_s=40,
)


LAB = Lab(
    number="07",
    name="make-it-yours",
    title="Make it yours",
    exercises=(THRESHOLD, RULES, OVER, PATTERN),
)
