"""Answers to Lab 07, Make it yours: right and wrong ones. Only tests and `fraudlab course check` load them."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pyflink.common import Row, Time, Types
from pyflink.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab07.checks import (
    FOUND_COLUMNS,
    NO_RULE,
    Answer,
    Paid,
    Watched,
    hours_of,
    pairs,
)
from fraudlab.course.rule_records import payment_of, threshold_cents
from fraudlab.pipeline.rule import Rule, judge

# 07.1

LIMITS = MapStateDescriptor("limits", Types.STRING(), Types.INT())


class _Limit:
    """The warm-up as a learner may have written it; the subclasses change a part."""

    def open(self, runtime_context: Any) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.INT()))

    def process_broadcast_element(self, limit: int, ctx: Any) -> None:
        ctx.get_broadcast_state(LIMITS).put("eur", limit)

    def limit(self, ctx: Any) -> int | None:
        found: int | None = ctx.get_broadcast_state(LIMITS).get("eur")
        return found

    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        user, eur = payment
        limit, total = self.limit(ctx), (self.total.value() or 0) + eur
        if limit is not None and total > limit:
            yield user, eur, limit
        else:
            self.total.update(total)


class _LimitByList(_Limit):
    def open(self, runtime_context: Any) -> None:
        self.paid = runtime_context.get_list_state(ListStateDescriptor("paid", Types.INT()))

    def process_element(self, payment: tuple[int, int], ctx: Any) -> Any:
        limit = self.limit(ctx)
        if limit is not None and sum(self.paid.get()) + payment[1] > limit:
            return [Row(*payment, limit)]
        self.paid.add(payment[1])
        return []


class _LimitByMap(_Limit):
    def open(self, runtime_context: Any) -> None:
        self.users = runtime_context.get_map_state(MapStateDescriptor("totals", Types.INT(), Types.INT()))

    def limit(self, ctx: Any) -> int | None:
        state = ctx.get_broadcast_state(LIMITS)
        return state.get("eur") if state.contains("eur") else None

    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        user, eur = payment
        limit, total = self.limit(ctx), (self.users.get(user) or 0) + eur
        if limit is None or total <= limit:
            self.users.put(user, total)
        else:
            yield user, eur, limit


class _NoLimitIsZero(_Limit):
    def limit(self, ctx: Any) -> int:
        return super().limit(ctx) or 0


class _EachAlone(_Limit):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        limit = self.limit(ctx)
        if limit is not None and payment[1] > limit:
            yield *payment, limit


class _FirstIsFree(_Limit):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        if self.total.value() is None:
            self.total.update(payment[1])
        else:
            yield from super().process_element(payment, ctx)


class _AtLimit(_Limit):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        limit, total = self.limit(ctx), (self.total.value() or 0) + payment[1]
        if limit is not None and total >= limit:
            yield *payment, limit
        else:
            self.total.update(total)


class _OneTotal(_Limit):
    def open(self, runtime_context: Any) -> None:
        self.sum = 0

    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        limit = self.limit(ctx)
        if limit is not None and self.sum + payment[1] > limit:
            yield *payment, limit
        else:
            self.sum += payment[1]


class _TotalsInSelf(_Limit):
    def open(self, runtime_context: Any) -> None:
        self.sums: dict[int, int] = {}

    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        (user, eur), limit = payment, self.limit(ctx)
        total = self.sums.get(user, 0) + eur
        if limit is not None and total > limit:
            yield user, eur, limit
        else:
            self.sums[user] = total


class _RefusedCounts(_Limit):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        limit, total = self.limit(ctx), (self.total.value() or 0) + payment[1]
        self.total.update(total)
        if limit is not None and total > limit:
            yield *payment, limit


class _NoTotalWithoutLimit(_Limit):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        if self.limit(ctx) is not None:
            yield from super().process_element(payment, ctx)


class _ZeroIsNone(_Limit):
    def limit(self, ctx: Any) -> int | None:
        return super().limit(ctx) or None


class _FirstLimit(_Limit):
    def process_broadcast_element(self, limit: int, ctx: Any) -> None:
        if self.limit(ctx) is None:
            super().process_broadcast_element(limit, ctx)


class _WrittenByPayments(_Limit):
    def process_element(self, payment: tuple[int, int], ctx: Any) -> Iterator[tuple[int, int, int]]:
        ctx.get_broadcast_state(LIMITS).put("eur", 7)
        yield from super().process_element(payment, ctx)


LIMIT = Answers(
    right=[Example((_Limit, LIMITS)), Example((_LimitByList, LIMITS)), Example((_LimitByMap, LIMITS))],
    wrong=[
        Example((_NoLimitIsZero, LIMITS), mistake="limit_before_any"),
        Example((_EachAlone, LIMITS), mistake="single_payments"),
        Example((_FirstIsFree, LIMITS), mistake="first_payment"),
        Example((_AtLimit, LIMITS), mistake="limit_itself_refused"),
        Example((_OneTotal, LIMITS), mistake="users_added_up"),
        Example((_TotalsInSelf, LIMITS), mistake="total_in_self"),
        Example((_RefusedCounts, LIMITS), mistake="refused_counts"),
        Example((_NoTotalWithoutLimit, LIMITS), mistake="nothing_before_limit"),
        Example((_ZeroIsNone, LIMITS), mistake="limit_zero"),
        Example((_FirstLimit, LIMITS), mistake="latest_limit"),
        Example((_WrittenByPayments, LIMITS), mistake="failed"),
        Example((_Limit, ValueStateDescriptor("limits", Types.INT())), mistake="failed"),
        Example((7, LIMITS), mistake="unreadable"),
    ],
    given={"LIMITS": LIMITS},
    equivalent={
        "user, eur = payment; total = (self.total.value() or 0) + eur": "the limit may be read after the total",
        "if limit != None and total > limit:": "an int says the same of != and of is not",
        "self.total = runtime_context.get_state(ValueStateDescriptor('eur', Types.INT()))": "another name of the state",
        "return": "nothing follows the yield",
    },
)


# 07.2

RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())
AS_PICKLE = MapStateDescriptor("thresholds", Types.STRING(), Types.PICKLED_BYTE_ARRAY())


def _forgotten_after(state: StateDescriptor, hours: int) -> StateDescriptor:
    state.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(hours)).build())
    return state


class _Detector:
    """The operator as a learner may have written it; the subclasses change a part."""

    hours = 2

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def open(self, runtime_context: Any) -> None:
        state = ValueStateDescriptor("history", Types.PICKLED_BYTE_ARRAY())
        self.history = runtime_context.get_state(_forgotten_after(state, self.hours))

    def process_broadcast_element(self, value: str, ctx: Any) -> Iterable[Any]:
        cents = threshold_cents(value)
        if cents is None:
            yield Row(*NO_RULE)
        else:
            self.keep(ctx, cents)
            yield Row("rule", 0, 0, cents)

    def keep(self, ctx: Any, cents: int) -> None:
        ctx.get_broadcast_state(RULES).put("cents", cents)

    def kept(self, ctx: Any) -> int | None:
        cents: int | None = ctx.get_broadcast_state(RULES).get("cents")
        return cents

    def now(self, ctx: Any) -> Rule:
        cents = self.kept(ctx)
        return self.rule if cents is None else replace(self.rule, threshold_eur_cents=cents)

    def process_element(self, value: str, ctx: Any) -> Iterator[Row]:
        (payment, user), rule = payment_of(value), self.now(ctx)
        verdict = judge(rule, self.read(user), payment)
        self.write(user, verdict.history)
        for hour in verdict.hours:
            yield Row("activity", user, hour.total_eur_cents, rule.threshold_eur_cents)

    def read(self, user: int) -> bytes:
        return self.history.value() or b""

    def write(self, user: int, history: bytes) -> None:
        self.history.update(history)


class _ByMap(_Detector):
    """The history in a map with one entry, another name of the threshold, rows as a list of tuples."""

    def open(self, runtime_context: Any) -> None:
        state = MapStateDescriptor("histories", Types.STRING(), Types.PICKLED_BYTE_ARRAY())
        self.histories = runtime_context.get_map_state(_forgotten_after(state, 48))

    def process_broadcast_element(self, value: str, ctx: Any) -> list[tuple[Any, ...]]:
        if (cents := threshold_cents(value)) is None:
            return [("no rule", 0, 0, 0)]
        ctx.get_broadcast_state(RULES)["now"] = cents
        return [("rule", 0, 0, cents)]

    def kept(self, ctx: Any) -> int | None:
        state = ctx.get_broadcast_state(RULES)
        return state["now"] if state.contains("now") else None

    def read(self, user: int) -> bytes:
        return self.histories.get("all") or b""

    def write(self, user: int, history: bytes) -> None:
        self.histories.put("all", history)


class _WholeRule(_Detector):
    """The whole rule in the broadcast state."""

    def keep(self, ctx: Any, cents: int) -> None:
        ctx.get_broadcast_state(AS_PICKLE).put("rule", replace(self.rule, threshold_eur_cents=cents))

    def now(self, ctx: Any) -> Rule:
        return ctx.get_broadcast_state(AS_PICKLE).get("rule") or self.rule


class _NoDefault(_Detector):
    def now(self, ctx: Any) -> Rule:
        return replace(self.rule, threshold_eur_cents=self.kept(ctx) or 0)


class _Quiet(_Detector):
    def process_broadcast_element(self, value: str, ctx: Any) -> Iterator[Row]:
        if (cents := threshold_cents(value)) is None:
            yield Row(*NO_RULE)
        else:
            self.keep(ctx, cents)


class _Deaf(_Detector):
    def kept(self, ctx: Any) -> None:
        return None


class _Swapped(_Detector):
    def process_element(self, value: str, ctx: Any) -> Iterator[Row]:
        for row in super().process_element(value, ctx):
            yield Row("activity", row[1], row[3], row[2])


class _TenTimes(_Detector):
    def keep(self, ctx: Any, cents: int) -> None:
        super().keep(ctx, cents * 10)


class _FirstRuleOnly(_Detector):
    def keep(self, ctx: Any, cents: int) -> None:
        if self.kept(ctx) is None:
            super().keep(ctx, cents)


class _Zero(_Detector):
    def kept(self, ctx: Any) -> int | None:
        return super().kept(ctx) or None


class _Forgetful(_Detector):
    """Forgets a history that was written under another rule."""

    def read(self, user: int) -> bytes:
        threshold, history = self.history.value() or (self.cents, b"")
        return history if threshold == self.cents else b""

    def write(self, user: int, history: bytes) -> None:
        self.history.update((self.cents, history))

    def now(self, ctx: Any) -> Rule:
        rule = super().now(ctx)
        self.cents = rule.threshold_eur_cents
        return rule


class _OneHistory(_Detector):
    kept_history = b""

    def read(self, user: int) -> bytes:
        return self.kept_history

    def write(self, user: int, history: bytes) -> None:
        self.kept_history = history


class _HistoryOfTheLast(_Detector):
    last: tuple[int, bytes] = (0, b"")

    def read(self, user: int) -> bytes:
        return self.last[1] if self.last[0] == user else b""

    def write(self, user: int, history: bytes) -> None:
        self.last = user, history


class _HistoriesInSelf(_Detector):
    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self.histories: dict[int, bytes] = {}

    def read(self, user: int) -> bytes:
        return self.histories.get(user, b"")

    def write(self, user: int, history: bytes) -> None:
        self.histories[user] = history


class _RuleInSelf(_Detector):
    cents: int | None = None

    def keep(self, ctx: Any, cents: int) -> None:
        self.cents = cents

    def kept(self, ctx: Any) -> int | None:
        return self.cents


class _WrittenWhenRaised(_Detector):
    def process_element(self, value: str, ctx: Any) -> Iterator[Row]:
        (payment, user), rule = payment_of(value), self.now(ctx)
        verdict = judge(rule, self.read(user), payment)
        if not verdict.hours:
            self.write(user, verdict.history)
        for hour in verdict.hours:
            yield Row("activity", user, hour.total_eur_cents, rule.threshold_eur_cents)


class _OneHour(_Detector):
    def process_element(self, value: str, ctx: Any) -> Iterator[Row]:
        yield from list(super().process_element(value, ctx))[:1]


class _Poison(_Detector):
    def process_broadcast_element(self, value: str, ctx: Any) -> Iterator[Row]:
        cents = int(threshold_cents(value))  # type: ignore[arg-type]
        self.keep(ctx, cents)
        yield Row("rule", 0, 0, cents)


class _Silent(_Detector):
    def process_broadcast_element(self, value: str, ctx: Any) -> Iterator[Row]:
        if threshold_cents(value) is not None:
            yield from super().process_broadcast_element(value, ctx)


class _BrokenApplies(_Detector):
    def process_broadcast_element(self, value: str, ctx: Any) -> Iterator[Row]:
        if threshold_cents(value) is None:
            self.keep(ctx, self.rule.threshold_eur_cents)
        yield from super().process_broadcast_element(value, ctx)


class _ForEver(_Detector):
    def open(self, runtime_context: Any) -> None:
        self.history = runtime_context.get_state(ValueStateDescriptor("history", Types.PICKLED_BYTE_ARRAY()))


class _LateTimeToLive(_Detector):
    def open(self, runtime_context: Any) -> None:
        state = ValueStateDescriptor("history", Types.PICKLED_BYTE_ARRAY())
        self.history = runtime_context.get_state(state)
        _forgotten_after(state, 2)


class _AnHour(_Detector):
    hours = 1


class _OtherDescriptor(_Detector):
    def keep(self, ctx: Any, cents: int) -> None:
        ctx.get_broadcast_state(MapStateDescriptor("rule", Types.STRING(), Types.LONG())).put("cents", cents)


CHANGEABLE = Answers(
    right=[Example((_Detector, RULES)), Example((_ByMap, RULES)), Example((_WholeRule, AS_PICKLE))],
    wrong=[
        Example((_NoDefault, RULES), mistake="no_rule_yet"),
        Example((_Quiet, RULES), mistake="rule_not_told"),
        Example((_Deaf, RULES), mistake="threshold_ignored"),
        Example((_Swapped, RULES), mistake="other_row"),
        Example((_TenTimes, RULES), mistake="theft_missed"),
        Example((_FirstRuleOnly, RULES), mistake="first_rule_kept"),
        Example((_Forgetful, RULES), mistake="payments_forgotten"),
        Example((_Zero, RULES), mistake="threshold_zero"),
        Example((_OneHistory, RULES), mistake="users_mixed"),
        Example((_WrittenWhenRaised, RULES), mistake="duplicate_counts"),
        Example((_HistoryOfTheLast, RULES), mistake="history_of_the_last"),
        Example((_HistoriesInSelf, RULES), mistake="history_in_self"),
        Example((_RuleInSelf, RULES), mistake="rule_in_self"),
        Example((_OneHour, RULES), mistake="one_hour_only"),
        Example((_Poison, RULES), mistake="poison_rule"),
        Example((_Silent, RULES), mistake="broken_rule_silent"),
        Example((_BrokenApplies, RULES), mistake="broken_rule_applies"),
        Example((_ForEver, RULES), mistake="never_forgets"),
        Example((_AnHour, RULES), mistake="forgets_too_soon"),
        Example((_LateTimeToLive, RULES), mistake="never_forgets"),
        Example((_OtherDescriptor, RULES), mistake="threshold_ignored"),
        Example((_Detector, ValueStateDescriptor("rules", Types.LONG())), mistake="failed"),
        Example((7, RULES), mistake="unreadable"),
    ],
    equivalent={
        **{
            f"RULES = MapStateDescriptor('{name}', Types.STRING(), Types.LONG())": "another name of the state"
            for name in ("activity", "cents", "history", "no rule", "rule")
        },
        **{
            f"history = ValueStateDescriptor('{name}', Bytes())": "another name of the state"
            for name in ("activity", "cents", "no rule", "rule", "rules")
        },
        **{
            f"history.enable_time_to_live(StateTtlConfig.new_builder(Time.hours({hours})).build())": "kept for longer"
            for hours in (3, 20)
        },
        "verdict = judge(rule, self.history.value(), payment)": "to `judge`, None is no history, too",
        "def process_element(self, record, ctx):; cents = ctx.get_broadcast_state(RULES).get('cents')": "read in another order",
        "yield Row('activity', user, hour.total_eur_cents, rule.threshold_eur_cents); self.history.update(verdict.history)": (
            "written after the rows"
        ),
        "else:; yield Row('rule', 0, 0, cents)": "written after the row",
        "return": "nothing follows the yield",
    },
)


# 07.3

_ROBBED = frozenset({11, 117})
_QUERY = object()


def _watched(*rows: tuple[Any, ...], columns: tuple[str, ...] = FOUND_COLUMNS) -> Watched:
    return Watched(columns, rows, _ROBBED)


_ALL = (("activity", 11, 150_000, 100_000), ("activity", 117, 100_000, 100_000), ("activity", 117, 100_500, 100_000))

CONNECTED = Answers(
    right=[
        Example((_QUERY,), _watched(*_ALL)),
        Example((_QUERY,), _watched(*_ALL, ("rule", 0, 0, 50_000), ("activity", 1_000_001, 60_000, 50_000))),
        Example((_QUERY,), _watched(*reversed(_ALL), NO_RULE)),
    ],
    wrong=[
        Example((_QUERY,), _watched(*_ALL, columns=("f0",)), "other_columns"),
        Example((_QUERY,), _watched(_ALL[0]), "other_customers", at_rest=True),
        Example((_QUERY,), _watched(*((*row[:3], 200_000) for row in _ALL)), "other_customers", at_rest=True),
        Example((_QUERY,), _watched(), waits="0 of 2"),
        Example((_QUERY,), _watched(*_ALL[1:]), waits="1 of 2"),
    ],
    mutants=False,
)


# 07.4 and 07.5: a query of the learner's, run once on Flink to the end of the topic

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


def _answered(rows: Collection[tuple[Any, ...]] | None, columns: tuple[str, ...]) -> Answer:
    return Answer(columns, None if rows is None else tuple(rows), _BANK)


_VIEW = "CREATE TEMPORARY VIEW hours AS …"
_HOUR_COLUMNS = ("transaction_id", "user_id", "eur_cents", "countries")
_USER_OF = {one.transaction_id: one.user_id for one in _BANK}


def _viewed(hours: dict[int, tuple[Any, Any]], view: str = _VIEW) -> tuple[tuple[str], Answer]:
    rows = [(one, _USER_OF[one], *hour) for one, hour in hours.items()]
    return (view,), _answered(rows, _HOUR_COLUMNS)


_HOURS = hours_of(_BANK)
_OF_SEVEN = tuple(one for one in _BANK if one.user_id == 7)

OVER = Answers(
    right=[
        Example(*_viewed(_HOURS)),
        Example(*_viewed(dict(reversed(_HOURS.items())), "-- rows\ncreate view hours as …")),
        Example(*_viewed({one: (Decimal(cents), countries) for one, (cents, countries) in _HOURS.items()})),
    ],
    wrong=[
        Example(*_viewed(hours_of(_BANK, closed=True)), "closed_hour"),
        Example(*_viewed(hours_of(_BANK, length=None)), "unbounded"),
        Example(*_viewed(hours_of(_BANK, distinct=False)), "payments_for_countries"),
        Example(
            *_viewed({one: (cents / 100, countries) for one, (cents, countries) in _HOURS.items()}), "eur_for_cents"
        ),
        Example(*_viewed({one: hour[::-1] for one, hour in _HOURS.items()}), "total_and_countries_swapped"),
        Example(*_viewed(_HOURS | {8: (500_000, 2)}), "not_partitioned"),
        Example(
            *_viewed(_HOURS | {3: (1, 1)}, "CREATE VIEW hours AS … ROWS BETWEEN 1 PRECEDING AND CURRENT ROW"),
            "rows_for_range",
        ),
        Example(*_viewed(_HOURS | {3: (1, 1)}, "CREATE VIEW hours AS … -- ROWS"), "other_hours"),
        Example(*_viewed({one: hour for one, hour in _HOURS.items() if hour[1] > 1}), "not_each_payment"),
        Example((_VIEW,), _answered([(1, 1, *_HOURS[1])] * 2, _HOUR_COLUMNS), "not_each_payment"),
        Example((_VIEW,), _answered(None, _HOUR_COLUMNS), waits="still reads"),
        Example(
            (_VIEW,),
            Answer(_HOUR_COLUMNS, tuple((one, 7, *hour) for one, hour in hours_of(_OF_SEVEN).items()), _OF_SEVEN),
            "no_edge",
        ),
    ],
    mutants=False,
)

_PAIR_COLUMNS = ("user_id", "first_payment", "second_payment")

_MORE = (
    *_BANK,
    *(_at(16, 9, 700, "DE", 900), _at(17, 9, 701, "FR", 900), _at(18, 9, 702, "DE", 900)),
    *(_at(19, 10, 710, "DE", 500), _at(20, 10, 720, "FR", 500)),
)


def _paired(columns: tuple[str, ...] = _PAIR_COLUMNS, **mistake: bool) -> Answer:
    return Answer(columns, tuple(pairs(_MORE, **mistake)), _MORE)


_MATCH = "SELECT * FROM payments MATCH_RECOGNIZE (…)"

PATTERN = Answers(
    right=[
        Example((_MATCH,), _paired()),
        Example((_MATCH,), _paired(("u", "a", "b"))),
        Example((_MATCH,), Answer(_PAIR_COLUMNS, tuple(sorted(pairs(_MORE), reverse=True)), _MORE)),
    ],
    wrong=[
        Example((_MATCH,), _paired(abroad=False), "same_country"),
        Example((_MATCH,), _paired(more=True), "more_than_threshold_pair"),
        Example((_MATCH,), _paired(worth=False), "small_pairs"),
        Example((_MATCH,), _paired(each=True), "each_alone"),
        Example((_MATCH,), _paired(within=False), "more_than_an_hour"),
        Example((_MATCH,), _paired(skip=True), "pairs_skipped"),
        Example((_MATCH,), _answered([(1, 1, 2)], _PAIR_COLUMNS), "other_pairs"),
        Example((_MATCH,), _answered([(9, 1, 14)], _PAIR_COLUMNS), "pairs_of_two_users"),
        Example((_MATCH,), _answered([(2,)], ("transaction_id",)), "three_columns"),
        Example((_MATCH,), Answer(_PAIR_COLUMNS, tuple(pairs(_BANK)), _BANK), "no_exact_pair"),
        Example((_MATCH,), _answered(None, _PAIR_COLUMNS), waits="still reads"),
    ],
    mutants=False,
)

ANSWERS = {"07.1": LIMIT, "07.2": CHANGEABLE, "07.3": CONNECTED, "07.4": OVER, "07.5": PATTERN}
