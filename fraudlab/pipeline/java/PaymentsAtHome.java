import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.DateTimeException;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.functions.python.DataStreamPythonFunctionInfo;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.api.operators.python.embedded.EmbeddedPythonKeyedProcessOperator;
import org.apache.flink.streaming.api.typeinfo.python.PickledByteArrayTypeInfo;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.types.Row;

/**
 * The operator that runs the detector, with a shortcut: a payment that cannot make any hour suspicious is not taken into Python. The
 * shortcut writes the same bytes into the same state that Python would write, so Python can continue with the user's next payment.
 *
 * Why that is exact. The shortcut takes a payment only if all of this holds; every other one goes to Python:
 *
 * - The record has the regular form (REGULAR in transaction.py), and its fields are in their ranges: `read_payment` would accept it.
 * - Its id and its time are both higher than any of the user's before. So it is no duplicate and not late: it changes no earlier hour.
 * - All retained payments of the user, of which there is at least one, come from its country. So its own hour has one country, and the
 *   rule asks for two or more (detector.py uses this operator only then).
 * - Nothing waits for the user's profile.
 *
 * Of such a payment `judge` raises nothing, and `History` appends it and forgets what is older than the retention. That is what is done
 * here. tests/integration/test_payments_at_home.py compares both for generated payments.
 *
 * Python's clock of the bank follows the records that it sees. It would stop, so one record for each minute of that clock goes to Python.
 */
public class PaymentsAtHome extends EmbeddedPythonKeyedProcessOperator {

    /** The layout below: state.py and history_layout.py. Of any other format, Python decides what happens. */
    private static final int FORMAT = 2;

    private static final int LENGTH_AT = 1;
    private static final int TIME_AT = 5;
    private static final int ID_AT = 13;
    private static final int SPENT_AT = 29;
    private static final int COUNTRY_AT = 37;
    private static final int OTHER_COUNTRIES_AT = 39;
    private static final int ROWS_AT = 41;
    private static final int ROW = 32;

    /** Far below the length at which `read_payment` gives up. */
    private static final int LONGEST = 10000;

    private static final long CLOCK_STEP_MS = 60000L;

    private final String state;
    private final Matcher regular;
    private final Map rates;
    private final long rateScale;
    private final long retentionMs;
    private final long maxAgeMs;
    private final long futureToleranceMs;
    private long clockMs = Long.MIN_VALUE;
    private ValueState user;

    public PaymentsAtHome(
            Object[] references, StreamTask task, StreamConfig config, Output output, ProcessingTimeService time)
            throws Exception {
        super(
                (Configuration) references[0],
                (DataStreamPythonFunctionInfo) references[1],
                (TypeInformation) references[2],
                (TypeInformation) references[3]);
        this.state = (String) references[4];
        this.regular = Pattern.compile("[0-9]+:[0-9]+:" + references[5]).matcher("");
        this.rates = (Map) references[6];
        this.rateScale = ((Number) references[7]).longValue();
        this.retentionMs = ((Number) references[8]).longValue();
        this.maxAgeMs = ((Number) references[9]).longValue();
        this.futureToleranceMs = ((Number) references[10]).longValue();
        this.setup(task, config, output);
        this.setProcessingTimeService(time);
    }

    public void open() throws Exception {
        super.open();
        user = getRuntimeContext()
                .getState(new ValueStateDescriptor(state, PickledByteArrayTypeInfo.PICKLED_BYTE_ARRAY_TYPE_INFO));
    }

    public void processElement(StreamRecord element) throws Exception {
        byte[] stored = (byte[]) user.value();
        byte[] updated = stored == null ? null : withPayment(stored, (String) ((Row) element.getValue()).getField(1));
        if (updated == null) {
            super.processElement(element);
        } else {
            user.update(updated);
        }
    }

    /** The state with this payment added, or null if Python must see it. */
    private byte[] withPayment(byte[] stored, String record) {
        ByteBuffer before = ByteBuffer.wrap(stored).order(ByteOrder.LITTLE_ENDIAN);
        if (stored[0] != FORMAT
                || TIME_AT + before.getInt(LENGTH_AT) != stored.length // something waits
                || stored.length <= ROWS_AT // no payments
                || before.getShort(OTHER_COUNTRIES_AT) != 0
                || record.length() > LONGEST
                || !regular.reset(record).matches()) {
            return null;
        }
        long id = Long.parseLong(regular.group(1));
        long cents = eurCents(Long.parseLong(regular.group(2) + regular.group(3)), rates.get(regular.group(4)));
        String country = regular.group(5);
        long timeMs;
        long createdMs;
        try {
            timeMs = epochMs(regular.group(6));
            createdMs = epochMs(regular.group(7));
        } catch (DateTimeException noSuchDay) {
            return null;
        }
        if (id <= before.getLong(ID_AT)
                || timeMs <= before.getLong(TIME_AT)
                || cents < 0
                || country.charAt(0) != stored[COUNTRY_AT]
                || country.charAt(1) != stored[COUNTRY_AT + 1]
                || createdMs < timeMs - futureToleranceMs
                || createdMs > timeMs + maxAgeMs
                || createdMs > System.currentTimeMillis() + futureToleranceMs) {
            return null;
        }
        if (createdMs > clockMs + CLOCK_STEP_MS) {
            clockMs = createdMs;
            return null;
        }
        int kept = ROWS_AT;
        while (kept < stored.length && before.getLong(kept) <= timeMs - retentionMs) {
            kept += ROW;
        }
        long spent = before.getLong(SPENT_AT);
        byte[] updated = new byte[ROWS_AT + stored.length - kept + ROW];
        ByteBuffer after = ByteBuffer.wrap(updated).order(ByteOrder.LITTLE_ENDIAN);
        after.put(stored, 0, ROWS_AT).put(stored, kept, stored.length - kept);
        after.putLong(timeMs).putLong(id).putLong(spent).put(stored, COUNTRY_AT, 2);
        after.putInt(LENGTH_AT, updated.length - TIME_AT);
        after.putLong(TIME_AT, timeMs).putLong(ID_AT, id).putLong(SPENT_AT, spent + cents);
        return updated;
    }

    /** `eur_cents` in transaction.py; -1 where it raises. */
    private long eurCents(long hundredths, Object rate) {
        if (rate == null || hundredths == 0) {
            return -1;
        }
        return (2 * hundredths * ((Number) rate).longValue() + rateScale) / (2 * rateScale);
    }

    /** Of a text such as 2026-07-01T12:02:03.4Z, with three decimals at most. Raises DateTimeException for the 30th of February. */
    private static long epochMs(String text) {
        LocalDateTime second = LocalDateTime.of(
                number(text, 0, 4),
                number(text, 5, 7),
                number(text, 8, 10),
                number(text, 11, 13),
                number(text, 14, 16),
                number(text, 17, 19));
        int ms = text.length() == 20 ? 0 : number((text.substring(20, text.length() - 1) + "00"), 0, 3);
        return second.toEpochSecond(ZoneOffset.UTC) * 1000 + ms;
    }

    private static int number(String text, int begin, int end) {
        return Integer.parseInt(text, begin, end, 10);
    }
}
