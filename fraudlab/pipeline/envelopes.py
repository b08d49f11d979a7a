"""Topics of Debezium envelopes as changing tables: every record is a change of its table, or a dead letter. JVM only, parsed once."""

from collections.abc import Collection, Iterable, Mapping
from importlib import resources
from typing import Any

from pyflink.common import Types
from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from fraudlab.pipeline.statements import statements

READER = "EnvelopeReader"
UNREADABLE = Types.ROW_NAMED(
    ["message", "message_topic", "message_partition", "message_offset", "reason"],
    [Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.STRING(), Types.INT(), Types.LONG(), Types.STRING()],
)
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DECIMAL"}


def read_envelopes(
    tables: StreamTableEnvironment, names: Iterable[str], values: Mapping[str, object], skip: Collection[str] = ()
) -> None:
    """Reads the topics of tables that are defined with the format `debezium-json`, without losing a record.

    The format either skips a record that it cannot read, or fails the job. Here each table gets a temporary view of the same name, with the
    same columns, which reads the table's topic with the same format. Unusable records are in the view `unreadable`:
    `message BYTES, message_topic STRING, message_partition INT, message_offset BIGINT, reason STRING`.

    Every integer column must hold an integer. Invalid decimals and times become NULL.

    Args:
        tables: Where the tables are defined.
        names: The tables' names.
        values: The values of the placeholders in envelopes.sql, and for each table's name its topic.
        skip: Places of records, `topic-partition-offset`, that are unreadable whatever they hold. The job's topology does not
            depend on them: it can be restored from its savepoint with other ones.
    """
    streams = []
    for name in names:
        own = {**values, "table": name, "topic": values[name]}
        for statement in statements("envelopes.sql", own):
            tables.execute_sql(statement)
        streams.append(_read(tables, name, skip))
    tables.create_temporary_view("unreadable", tables.from_data_stream(streams[0].union(*streams[1:])))


def _read(tables: StreamTableEnvironment, name: str, skip: Collection[str]) -> DataStream:
    """Defines the view of one table; returns the stream of unreadable records."""
    jvm: Any = get_gateway().jvm
    defined = tables.from_path(name)._j_table.getResolvedSchema()
    columns = defined.toPhysicalRowDataType()
    # With the table's key, a row that a snapshot reads again replaces the old one.
    key = defined.getPrimaryKey().get().getColumns()
    schema = jvm.org.apache.flink.table.api.Schema.newBuilder().fromRowDataType(columns).primaryKey(key).build()
    rows = jvm.org.apache.flink.table.runtime.typeutils.InternalTypeInfo.of(columns.getLogicalType())
    unreadable = jvm.org.apache.flink.util.OutputTag("unreadable", UNREADABLE.get_java_type_info())
    envelopes = tables.to_data_stream(tables.from_path(f"{name}_envelopes"))._j_data_stream
    references = [_format(jvm, columns, rows), columns.getLogicalType(), unreadable, jvm.java.util.HashSet(list(skip))]
    read = jvm.org.apache.flink.streaming.api.transformations.OneInputTransformation(
        envelopes.getTransformation(), f"read {name}", _operator(jvm, references), rows, envelopes.getParallelism()
    )
    rejected = jvm.org.apache.flink.streaming.api.transformations.SideOutputTransformation(read, unreadable)
    environment, stream = envelopes.getExecutionEnvironment(), jvm.org.apache.flink.streaming.api.datastream.DataStream
    changes = tables._j_tenv.fromChangelogStream(stream(environment, read), schema)
    tables._j_tenv.createTemporaryView(name, changes)
    return DataStream(stream(environment, rejected))


def _format(jvm: Any, columns: Any, rows: Any) -> Any:
    """Flink's format for these columns, numbers as text, which the reader then reads strictly."""
    types = jvm.org.apache.flink.table.api.DataTypes
    fields = [
        types.FIELD(column.getName(), types.STRING() if _is_number(column) else column.getDataType())
        for column in jvm.org.apache.flink.table.types.DataType.getFields(columns)
    ]
    return jvm.org.apache.flink.formats.json.debezium.DebeziumJsonDeserializationSchema(
        types.ROW(fields),
        [],
        rows,
        False,  # the envelope has no schema
        True,  # emits nothing for what it cannot read
        jvm.org.apache.flink.formats.common.TimestampFormat.ISO_8601,
    )


def _is_number(column: Any) -> bool:
    return str(column.getDataType().getLogicalType().getTypeRoot()) in _NUMBERS


def _operator(jvm: Any, references: list[Any]) -> Any:
    """The reader as Flink runs code that it generates itself: compiled where the task starts."""
    code = resources.files("fraudlab.pipeline").joinpath("java", f"{READER}.java").read_text(encoding="utf-8")
    array = get_gateway().new_array(jvm.Object, len(references))
    for index, reference in enumerate(references):
        array[index] = reference
    generated = jvm.org.apache.flink.table.runtime.generated.GeneratedOperator(
        READER, code, array, jvm.org.apache.flink.configuration.Configuration()
    )
    return jvm.org.apache.flink.table.runtime.operators.CodeGenOperatorFactory(generated)
