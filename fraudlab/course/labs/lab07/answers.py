"""Answers to Lab 07, Make it yours: right and wrong ones. Only tests and `fraudlab course check` load them."""

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from fraudlab.course import jobs
from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab07.checks import Answer, Broadcast, Context, Paid, pairs, suspicious_payments
from fraudlab.pipeline.rule import Rule, judge

# 07.1


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


def _score_without_false_alarms(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    return 1.0, _score_by_sets(hours, robbed, threshold)[1]


def _score_of_every_hour(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    return _score_by_sets(hours, robbed, threshold)[0], _score_by_sets(hours, robbed, 0)[1]


def _score_without_care(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    accused = _accused(hours, threshold)
    return len(accused & set(robbed)) / len(accused), len(accused & set(robbed)) / len(robbed)


def _score_with_hits_only(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    precision, recall = _score_by_sets(hours, robbed, threshold)
    return precision or 1.0, recall


def _score_over_the_robbed(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, float]:
    share = len(_accused(hours, threshold) & set(robbed)) / len(robbed)
    return share, share


def _score_in_percent(hours: pd.DataFrame, robbed: Collection[int], threshold: int) -> tuple[float, ...]:
    return tuple(100 * share for share in _score_by_sets(hours, robbed, threshold))


THRESHOLD = Answers(
    right=[Example((_score_by_sets,)), Example((_score_by_column,))],
    wrong=[
        Example((_score_of_those_seen,), mistake="recall_of_those_seen"),
        Example((lambda *given: tuple(reversed(_score_by_sets(*given))),), mistake="shares_swapped"),
        Example((_score_over_the_robbed,), mistake="precision_of_the_robbed"),
        Example((_score_in_percent,), mistake="not_a_share"),
        Example((_score_with_hits_only,), mistake="all_false"),
        Example((_score_without_false_alarms,), mistake="other_precision"),
        Example((_score_of_every_hour,), mistake="other_recall"),
        Example((_score_above,), mistake="more_than_threshold"),
        Example((_score_without_care,), mistake="nobody_accused"),
        Example((lambda hours, robbed, threshold: None,), mistake="no_return"),
        Example((lambda hours, robbed, threshold: 0.5,), mistake="unreadable"),
    ],
)


# 07.2


KEY = "threshold_eur_cents"


class _Model:
    """The detector of the notebook, as a learner may have written it; the subclasses change a part."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._user: Any = None

    def keep(self, state: Broadcast, cents: int) -> None:
        state.put(KEY, cents)

    def kept(self, state: Broadcast) -> int | None:
        return state.get(KEY)

    def cents(self, eur: int) -> int:
        return eur * 100

    def history(self) -> bytes:
        return self._user.value() or b""

    def process_broadcast_element(self, value: str, ctx: Context) -> None:
        self.keep(ctx.get_broadcast_state(None), self.cents(json.loads(value)["threshold_eur"]))

    def process_element(self, value: str, ctx: Context) -> Any:
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

    def keep(self, state: Broadcast, cents: int) -> None:
        self.kept_cents = cents

    def kept(self, state: Broadcast) -> int | None:
        return self.kept_cents


class _Deaf(_Model):
    def kept(self, state: Broadcast) -> int | None:
        return None


class _InEuro(_Model):
    def cents(self, eur: int) -> int:
        return eur


class _TenTimes(_Model):
    def cents(self, eur: int) -> int:
        return eur * 1000


class _FirstRuleOnly(_Model):
    def keep(self, state: Broadcast, cents: int) -> None:
        state.setdefault(KEY, cents)


class _Zero(_Model):
    def kept(self, state: Broadcast) -> int | None:
        return state.get(KEY) or 0


class _Forgetful(_Model):
    def process_broadcast_element(self, value: str, ctx: Context) -> None:
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

    def kept(self, state: Broadcast) -> int | None:
        self._rule_now = state.get(KEY)
        return self._rule_now


class _Otherwise(_Model):
    def kept(self, state: Broadcast) -> int | None:
        return state[KEY] if state.contains(KEY) else None


RULES = Answers(
    right=[Example((_Model,)), Example((_Otherwise,))],
    wrong=[
        Example((_Deaf,), mistake="threshold_ignored"),
        Example((_TenTimes,), mistake="theft_missed"),
        Example((_InEuro,), mistake="threshold_ignored"),
        Example((_Forgetful,), mistake="payments_forgotten"),
        Example((_FirstRuleOnly,), mistake="first_rule_kept"),
        Example((_InSelf,), mistake="rule_in_self"),
        Example((_Zero,), mistake="no_rule_yet"),
        Example((7,), mistake="unreadable"),
    ],
)


# 07.3 and 07.4: a query of the learner's, run once on Flink to the end of the topic

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

OVER = Answers(
    right=[
        Example((_VIEW,), _answered(_suspicious_rows := {(one,) for one in suspicious_payments(_BANK)})),
        Example(("create temporary view hours as …",), _answered(list(_suspicious_rows))),
    ],
    wrong=[
        Example((_VIEW,), _answered({(one,) for one in suspicious_payments(_BANK, closed=True)}), "closed_hour"),
        Example((_VIEW,), _answered({(one,) for one in suspicious_payments(_BANK, length=None)}), "unbounded"),
        Example((_VIEW,), _answered({(one,) for one in suspicious_payments(_BANK, by_user=False)}), "not_partitioned"),
        Example(("… ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",), _answered(_ids(2, 13)), "rows_for_range"),
        Example((_VIEW,), _answered(_ids(2)), "other_hours"),
        Example((_VIEW,), _answered(None), waits="still reads"),
        Example(
            (_VIEW,),
            Answer(("transaction_id",), frozenset(_ids(13)), tuple(one for one in _BANK if one.user_id == 7)),
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
    return Answer(columns, frozenset(pairs(_MORE, **mistake)), _MORE)


_MATCH = "SELECT * FROM payments MATCH_RECOGNIZE (…)"

PATTERN = Answers(
    right=[Example((_MATCH,), _paired()), Example((_MATCH,), _paired(("u", "a", "b")))],
    wrong=[
        Example((_MATCH,), _paired(abroad=False), "same_country"),
        Example((_MATCH,), _paired(more=True), "more_than_threshold_pair"),
        Example((_MATCH,), _paired(worth=False), "small_pairs"),
        Example((_MATCH,), _paired(each=True), "each_alone"),
        Example((_MATCH,), _paired(within=False), "more_than_an_hour"),
        Example((_MATCH,), _paired(skip=True), "pairs_skipped"),
        Example((_MATCH,), _answered({(1, 1, 2)}, _PAIR_COLUMNS), "other_pairs"),
        Example((_MATCH,), _answered(_ids(2)), "three_columns"),
        Example((_MATCH,), Answer(_PAIR_COLUMNS, frozenset(pairs(_BANK)), _BANK), "no_exact_pair"),
        Example((_MATCH,), _answered(None, _PAIR_COLUMNS), waits="still reads"),
    ],
    mutants=False,
)

ANSWERS = {"07.1": THRESHOLD, "07.2": RULES, "07.3": OVER, "07.4": PATTERN}
