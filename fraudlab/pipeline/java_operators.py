"""Operators of ours that are written in Java: Flink compiles them when a task starts, as it does code that it generates itself."""

from collections.abc import Collection
from importlib import resources
from typing import Any

from pyflink.java_gateway import get_gateway


def guard(records: Any, skip: Collection[str] = ()) -> Any:
    """Has every exception in the operators chained after it name the record, and passes over the records to be skipped.

    Not covered are operators after a shuffle (`keyBy`, a join), and what Kafka's producer reports later.

    Args:
        records: Java's DataStream of rows `(message, topic, partition, offset, …)`.
        skip: Places of records, `topic-partition-offset`, or beginnings of joined payments (`contracts.joined_beginning`). The
            topology does not depend on them: the job can go on from its checkpoint with other ones.

    Returns:
        Java's DataStream of the same rows.
    """
    jvm: Any = get_gateway().jvm
    guarded = transformed(
        records, "PoisonGuard", "name the record", [jvm.java.util.HashSet(list(skip))], records.getType()
    )
    return stream_of(records, guarded)


def transformed(records: Any, operator: str, title: str, references: list[Any], rows: Any) -> Any:
    """The transformation of a stream by the operator of this name in the folder `java`.

    Args:
        records: Java's DataStream.
        operator: The name of the class.
        title: What Flink's web page calls it.
        references: What its constructor gets.
        rows: Java's type of what it gives.
    """
    gateway = get_gateway()
    jvm: Any = gateway.jvm
    code = resources.files("fraudlab.pipeline").joinpath("java", f"{operator}.java").read_text(encoding="utf-8")
    array = gateway.new_array(jvm.Object, len(references))
    for index, reference in enumerate(references):
        array[index] = reference
    generated = jvm.org.apache.flink.table.runtime.generated.GeneratedOperator(
        operator, code, array, jvm.org.apache.flink.configuration.Configuration()
    )
    factory = jvm.org.apache.flink.table.runtime.operators.CodeGenOperatorFactory(generated)
    return jvm.org.apache.flink.streaming.api.transformations.OneInputTransformation(
        records.getTransformation(), title, factory, rows, records.getParallelism()
    )


def stream_of(records: Any, transformation: Any) -> Any:
    """Java's DataStream of a transformation, in the environment of another stream."""
    jvm: Any = get_gateway().jvm
    return jvm.org.apache.flink.streaming.api.datastream.DataStream(records.getExecutionEnvironment(), transformation)
