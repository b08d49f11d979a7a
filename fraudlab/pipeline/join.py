"""The SQL join of payments with their user's profile, from two Debezium topics to `transaction_mid`."""

from collections.abc import Collection

from pyflink.table import TableResult

from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import JOIN_JOB, Names
from fraudlab.pipeline.envelopes import read_envelopes
from fraudlab.pipeline.flink import FlinkCluster, kafka_values
from fraudlab.pipeline.statements import statements

JOB = JOIN_JOB


def submit(
    cluster: FlinkCluster,
    kafka: KafkaAccess,
    names: Names,
    *,
    transaction_ttl_s: int,
    parallelism: int = 1,
    skip: Collection[str] = (),
) -> TableResult:
    """Submits the job.

    Args:
        cluster: Where to run it.
        kafka: Where Kafka is, and as whom to use it.
        names: Names of topics, group and job.
        transaction_ttl_s: How long a payment waits in the join's state for a profile that arrives after it, in seconds.
        parallelism: Parallelism of the job.
        skip: Places of records, `topic-partition-offset`, that are passed over.
    """
    environment, tables = cluster.table_environment()
    environment.set_parallelism(parallelism)
    configuration = tables.get_config()
    configuration.set("pipeline.name", names.job(JOB))
    configuration.set("table.local-time-zone", "UTC")
    # The topic is keyed by user, not by the row's own key: two payments of a user must not replace each other.
    configuration.set("table.exec.sink.upsert-materialize", "NONE")
    values = kafka_values(kafka, names, JOB) | {"transaction_ttl": f"{transaction_ttl_s}s"}
    everything = statements("join.sql", values) + statements("dead_letters.sql", values)
    insertions = [statement for statement in everything if "\nINSERT INTO" in f"\n{statement}"]
    for statement in everything:
        if statement not in insertions:
            tables.execute_sql(statement)
    read_envelopes(tables, ("user_profile", "transactions"), values, skip)
    inserts = tables.create_statement_set()
    for statement in insertions:
        inserts.add_insert_sql(statement)
    return inserts.execute()
