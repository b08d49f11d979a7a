"""Operators of ours that are written in Java: Flink compiles them when a task starts, as it does code that it generates itself."""

from collections.abc import Collection
from importlib import resources
from typing import Any

from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import DataStream, KeyedProcessFunction
from pyflink.datastream.data_stream import KeyedStream, _get_one_input_stream_operator
from pyflink.fn_execution.flink_fn_execution_pb2 import UserDefinedDataStreamFunction
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


def processed(
    records: KeyedStream,
    function: KeyedProcessFunction,
    rows: TypeInformation,
    operator: str,
    title: str,
    uid: str,
    references: list[Any],
) -> DataStream:
    """As `records.process(function, rows)`, run by an operator of ours that extends Flink's own for keyed functions in thread mode.

    Args:
        records: What `function` gets, keyed.
        function: The Python function.
        rows: The type of what it gives.
        operator: The name of the class. It passes the first four objects that its constructor gets on to Flink's.
        title: What Flink's web page calls it.
        uid: By what Flink finds its state. Operators of both kinds can continue from each other's.
        references: What its constructor gets after those four.
    """
    gateway, keyed = get_gateway(), records._j_data_stream
    jvm: Any = gateway.jvm
    python, j_rows = _get_one_input_stream_operator(
        records, function, UserDefinedDataStreamFunction.KEYED_PROCESS, rows
    )
    # PyFlink does this for each operator that it knows, when the job is submitted.
    settings = jvm.org.apache.flink.python.util.PythonConfigUtil.extractPythonConfiguration(
        keyed.getExecutionEnvironment().getConfiguration()
    )
    python.getConfiguration().addAll(settings)
    parts = [python.getConfiguration(), python.getPythonFunctionInfo(), keyed.getType(), j_rows]
    found = transformed(keyed, operator, title, [*parts, *references], j_rows)
    found.setStateKeySelector(keyed.getKeySelector())
    found.setStateKeyType(keyed.getKeyType())
    found.setUid(uid)
    return DataStream(stream_of(keyed, found))


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
