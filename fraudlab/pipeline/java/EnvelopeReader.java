import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Set;
import org.apache.flink.api.common.functions.util.ListCollector;
import org.apache.flink.api.common.serialization.RuntimeContextInitializationContextAdapters;
import org.apache.flink.formats.json.debezium.DebeziumJsonDeserializationSchema;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.OutputTag;

/**
 * Reads Debezium envelopes: each record becomes either changes of a table or one unreadable record with its reason, never both and
 * never neither. Flink's own format can only skip what it cannot read, or fail.
 *
 * Flink compiles this when the task starts, like the code that it generates from SQL (with Janino: no lambdas, no diamonds).
 *
 * Input: Row(message BYTES, topic STRING, partition INT, offset BIGINT). Output: rows of the table, with their kind. Side output:
 * Row(message, topic, partition, offset, reason).
 */
public class EnvelopeReader extends AbstractStreamOperator implements OneInputStreamOperator {

    /** Longer texts are not a DECIMAL(38), and numbers with such an exponent take minutes to round. */
    private static final int MOST_DIGITS = 100;

    private static final int MOST_DIGITS_IN_JSON = 2000;
    private static final String NO_TEXT = "not JSON in UTF-8";
    private static final byte BYTE_ORDER_MARK = (byte) 0xEF;

    private final DebeziumJsonDeserializationSchema format;
    private final RowType columns;
    private final OutputTag unreadable;
    private final Set skipped;
    private final ObjectMapper mapper = new ObjectMapper();

    public EnvelopeReader(
            Object[] references, StreamTask task, StreamConfig config, Output output, ProcessingTimeService time)
            throws Exception {
        this.format = (DebeziumJsonDeserializationSchema) references[0];
        this.columns = (RowType) references[1];
        this.unreadable = (OutputTag) references[2];
        this.skipped = (Set) references[3];
        this.setup(task, config, output);
        this.setProcessingTimeService(time);
    }

    public void open() throws Exception {
        super.open();
        format.open(RuntimeContextInitializationContextAdapters.deserializationAdapter(getRuntimeContext()));
    }

    public void processElement(StreamRecord element) throws Exception {
        Row record = (Row) element.getValue();
        byte[] message = (byte[]) record.getField(0);
        if (message == null) {
            return; // a tombstone is not a change
        }
        ArrayList changes = new ArrayList();
        String reason = null;
        if (!skipped.isEmpty() && skipped.contains(place(record))) {
            reason = "skipped by hand";
        } else {
            reason = whyNoText(message);
        }
        if (reason == null) {
            try {
                ArrayList rows = new ArrayList();
                format.deserialize(message, new ListCollector(rows));
                for (int i = 0; i < rows.size() && reason == null; i++) {
                    reason = convert((GenericRowData) rows.get(i), changes);
                }
                if (rows.isEmpty()) {
                    reason = whyNothing(message);
                }
            } catch (Exception unexpected) {
                LOG.error("Unexpected, with the record " + place(record), unexpected);
                reason = "cannot be read: " + unexpected;
            }
        }
        if (reason != null) {
            Row letter = Row.of(new Object[] {
                message, record.getField(1), record.getField(2), record.getField(3), reason
            });
            output.collect(unreadable, new StreamRecord(letter));
            return;
        }
        for (int i = 0; i < changes.size(); i++) {
            output.collect(new StreamRecord(changes.get(i)));
        }
    }

    /**
     * Why these bytes cannot be JSON in UTF-8, or null. Jackson alone would also read UTF-16, and bytes that no other reader accepts;
     * and a number of a million digits would keep it busy for seconds.
     */
    private static String whyNoText(byte[] message) {
        boolean isAscii = true;
        int digits = 0;
        for (int i = 0; i < message.length; i++) {
            digits = message[i] >= '0' && message[i] <= '9' ? digits + 1 : 0;
            if (message[i] == 0 || digits > MOST_DIGITS_IN_JSON) {
                return message[i] == 0 ? NO_TEXT : "a number of more than " + MOST_DIGITS_IN_JSON + " digits";
            }
            isAscii &= message[i] > 0;
        }
        if (isAscii) {
            return null;
        }
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(message));
            return message[0] == BYTE_ORDER_MARK ? NO_TEXT : null;
        } catch (CharacterCodingException wrong) {
            return NO_TEXT;
        }
    }

    /** Adds the row with the types of its columns, or says why not. Numbers come as text: the format would turn 7.5 into 7. */
    private String convert(GenericRowData texts, ArrayList changes) {
        GenericRowData row = new GenericRowData(texts.getRowKind(), texts.getArity());
        for (int i = 0; i < texts.getArity(); i++) {
            LogicalType type = columns.getTypeAt(i);
            LogicalTypeRoot root = type.getTypeRoot();
            Object value = texts.getField(i);
            if (root == LogicalTypeRoot.DECIMAL) {
                row.setField(i, decimal(value, (DecimalType) type));
            } else if (root == LogicalTypeRoot.BIGINT
                    || root == LogicalTypeRoot.INTEGER
                    || root == LogicalTypeRoot.SMALLINT
                    || root == LogicalTypeRoot.TINYINT) {
                Object number = integer(value, root);
                if (number == null) {
                    boolean old = row.getRowKind() == RowKind.UPDATE_BEFORE || row.getRowKind() == RowKind.DELETE;
                    return (old ? "before" : "after") + " has no integer " + columns.getFieldNames().get(i);
                }
                row.setField(i, number);
            } else {
                row.setField(i, value);
            }
        }
        changes.add(row);
        return null;
    }

    private static Object integer(Object value, LogicalTypeRoot root) {
        if (value == null) {
            return null;
        }
        String text = value.toString();
        try {
            if (root == LogicalTypeRoot.BIGINT) {
                return Long.valueOf(text);
            }
            if (root == LogicalTypeRoot.INTEGER) {
                return Integer.valueOf(text);
            }
            return root == LogicalTypeRoot.SMALLINT ? (Object) Short.valueOf(text) : (Object) Byte.valueOf(text);
        } catch (NumberFormatException wrong) {
            return null;
        }
    }

    private static DecimalData decimal(Object value, DecimalType type) {
        String text = value == null ? "" : value.toString();
        if (text.length() > MOST_DIGITS) {
            return null;
        }
        try {
            BigDecimal number = new BigDecimal(text);
            return Math.abs((long) number.scale()) > MOST_DIGITS
                    ? null
                    : DecimalData.fromBigDecimal(number, type.getPrecision(), type.getScale());
        } catch (NumberFormatException wrong) {
            return null;
        }
    }

    private String whyNothing(byte[] message) {
        JsonNode envelope;
        try {
            envelope = mapper.readTree(message);
        } catch (Exception wrong) {
            return NO_TEXT;
        }
        if (!envelope.isObject()) {
            return "not a JSON object";
        }
        String op = field(envelope, "op").asText();
        if (op.length() != 1 || "crud".indexOf(op) < 0) {
            return "not a Debezium envelope: op is not one of c, r, u, d";
        }
        String wanted = "d".equals(op) || ("u".equals(op) && !field(envelope, "before").isObject()) ? "before" : "after";
        return "not a Debezium envelope: " + wanted + " is not a JSON object";
    }

    private static JsonNode field(JsonNode object, String name) {
        return (JsonNode) object.path(name);
    }

    private static String place(Row record) {
        return record.getField(1) + "-" + record.getField(2) + "-" + record.getField(3);
    }
}
