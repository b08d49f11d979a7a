"""Answers to Lab 02, CDC ingestion: right and wrong ones. Only tests and `fraudlab course check` load them."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab02.checks import (
    Altered,
    Envelope,
    Ingestion,
    Repeated,
    Topic,
    envelope_of,
    observe_ingestion,
)

# 02.1


def _router(flat_map: Callable[[dict[str, str], Any, str], Iterable[Any] | None]) -> Callable[..., Any]:
    """A class like the notebook's, around a function of (topics, envelope, text)."""
    import orjson

    class RouteByTable:
        def __init__(self, topics: dict[str, str]) -> None:
            self._topics = topics

        def flat_map(self, value: str) -> Iterable[Any] | None:
            return flat_map(self._topics, orjson.loads(value), value)

    return RouteByTable


def _pipelines_own(topics: dict[str, str]) -> Any:
    from fraudlab.pipeline.cdc import RouteByTable  # here, since PyFlink takes seconds to import

    own = {"flat_map": inspect.unwrap(RouteByTable.flat_map)}  # without the check of its input
    return type("RouteByTable", (RouteByTable,), own)(topics)


def _row(*values: object) -> Any:
    from pyflink.common import Row

    return Row(*values)


def _either(envelope: Any) -> Any:
    return envelope["after"] or envelope["before"]


ROUTING = Answers(
    right=[
        Example((_pipelines_own,)),
        Example((_router(lambda t, e, v: [_row(t[e["source"]["table"]], f"{_either(e)['user_id']}", v)]),)),
        Example(
            (
                _router(
                    lambda t, e, v: (
                        _row(t[e["source"]["table"]], str(row["user_id"]), v)
                        for row in [e["before"] if e["op"] == "d" else e["after"]]
                    )
                ),
            )
        ),
    ],
    wrong=[
        Example(
            (_router(lambda t, e, v: [_row(t[e["source"]["table"]], str(e["after"]["user_id"]), v)]),),
            mistake="no_row_after",
        ),
        Example(
            (_router(lambda t, e, v: [_row(e["source"]["table"], str(_either(e)["user_id"]), v)]),),
            mistake="table_for_topic",
        ),
        Example(
            (_router(lambda t, e, v: [_row(t[e["source"]["table"]], _either(e)["user_id"], v)]),),
            mistake="key_not_text",
        ),
        Example(
            (_router(lambda t, e, v: [_row(t[e["source"]["table"]], str(_either(e).get("transaction_id", 8)), v)]),),
            mistake="keyed_by_payment",
        ),
        Example(
            (_router(lambda t, e, v: [_row(t[e["source"]["table"]], str(_either(e)["user_id"]), str(_either(e)))]),),
            mistake="envelope_changed",
        ),
        Example(
            (_router(lambda t, e, v: [_row(t["transactions"], str(_either(e)["user_id"]), v)]),), mistake="wrong_topic"
        ),
        Example(
            (_router(lambda t, e, v: [(t[e["source"]["table"]], str(_either(e)["user_id"]), v)]),),
            mistake="tuple_for_row",
        ),
        Example((_router(lambda t, e, v: None),), mistake="not_one_row"),
        Example(
            (_router(lambda t, e, v: [_row(t[e["source"]["table"]], e["source"]["table"], v)]),), mistake="wrong_key"
        ),
    ],
    equivalent={
        "return": "at the end of the function",
        "yield Row(self._topics[envelope['source']['table']], repr(row['user_id']), value)": "the text of a whole number, too",
    },
)


# 02.2

SUBMIT = observe_ingestion
"""In place of the learner's function: its check looks at what it did, not at the function."""

_FULL = {"user_profile": Topic(300, 300), "transactions": Topic(3000, 3000)}


def _ingestion(runs: int = 1, **topics: Topic) -> Ingestion:
    return Ingestion(runs, _FULL | topics)


INGESTION = Answers(
    right=[
        Example((SUBMIT,), _ingestion()),
        Example((SUBMIT,), _ingestion(transactions=Topic(2999, 3000))),  # a payment was deleted since
    ],
    wrong=[
        Example((SUBMIT,), _ingestion(user_profile=Topic(300, 0)), "table_forgotten", at_rest=True),
        Example((SUBMIT,), _ingestion(transactions=Topic(3000, 2900)), "rows_missing", at_rest=True),
        Example((SUBMIT,), Ingestion(1, _FULL, own=False), "not_your_job"),
        Example((5,), _ingestion(), "unreadable"),
        Example((SUBMIT,), _ingestion(2), "submitted_twice"),
        Example((SUBMIT,), _ingestion(user_profile=Topic(300, 300, strangers=("transactions",))), "topics_mixed_up"),
        Example((SUBMIT,), _ingestion(transactions=Topic(3000, 3000, bad_keys=2990)), "bad_keys"),
        Example((SUBMIT,), _ingestion(user_profile=Topic(300, 0, no_envelopes=300)), "no_envelopes"),
        Example(
            (SUBMIT,),
            _ingestion(transactions=Topic(3000, 1200)),
            waits="300 of 300 rows of `user_profile` and 1,200 of 3,000 rows of `transactions`",
        ),
        Example((SUBMIT,), _ingestion(0), waits="No job of yours"),
    ],
    mutants=False,
)


# 02.3

_CAPTURED = {"ada": "u", "ben": "", "cem": "dc", "dan": "uud"}

CHANGES = Answers(
    right=[
        Example((_CAPTURED,), _CAPTURED),
        Example(({"dan": ["u", "u", "d"], "cem": "d, c", "ben": [], "ada": "U"},), _CAPTURED),
    ],
    wrong=[
        Example((_CAPTURED | {"ben": "u"},), _CAPTURED, "nothing_changed"),
        Example((_CAPTURED | {"cem": "u"},), _CAPTURED, "replaced"),
        Example((_CAPTURED | {"cem": "cd"},), _CAPTURED, "replaced"),
        Example((_CAPTURED | {"dan": "d"},), _CAPTURED, "statements_merged"),
        Example((_CAPTURED | {"dan": "ud"},), _CAPTURED, "statements_merged"),
        Example((_CAPTURED | {"ada": "dc"},), _CAPTURED, "one_change"),
        Example((_CAPTURED | {"ben": "none"},), _CAPTURED, "unknown_kind"),
        Example(({"ada": "u"},), _CAPTURED, "name_missing"),
        Example((_CAPTURED,), {"ada": "u"}, waits="still on their way"),
        Example((4,), _CAPTURED, "unreadable"),
    ],
    observe=lambda _predicted: _CAPTURED,
)


# 02.4


def _right_by_dictionary(envelopes: Sequence[Envelope]) -> Decimal:
    payments = {one["after"]["transaction_id"]: Decimal(one["after"]["amount"]) for one in envelopes if one["after"]}
    return sum(payments.values(), Decimal(0))


def _right_by_seen(envelopes: Sequence[Envelope]) -> Any:
    seen, total = set(), Decimal(0)
    for one in envelopes:
        row = one["after"]
        if row["transaction_id"] not in seen:
            seen.add(row["transaction_id"])
            total += Decimal(row["amount"])
    return total


def _wrong_all(envelopes: Sequence[Envelope]) -> Any:
    return sum(Decimal(one["after"]["amount"]) for one in envelopes)


def _wrong_float(envelopes: Sequence[Envelope]) -> Any:
    return sum({one["after"]["transaction_id"]: float(one["after"]["amount"]) for one in envelopes}.values())


def _wrong_by_amount(envelopes: Sequence[Envelope]) -> Any:
    return sum({Decimal(one["after"]["amount"]) for one in envelopes})


def _wrong_neighbours(envelopes: Sequence[Envelope]) -> Any:
    total, last = Decimal(0), None
    for one in envelopes:
        if one["after"]["transaction_id"] != last:
            total += Decimal(one["after"]["amount"])
        last = one["after"]["transaction_id"]
    return total


def _wrong_by_kind(envelopes: Sequence[Envelope]) -> Any:
    return sum(
        {(one["op"], one["after"]["transaction_id"]): Decimal(one["after"]["amount"]) for one in envelopes}.values()
    )


def _wrong_without_snapshot(envelopes: Sequence[Envelope]) -> Any:
    return _right_by_seen([one for one in envelopes if one["op"] == "c"])


def _wrong_when_empty(envelopes: Sequence[Envelope]) -> Any:
    return _right_by_seen(envelopes) or Decimal("0.01")


_TWICE = Repeated(
    [envelope_of(1, "12.50"), envelope_of(2, "12.50"), envelope_of(1, "12.50"), envelope_of(2, "12.50")],
    Decimal("25.00"),
)

ONCE = Answers(
    right=[Example((_right_by_dictionary,), _TWICE), Example((_right_by_seen,), _TWICE)],
    wrong=[
        Example((_wrong_all,), _TWICE, "counted_twice"),
        Example((_wrong_by_amount,), _TWICE, "counted_by_amount"),
        Example((_wrong_neighbours,), _TWICE, "compared_with_last"),
        Example((_wrong_by_kind,), _TWICE, "counted_by_kind"),
        Example((_wrong_without_snapshot,), _TWICE, "snapshot_left_out"),
        Example((_wrong_float,), _TWICE, "float_money"),
        Example((_wrong_when_empty,), _TWICE, "no_sum"),
        Example((_right_by_seen,), Repeated(_TWICE.envelopes, Decimal("25.01")), "other_sum"),
        Example((len,), _TWICE, "wrong_sum"),
        Example((lambda envelopes: None,), _TWICE, "no_return"),
        Example((_right_by_dictionary,), Repeated((), Decimal(0)), waits="no payment twice"),
    ],
    observe=lambda _total: _TWICE,
    equivalent={
        "for envelope in reversed(list(envelopes)):": "a sum has no order",
        "return sum(amounts.values(), _same(0))": "a whole 0 is the sum of no payment, too",
    },
)

# 02.5

_ALTER = "ALTER TABLE user_profile ADD COLUMN newsletter BOOLEAN NOT NULL DEFAULT TRUE"
_NEW = Altered(("tinyint(1)", "NO", "1"), (), 305, 0, 1)

ADDED = Answers(
    right=[
        Example((_ALTER, 0), _NEW),
        Example(("alter table user_profile add newsletter bool default true not null after email;", 0.0), _NEW),
        Example(
            (_ALTER.replace("BOOLEAN", "TINYINT").replace("TRUE", "1"), 0), replace(_NEW, column=("tinyint", "NO", "1"))
        ),
    ],
    wrong=[
        Example((_ALTER, 305), _NEW, "each_row"),
        Example((_ALTER, 300), _NEW, "each_row"),
        Example((_ALTER, 1), _NEW, "an_envelope_of_its_own"),
        Example((_ALTER, 2), _NEW, "other_count"),
        Example((_ALTER, 0), replace(_NEW, column=None, others=("news_letter",)), "other_column"),
        Example((_ALTER, 0), replace(_NEW, column=("varchar(5)", "NO", "1")), "other_type"),
        Example((_ALTER, 0), replace(_NEW, column=("tinyint(1)", "YES", "1")), "null_allowed"),
        Example((_ALTER, 0), replace(_NEW, column=("tinyint(1)", "NO", None)), "no_default"),
        Example((_ALTER, 0), replace(_NEW, column=("tinyint(1)", "NO", "0")), "no_default"),
        Example((_ALTER, "none"), _NEW, "unreadable"),
        Example((5, 0), _NEW, "unreadable"),
        Example((_ALTER, 0), replace(_NEW, column=None), waits="no column `newsletter`"),
        Example((_ALTER, 0), replace(_NEW, with_column=0), waits="No envelope has the new column"),
    ],
    mutants=False,
)

ANSWERS = {"02.1": ROUTING, "02.2": INGESTION, "02.3": CHANGES, "02.4": ONCE, "02.5": ADDED}
