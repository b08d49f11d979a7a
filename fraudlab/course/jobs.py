"""What a job of a notebook reads and writes, and what came of it: payments with event time, records by key, activities."""

import copyreg
import struct
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pandas as pd

from fraudlab.course.exercise import PLACEHOLDER, NotSolvedYet, call
from fraudlab.course.live import LiveQuery
from fraudlab.course.workspace import FIRST_OWN_USER, Workspace, in_eur, wait_until
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
  ${idleness}
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


class Trial:
    """A learner's operator in this process: each user has a state of their own, and a crash loses whatever else it remembers."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._states = make, dict[int, ValueOfOneUser]()
        self.operator = make()

    def crash(self) -> None:
        """Goes on with a new instance of the operator."""
        self.operator = self._make()

    def process_element(self, user: int, value: str, context: object) -> list[Any]:
        """The rows that the operator sends for a record of this user. Raises AnswerFailed."""
        self.operator._user = self._states.setdefault(user, ValueOfOneUser())  # noqa: SLF001 - as `open` would, which asks a cluster for it

        def process_element(value: str) -> list[Any]:
            return list(self.operator.process_element(value, context) or ())

        return list(call(process_element, value))


def values(workspace: Workspace) -> dict[str, object]:
    """What SQL of a notebook may leave open: `${rates}`, `${min_countries}`, `${threshold_eur}`, `${learner}`, addresses and names."""
    from fraudlab.pipeline.flink import kafka_values

    return kafka_values(workspace.kafka, workspace.names, "notebook") | {
        "learner": workspace.settings.learner,
        "rates": eur_rate_cases(),
        "min_countries": workspace.settings.min_countries,
        "threshold_eur": workspace.settings.threshold_eur,
    }


def environments(workspace: Workspace) -> tuple[Any, Any]:
    """Returns the two environments in which you write a job: of the DataStream API, and of SQL.

    The job runs on the cluster, with parallelism 1, and checkpoints often, so that results arrive often.

    Example:
        environment, tables = lab.environments()
    """
    environment, tables = workspace.cluster(execution__checkpointing__interval=HAND_OUT_EVERY).table_environment()
    environment.set_parallelism(1)
    return environment, tables


def read_payments(workspace: Workspace, tables: Any, *, delay_minutes: int, bounded: bool, idle_s: int = 0) -> None:
    """Makes the tables `transaction_mid` (payments with their profile) and `payments` (the same with amounts in EUR cents).

    Args:
        tables: The SQL environment of `lab.environments()`.
        delay_minutes: How far the watermark is behind the latest payment. Each partition has its own, and the slowest one counts. The event
            time is `transaction_time`.
        bounded: Whether the job ends with what is in the topic now. Then the last watermark closes every window.
        idle_s: After how many seconds without records a partition is idle; 0 means never.

    Example:
        lab.read_payments(tables, delay_minutes=5, bounded=True)
    """
    tables.get_config().set("table.local-time-zone", "UTC")
    mode = "latest-offset" if bounded else "unbounded"
    idleness = f"'scan.watermark.idle-timeout' = '{idle_s} s'," if idle_s else ""
    own = {"delay_minutes": delay_minutes, "bounded_mode": mode, "idleness": idleness}
    for statement in fill(_PAYMENTS, values(workspace) | own):
        tables.execute_sql(statement)


def payment_stream(
    workspace: Workspace, tables: Any, *, delay_minutes: int, bounded: bool, idle_s: int = 0, where: str = "TRUE"
) -> Any:
    """Returns the joined payments as a data stream, with event time and watermarks.

    An element is a row: `transaction_id`, `user_id`, `time` (a datetime in UTC), `country` and `eur` (Decimal).

    Args:
        tables: The SQL environment of `lab.environments()`.
        delay_minutes: How far the watermark is behind the latest payment of the slowest partition.
        bounded: Whether the job ends with what is in the topic now.
        idle_s: After how many seconds without records a partition is idle; 0 means never.
        where: A condition in SQL, for some of the payments only.

    Example:
        payments = lab.payment_stream(tables, delay_minutes=5, bounded=True)
    """
    from pyflink.common import Row

    read_payments(workspace, tables, delay_minutes=delay_minutes, bounded=bounded, idle_s=idle_s)
    # Python gets times as objects of Java, so they cross as text, too. Without the column itself records would have no event time.
    columns = (
        "transaction_id, user_id, CAST(transaction_time AS STRING) AS time_text, country, eur_cents, transaction_time"
    )
    rows = tables.sql_query(f"SELECT {columns} FROM payments WHERE {where}")  # noqa: S608 - the learner's own condition

    def payment(row: Any) -> Any:
        return Row(
            transaction_id=row[0],
            user_id=row[1],
            time=datetime.fromisoformat(row[2]),
            country=row[3],
            eur=Decimal(row[4]) / 100,
        )

    return tables.to_data_stream(rows).map(payment)


def sql(workspace: Workspace, tables: Any, statement: str) -> None:
    """Runs a statement that defines something, such as CREATE VIEW.

    `${rates}`, `${min_countries}` and `${threshold_eur}` are replaced with the pipeline's values, `${learner}` with your name, and
    `${kafka_options}` and `${transactions}` with Kafka's address and the topic's name.

    Raises:
        NotSolvedYet: The statement still has the placeholder.

    Example:
        lab.sql(tables, "CREATE TEMPORARY VIEW large AS SELECT * FROM payments WHERE eur_cents >= ${threshold_eur} * 100")
    """
    if PLACEHOLDER in statement:
        raise NotSolvedYet(f"A statement is still to do: put your own lines where it says `{PLACEHOLDER}`.")
    (filled,) = fill(statement, values(workspace))
    tables.execute_sql(filled.rstrip("; \n"))


def watch(workspace: Workspace, tables: Any, what: Any, name: str) -> LiveQuery:
    """Runs a query or a data stream as a job and lets you watch its results.

    Args:
        tables: The SQL environment of `lab.environments()`.
        what: A query, or a data stream whose rows have names.
        name: The job's name. A job of yours with this name is replaced.

    Returns:
        The running query: `.answer()`, `.changes()`, `.wait(…)`, `.stop()`.

    Example:
        lab.watch(tables, "SELECT country, COUNT(*) AS payments FROM payments GROUP BY country", "per-country")
    """
    workspace.cancel(name)
    configuration = tables.get_config()
    configuration.set("pipeline.name", workspace.names.job(name))
    if isinstance(what, str):
        (query,) = fill(what, values(workspace))
        return LiveQuery(workspace, name, tables.execute_sql(query.rstrip("; \n")))
    return LiveQuery(workspace, name, tables.from_data_stream(what).execute())


def keyed_transactions(workspace: Workspace, tables: Any) -> Any:
    """Returns `transaction_mid` as the detector reads it: a stream of strings `partition:offset:value`, keyed by user.

    Example:
        found = lab.keyed_transactions(tables).process(MyDetector())
    """
    from fraudlab.pipeline import detector

    return detector.keyed_transactions(tables, values(workspace) | {"bounded_mode": "unbounded"})


def write_records(workspace: Workspace, tables: Any, rows: Any) -> None:
    """Writes a stream of rows `(topic, key, value)` to the topics `suspicious_activities` and `dead_letters`, as the detector does.

    Example:
        lab.write_records(tables, found)
    """
    topics = (workspace.names.suspicious_activities, workspace.names.dead_letters)
    for statement in statements("records.sql", values(workspace) | {"sink_topics": ";".join(topics)}):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(rows))
    inserts.attach_as_datastream()


def payments(workspace: Workspace) -> pd.DataFrame:
    """Shows every payment that the bank has stored.

    Returns:
        A row per payment: its amount in EUR (Decimal), the time of the payment and the time at which it was stored, and its label
        (None for an honest payment).
    """
    rows = workspace.rows(
        "SELECT transaction_id, user_id, country, amount, currency, transaction_time, created_at, scenario AS label"
        " FROM transactions LEFT JOIN fraud_labels USING (transaction_id) ORDER BY transaction_id"
    )
    for row in rows:
        row["eur"] = in_eur(row.pop("amount"), row.pop("currency"))
    columns = ["transaction_id", "user_id", "country", "eur", "transaction_time", "created_at", "label"]
    return pd.DataFrame(rows, columns=columns)


def activities(
    workspace: Workspace, user_id: int | None = None, at_least: int = 0, topic: str = "suspicious_activities"
) -> pd.DataFrame:
    """Shows the suspicious activities that were found, or those of one user. Waits until there are `at_least` of them.

    Returns:
        A row per activity, in order of detection. `transaction_id` is the payment whose hour it is; `detected_after_ms` counts from
        the bank's commit of the payment that caused it.

    Example:
        lab.activities(ada, at_least=1)
    """

    def read() -> dict[str, Activity]:
        found = [read_activity(record.value) for record in workspace.records(topic)]
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


def largest_hours(workspace: Workspace) -> pd.DataFrame:
    """Shows the customers who paid in two countries within an hour, with the largest total of such an hour.

    Returns:
        A row per customer: `user_id`, `eur` (Decimal), and whether the account was `robbed`. A rule with another threshold accuses
        those at or above it. Accounts that you opened are left out.
    """
    found = payments(workspace)
    found = found[found["user_id"] < FIRST_OWN_USER]
    robbed = set(found.loc[found["label"].notna(), "user_id"])
    hour = timedelta(seconds=workspace.settings.window_s)
    rows = []
    for user_id, same in found.groupby("user_id"):
        paid = sorted(zip(same["transaction_time"], same["country"], same["eur"], strict=True))
        most = Decimal(0)
        for end, _, _ in paid:
            inside = [(country, eur) for time, country, eur in paid if end - hour < time <= end]
            if len({country for country, _ in inside}) >= workspace.settings.min_countries:
                most = max(most, sum((eur for _, eur in inside), Decimal(0)))
        if most:
            rows.append((user_id, most, user_id in robbed))
    return pd.DataFrame(rows, columns=["user_id", "eur", "robbed"]).sort_values("eur", ignore_index=True)


def read_rules(workspace: Workspace, tables: Any, topic: str) -> Any:
    """Returns a topic of your own as a data stream of strings, from its beginning.

    Example:
        rules = lab.read_rules(tables, "rules")
    """
    tables.execute_sql(f"""
        CREATE TEMPORARY TABLE rules (value_of_record STRING) WITH (
          'connector' = 'kafka',
          'topic' = '{workspace.names.group(topic)}',
          {sql_options(workspace.kafka.table_options())},
          'scan.startup.mode' = 'earliest-offset',
          'format' = 'raw'
        )""")
    return tables.to_data_stream(tables.from_path("rules")).map(lambda row: row[0])


def send(workspace: Workspace, topic: str, value: dict[str, Any]) -> None:
    """Writes a record without a key, as JSON, to a topic of your own.

    Example:
        lab.send("rules", {"threshold_eur": 800})
    """
    with closing(workspace.kafka.producer()) as producer:
        producer.send(workspace.names.group(topic), orjson.dumps(value)).get(timeout=10)
