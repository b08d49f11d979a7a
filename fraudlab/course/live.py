"""A streaming query on the running Flink cluster, whose answer a notebook watches as it changes."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from string import Template
from typing import Any
from uuid import uuid4

import pandas as pd

from fraudlab import system
from fraudlab.clients.waiting import until
from fraudlab.course.exercise import NotSolvedYet
from fraudlab.course.workspace import Late, Workspace

SERVER_IDS = range(500_000_000, 1_000_000_000)
"""Replica ids of streaming queries, drawn by chance: none is that of a pipeline's CDC job."""

_TABLES = {
    "user_profile": """
      user_id INT, first_name STRING, last_name STRING, email STRING, phone_number STRING, home_country STRING,
      suspicious_activities TINYINT, PRIMARY KEY (user_id) NOT ENFORCED""",
    "transactions": """
      transaction_id BIGINT, user_id INT, amount DECIMAL(12, 2), currency STRING, type STRING, country STRING,
      merchant STRING, transaction_time TIMESTAMP_LTZ(3), created_at TIMESTAMP_LTZ(3),
      PRIMARY KEY (transaction_id) NOT ENFORCED""",
}

_CHANGES = {"+I": 1, "+U": 1, "-U": -1, "-D": -1}


class LiveQuery:
    """A query that does not end: each change of the tables that it reads may change its answer.

    A thread of its own fetches the changes. What goes wrong there is raised by the next look at the answer.
    """

    def __init__(self, workspace: Workspace, name: str, result: Any) -> None:
        self._workspace, self.name = workspace, name
        self.columns = [str(column) for column in result.get_table_schema().get_field_names()]
        self._result = result
        self._arrived: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | BaseException] = queue.SimpleQueue()
        self._changes: list[tuple[str, tuple[Any, ...]]] = []
        self._answer: Counter[tuple[Any, ...]] = Counter()
        self._stopped = False
        self.ended = False
        """Whether the job has ended by itself, and all of its answer is here."""
        threading.Thread(target=self._fetch, daemon=True).start()

    def changes(self, last: int | None = None) -> pd.DataFrame:
        """The changes so far, in order, in a column `change`: +I added, -U the row before and +U after an update, -D gone."""
        self._take()
        shown = self._changes if last is None else self._changes[-last:]
        return pd.DataFrame([(kind, *row) for kind, row in shown], columns=["change", *self.columns])

    def answer(self) -> pd.DataFrame:
        """The answer as of now, as a table."""
        return pd.DataFrame(self.rows(), columns=self.columns)

    def rows(self) -> list[tuple[Any, ...]]:
        """The answer as of now, as sorted tuples."""
        self._take()
        return sorted((row for row, times in self._answer.items() for _ in range(times)), key=repr)

    def wait(self, holds: Callable[[pd.DataFrame], object], deadline_s: float = 90) -> pd.DataFrame:
        """Waits until something holds for the answer, and gives it. Raises Late when it does not come in time."""

        def look() -> list[pd.DataFrame]:  # a table by itself is neither true nor false
            answer = self.answer()
            return [answer] if holds(answer) else []

        if not (found := until(look, deadline_s)):
            raise Late(f"Gave up waiting after {deadline_s:.0f} s; so far the answer has {len(self.rows())} rows.")
        return found[0]

    def complete(self, deadline_s: float = 90) -> pd.DataFrame:
        """Waits until a job over bounded input has ended, and gives its whole answer. Raises Late when it does not end in time."""
        return self.wait(lambda _answer: self.ended, deadline_s)

    def stop(self) -> None:
        """Ends the query's job."""
        self._stopped = True
        self._workspace.cancel(self.name)

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else "running"
        return f"streaming query {self.name!r} ({state}), columns {', '.join(self.columns)}"

    def _fetch(self) -> None:
        try:
            with self._result.collect() as rows:
                for row in rows:
                    self._arrived.put((str(row.get_row_kind()), tuple(row)))
            self.ended = not self._stopped
        except BaseException as error:
            self._arrived.put(error)

    def _take(self) -> None:
        while not self._arrived.empty():
            arrived = self._arrived.get()
            if isinstance(arrived, BaseException):
                if self._stopped:
                    return
                raise arrived
            self._changes.append(arrived)
            kind, row = arrived
            self._answer[row] += _CHANGES[kind]


def stream(
    workspace: Workspace, statement: str, name: str = "streaming-query", tables: Sequence[str] = ()
) -> LiveQuery:
    """Starts a streaming query: a job that keeps its answer up to date.

    It reads the bank's tables `transactions` and `user_profile` from MySQL's binlog.

    Args:
        statement: A Flink SQL query.
        name: The job's name. A job of yours with this name is replaced.
        tables: `CREATE TABLE` and `CREATE VIEW` statements, to read those instead of the bank's tables.

    Returns:
        The running query: `.answer()`, `.changes()`, `.wait(…)`, `.stop()`.

    Example:
        per_country = lab.stream("SELECT country, COUNT(*) AS payments FROM transactions GROUP BY country", name="per-country")
        per_country.answer()
    """
    from fraudlab.pipeline.flink import CDC_LATENCY

    workspace.cancel(name)
    # The source goes on from snapshot to binlog after a checkpoint, and answers are handed out at each.
    environment, table_environment = workspace.cluster(execution__checkpointing__interval="500 ms").table_environment()
    environment.set_parallelism(1)
    configuration = table_environment.get_config()
    configuration.set("pipeline.name", workspace.names.job(name))
    configuration.set("table.local-time-zone", "UTC")
    for definition in tables:
        table_environment.execute_sql(filled(workspace, definition, name))
    endpoint = system.cdc_endpoint(workspace.settings)
    for table, columns in _TABLES.items() if not tables else ():
        server_id = SERVER_IDS.start + uuid4().int % len(SERVER_IDS)
        options = {
            "connector": "mysql-cdc",
            "hostname": endpoint.host,
            "port": str(endpoint.port),
            "username": endpoint.user,
            "password": endpoint.password,
            "database-name": endpoint.database,
            "table-name": table,
            "server-id": str(server_id),
            "server-time-zone": "UTC",
            **{f"debezium.{key}": value for key, value in CDC_LATENCY.items()},
        }
        settings = ", ".join(f"'{key}' = '{value}'" for key, value in options.items())
        table_environment.execute_sql(f"CREATE TEMPORARY TABLE {table} ({columns}) WITH ({settings})")
    return LiveQuery(workspace, name, table_environment.execute_sql(statement))


def filled(workspace: Workspace, statement: Any, job: str) -> str:
    """A statement of the pipeline's .sql files with the learner's names and the addresses in the place of `${…}`."""
    from fraudlab.pipeline.flink import kafka_values

    if statement is ...:
        raise NotSolvedYet("A statement is still to do: solve the exercise that defines its table first.")
    values = kafka_values(workspace.kafka, workspace.names, job)
    return Template(statement).substitute(values | {"transaction_ttl": f"{workspace.settings.profile_patience_s}s"})
