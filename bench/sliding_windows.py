"""The rule as Flink's documentation teaches windows: an hour that slides by a minute, and an AggregateFunction.

It answers another question: windows begin at full minutes, so payments that are almost an hour apart may share none, and payments a
minute apart are told of in 59 windows. Each payment belongs to 60 windows, so it is added 60 times.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import cloudpickle
import orjson
from pyflink.common import Row, Time, Types
from pyflink.datastream import AggregateFunction, DataStream, ProcessWindowFunction
from pyflink.datastream.window import SlidingEventTimeWindows, TimeWindow
from pyflink.table import StreamTableEnvironment

from fraudlab.pipeline.rule import Rule

SLIDE_S = 60
FOUND = Types.ROW_NAMED(["found"], [Types.STRING()])
Accumulator = tuple[int, str]
"""EUR cents, and the countries in one text, each with a comma after it."""


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the TaskManager cannot import it


class Total(AggregateFunction):  # type: ignore[misc] # PyFlink is untyped
    """Adds up the payments of a window: rows `(user_id, eur_cents, country, …)`."""

    def create_accumulator(self) -> Accumulator:
        """Nothing paid yet."""
        return 0, ""

    def add(self, value: Any, accumulator: Accumulator) -> Accumulator:
        """One payment more."""
        cents, countries = accumulator
        country = f"{value[2]},"
        return cents + value[1], countries if country in countries else countries + country

    def get_result(self, accumulator: Accumulator) -> Accumulator:
        """As it is."""
        return accumulator

    def merge(self, a: Accumulator, b: Accumulator) -> Accumulator:
        """Two windows as one. Sliding windows are never merged."""
        missing = "".join(f"{one}," for one in b[1].split(",")[:-1] if f"{one}," not in a[1])
        return a[0] + b[0], a[1] + missing


class Suspicious(ProcessWindowFunction):  # type: ignore[misc] # PyFlink is untyped
    """The windows that meet the rule, as JSON."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def process(
        self, key: int, context: ProcessWindowFunction.Context[TimeWindow], elements: Iterable[Accumulator]
    ) -> Iterator[Row]:
        """At most one row."""
        ((cents, countries),) = elements
        if countries.count(",") >= self._rule.min_countries and cents >= self._rule.threshold_eur_cents:
            found = {"user_id": key, "window_end": context.window().end, "total_eur_cents": cents}
            yield Row(orjson.dumps(found).decode())


def windows(tables: StreamTableEnvironment, rule: Rule) -> DataStream:
    """What is found in the view `payments`, whose event time is that of its table."""
    payments = tables.to_data_stream(
        tables.sql_query("SELECT user_id, eur_cents, country, transaction_time FROM payments")
    )
    hour = SlidingEventTimeWindows.of(Time.milliseconds(rule.window_ms), Time.seconds(SLIDE_S))
    return (
        payments.key_by(lambda payment: payment[0], Types.INT())
        .window(hour)
        .aggregate(
            Total(),
            Suspicious(rule),
            accumulator_type=Types.TUPLE([Types.LONG(), Types.STRING()]),
            output_type=FOUND,
        )
    )
