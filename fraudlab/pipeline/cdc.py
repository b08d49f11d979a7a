"""CDC ingestion: the binlog of `user_profile` and `transactions`, as Debezium envelopes keyed by user, in two Kafka topics."""

from collections.abc import Iterator

import orjson
from pyflink.common import Row, Types, WatermarkStrategy
from pyflink.common.job_client import JobClient
from pyflink.datastream import FlatMapFunction

from fraudlab.pipeline.contracts import CDC_JOB, Names
from fraudlab.pipeline.contracts import server_ids as server_ids  # it is found here by notebooks, too
from fraudlab.pipeline.flink import FlinkCluster, MySqlEndpoint, kafka_values, mysql_cdc_source
from fraudlab.pipeline.statements import statements

JOB = CDC_JOB
TABLES = ("user_profile", "transactions")
RECORD = Types.ROW_NAMED(["topic", "message_key", "message"], [Types.STRING(), Types.STRING(), Types.STRING()])


class RouteByTable(FlatMapFunction):  # type: ignore[misc] # PyFlink is untyped
    """Gives each envelope the topic of its table and the key `user_id`, so that one user's changes keep their order."""

    def __init__(self, topics: dict[str, str]) -> None:
        self._topics = topics

    def flat_map(self, value: str) -> Iterator[Row]:
        """One row `(topic, message_key, message)` an envelope; the envelope itself is passed on unchanged."""
        envelope = orjson.loads(value)
        row = envelope["after"] or envelope["before"]
        yield Row(self._topics[envelope["source"]["table"]], str(row["user_id"]), value)


def submit(cluster: FlinkCluster, endpoint: MySqlEndpoint, bootstrap_servers: str, names: Names) -> JobClient:
    """Submits the job: a snapshot of both tables, then their binlog; restarted from its checkpoint it continues where it was."""
    environment, tables = cluster.table_environment()
    environment.set_parallelism(1)
    source = mysql_cdc_source(endpoint, list(TABLES), server_ids(names))
    changes = environment.from_source(source, WatermarkStrategy.no_watermarks(), "MySQL binlog", Types.STRING())
    topics = {table: getattr(names, table) for table in TABLES}
    records = changes.flat_map(RouteByTable(topics), RECORD).name("route by table")
    values = kafka_values(bootstrap_servers, names, JOB) | {"sink_topics": ";".join(topics.values())}
    for statement in statements("records.sql", values):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(records))
    inserts.attach_as_datastream()
    return environment.execute_async(names.job(JOB))
