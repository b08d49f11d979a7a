"""What a job of a notebook reads and writes, and what came of it: payments with event time, records by key, activities."""

import copyreg
import struct
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pandas as pd

from fraudlab.course.live import LiveQuery
from fraudlab.course.world import FIRST_OWN_USER, World, in_eur, wait_until
from fraudlab.kafka_access import sql_options
from fraudlab.pipeline.records import Activity, moment, read_activity
from fraudlab.pipeline.statements import eur_rate_cases, fill, statements

# A function of a notebook travels to the cluster with the globals that it uses, and the rule uses packed structures.
copyreg.pickle(struct.Struct, lambda packed: (struct.Struct, (packed.format,)))

HAND_OUT_EVERY = "500 ms"
"""Answers of a streaming query are handed out at each checkpoint, so a job that a notebook watches has many."""

_PAYMENTS = """
CREATE TEMPORARY TABLE joined_payments (
  transaction_id BIGINT,
  user_id INT,
  user_suspicious_activity BOOLEAN,
  transaction_amount STRING,
  transaction_currency STRING,
  transaction_country STRING,
  transaction_time TIMESTAMP_LTZ(3),
  WATERMARK FOR transaction_time AS transaction_time - INTERVAL '${delay_minutes}' MINUTE
) WITH (
  'connector' = 'kafka',
  'topic' = '${transaction_mid}',
  ${kafka_options},
  'scan.startup.mode' = 'earliest-offset',
  'scan.bounded.mode' = '${bounded_mode}',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
)
//
-- A payment comes again when its user's profile comes after it, and when the account is stopped. SQL would count each; it gets the
-- version with the profile, of an account that is not stopped.
CREATE TEMPORARY VIEW transaction_mid AS
SELECT * FROM joined_payments WHERE NOT user_suspicious_activity
//
CREATE TEMPORARY VIEW payments AS
SELECT
  transaction_id,
  user_id,
  transaction_country AS country,
  CAST(ROUND(CAST(transaction_amount AS DECIMAL(12, 2)) * CASE transaction_currency ${rates} END, 2) * 100 AS BIGINT) AS eur_cents,
  transaction_time
FROM transaction_mid
//
"""


class ValueOfOneUser:
    """Flink's ValueState of one user in this process, for trying a function before it runs on the cluster."""

    def __init__(self) -> None:
        self._value: Any = None

    def value(self) -> Any:
        return self._value

    def update(self, value: Any) -> None:
        self._value = value


def values(world: World) -> dict[str, object]:
    """What SQL of a notebook may leave open: `${rates}`, `${min_countries}`, `${threshold_eur}`, addresses and names."""
    from fraudlab.pipeline.flink import kafka_values

    return kafka_values(world.kafka, world.names, "notebook") | {
        "rates": eur_rate_cases(),
        "min_countries": world.settings.min_countries,
        "threshold_eur": world.settings.threshold_eur,
    }


def environments(world: World) -> tuple[Any, Any]:
    """Where a job is written, in the DataStream API and in SQL: on the running cluster, with parallelism 1, answers handed out often."""
    environment, tables = world.cluster(execution__checkpointing__interval=HAND_OUT_EVERY).table_environment()
    environment.set_parallelism(1)
    return environment, tables


def read_payments(world: World, tables: Any, *, delay_minutes: int, bounded: bool) -> None:
    """Makes the table `transaction_mid`, payments with their profile, and `payments`, the same with amounts in EUR cents.

    `transaction_time` is their event time. Each partition has a watermark of its own, `delay_minutes` behind the latest payment in it; the
    slowest of them counts. `bounded` ends the job with what is in the topic now; then the last watermark closes every window.
    """
    tables.get_config().set("table.local-time-zone", "UTC")
    mode = "latest-offset" if bounded else "unbounded"
    for statement in fill(_PAYMENTS, values(world) | {"delay_minutes": delay_minutes, "bounded_mode": mode}):
        tables.execute_sql(statement)


def sql(world: World, tables: Any, statement: str) -> None:
    """Runs a statement that defines something, with what it leaves open filled in."""
    (filled,) = fill(statement, values(world))
    tables.execute_sql(filled.rstrip("; \n"))


def watch(world: World, tables: Any, what: Any, name: str) -> LiveQuery:
    """Runs a job that ends in a table which the notebook watches.

    Args:
        world: The learner's world.
        tables: The table environment in which `what` was made.
        what: A query, or a data stream whose rows have names.
        name: The job's name in Flink's web page, without the learner's prefix. A job of this name is replaced.
    """
    world.cancel(name)
    configuration = tables.get_config()
    configuration.set("pipeline.name", world.names.job(name))
    if isinstance(what, str):
        (query,) = fill(what, values(world))
        return LiveQuery(world, name, tables.execute_sql(query.rstrip("; \n")))
    return LiveQuery(world, name, tables.from_data_stream(what).execute())


def keyed_transactions(world: World, tables: Any) -> Any:
    """`transaction_mid` as the detector reads it: strings `partition:offset:value`, keyed by user."""
    from fraudlab.pipeline import detector

    return detector.keyed_transactions(tables, values(world) | {"bounded_mode": "unbounded"})


def write_records(world: World, tables: Any, rows: Any, topics: Sequence[str]) -> None:
    """Sends rows `(topic, key, value)` into topics, as the detector does; `topics` are their full names."""
    for statement in statements("records.sql", values(world) | {"sink_topics": ";".join(topics)}):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(rows))
    inserts.attach_as_datastream()


def payments(world: World) -> pd.DataFrame:
    """Every payment as the bank stored it: id, user, country, worth in EUR (Decimal), both times, and the label (None: honest)."""
    rows = world.rows(
        "SELECT transaction_id, user_id, country, amount, currency, transaction_time, created_at, scenario AS label"
        " FROM transactions LEFT JOIN fraud_labels USING (transaction_id) ORDER BY transaction_id"
    )
    for row in rows:
        row["eur"] = in_eur(row.pop("amount"), row.pop("currency"))
    columns = ["transaction_id", "user_id", "country", "eur", "transaction_time", "created_at", "label"]
    return pd.DataFrame(rows, columns=columns)


def activities(
    world: World, user_id: int | None = None, at_least: int = 0, topic: str = "suspicious_activities"
) -> pd.DataFrame:
    """The activities in a topic, each id once, in order of detection; waits until there are `at_least` so many.

    Columns: `user_id`, `transaction_id` (the payment whose hour it is), `countries`, `total_amount_eur`, `payments`, `window_end`,
    and `detected_after_ms`: from the bank's commit of the payment that made it known.
    """

    def read() -> dict[str, Activity]:
        found = [read_activity(record.value) for record in world.records(topic)]
        return {one.activity_id: one for one in reversed(found) if user_id is None or one.user_id == user_id}

    wait_until(lambda: len(read()) >= at_least, f"{at_least} activities in `{topic}`")
    rows = [
        (
            one.user_id,
            one.transaction_id,
            " ".join(one.countries),
            one.total_amount_eur,
            one.transaction_count,
            one.window_end,
            round((moment(one.detected_at) - moment(one.created_at)) / timedelta(milliseconds=1)),
        )
        for one in sorted(read().values(), key=lambda one: (one.detected_at, one.transaction_id))
    ]
    columns = [
        "user_id",
        "transaction_id",
        "countries",
        "total_amount_eur",
        "payments",
        "window_end",
        "detected_after_ms",
    ]
    return pd.DataFrame(rows, columns=columns)


def largest_hours(world: World) -> pd.DataFrame:
    """For each of the bank's own customers who paid in enough countries within an hour: the most that such an hour held.

    Columns: `user_id`, `eur` (Decimal), `robbed`. A rule with another threshold accuses those with at least so much.
    """
    found = payments(world)
    found = found[found["user_id"] < FIRST_OWN_USER]
    robbed = set(found.loc[found["label"].notna(), "user_id"])
    hour = timedelta(seconds=world.settings.window_s)
    rows = []
    for user_id, same in found.groupby("user_id"):
        paid = sorted(zip(same["transaction_time"], same["country"], same["eur"], strict=True))
        most = Decimal(0)
        for end, _, _ in paid:
            inside = [(country, eur) for time, country, eur in paid if end - hour < time <= end]
            if len({country for country, _ in inside}) >= world.settings.min_countries:
                most = max(most, sum((eur for _, eur in inside), Decimal(0)))
        if most:
            rows.append((user_id, most, user_id in robbed))
    return pd.DataFrame(rows, columns=["user_id", "eur", "robbed"]).sort_values("eur", ignore_index=True)


def read_rules(world: World, tables: Any, topic: str) -> Any:
    """A topic of the learner's own as a data stream of strings, from its beginning: each the value of a record."""
    tables.execute_sql(f"""
        CREATE TEMPORARY TABLE rules (value_of_record STRING) WITH (
          'connector' = 'kafka',
          'topic' = '{world.names.group(topic)}',
          {sql_options(world.kafka.table_options())},
          'scan.startup.mode' = 'earliest-offset',
          'format' = 'raw'
        )""")
    return tables.to_data_stream(tables.from_path("rules")).map(lambda row: row[0])


def send(world: World, topic: str, value: dict[str, Any]) -> None:
    """Writes a record, as JSON without a key, to a topic of the learner's own."""
    with closing(world.kafka.producer()) as producer:
        producer.send(world.names.group(topic), orjson.dumps(value)).get(timeout=10)
