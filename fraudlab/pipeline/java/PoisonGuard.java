import java.nio.charset.StandardCharsets;
import java.util.Set;
import org.apache.flink.runtime.execution.CancelTaskException;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.api.operators.Output;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.tasks.ProcessingTimeService;
import org.apache.flink.streaming.runtime.tasks.StreamTask;
import org.apache.flink.types.Row;

/**
 * Passes records on, except those to be skipped. If an operator chained after it throws an exception, the exception also names the
 * record: chained operators run inside output.collect.
 *
 * Input and output: Row(message, topic STRING, partition INT, offset BIGINT, …).
 */
public class PoisonGuard extends AbstractStreamOperator implements OneInputStreamOperator {

    private static final int LONGEST_BEGINNING = 64;

    private final Set skipped;

    public PoisonGuard(
            Object[] references, StreamTask task, StreamConfig config, Output output, ProcessingTimeService time)
            throws Exception {
        this.skipped = (Set) references[0];
        this.setup(task, config, output);
        this.setProcessingTimeService(time);
    }

    public void processElement(StreamRecord element) throws Exception {
        Row record = (Row) element.getValue();
        if (!skipped.isEmpty() && (skipped.contains(place(record)) || skipped.contains(beginning(record)))) {
            return; // its dead letter was written when it was skipped
        }
        try {
            output.collect(element);
        } catch (Exception failure) {
            if (isCancelled(failure)) {
                throw failure;
            }
            throw named(record, failure);
        } catch (StackOverflowError failure) {
            throw named(record, failure);
        }
    }

    private static RuntimeException named(Row record, Throwable failure) {
        return new RuntimeException("while processing the record " + place(record), failure);
    }

    /** Whether the task was only told to end: another one has failed. */
    private static boolean isCancelled(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            if (cause instanceof CancelTaskException || cause instanceof InterruptedException) {
                return true;
            }
        }
        return false;
    }

    /** A joined payment up to its id, which tells it also where the join sends it again; "" of anything else. */
    private static String beginning(Row record) {
        byte[] message = (byte[]) record.getField(0);
        for (int i = 0; message != null && i < message.length && i < LONGEST_BEGINNING; i++) {
            if (message[i] == ',') {
                return new String(message, 0, i, StandardCharsets.UTF_8);
            }
        }
        return "";
    }

    private static String place(Row record) {
        return record.getField(1) + "-" + record.getField(2) + "-" + record.getField(3);
    }
}
