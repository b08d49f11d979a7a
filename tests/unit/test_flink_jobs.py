"""What is made of Flink's exceptions: the root cause in words, and when a job counts as one that restarts in a loop."""

from typing import Any

import pytest

from fraudlab.clients.flink_rest import Job
from fraudlab.stack.flink_jobs import (
    SKIP_ADVICE,
    Cause,
    FailedCheckpoints,
    Failure,
    OverdueCheckpoint,
    cause_of,
    has_settled,
    loop_cause,
    overdue_checkpoint,
    problem_of,
    root_cause,
    trouble_of,
)

NOW_MS = 1_800_000_000_000

DENIED = """java.lang.RuntimeException: One or more fetchers have encountered exception
\tat org.apache.flink.connector.base.source.reader.fetcher.SplitFetcherManager.checkErrors(SplitFetcherManager.java:333)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.lang.RuntimeException: SplitFetcher thread 0 received unexpected exception while polling the records
\tat org.apache.flink.connector.base.source.reader.fetcher.SplitFetcher.runOnce(SplitFetcher.java:168)
\t... 1 more
Caused by: io.debezium.DebeziumException: Error reading MySQL variables: Access denied for user 'cdc'@'127.0.0.1' (using password: YES)
\tat io.debezium.connector.mysql.MySqlConnection.querySystemVariables(MySqlConnection.java:136)
\t... 6 more
Caused by: java.sql.SQLException: Access denied for user 'cdc'@'127.0.0.1' (using password: YES)
\tat com.mysql.cj.jdbc.exceptions.SQLError.createSQLException(SQLError.java:129)
\t... 15 more
"""

NO_TOPIC = """org.apache.flink.util.FlinkException: Global failure triggered by OperatorCoordinator for 'Source: envelopes[12]'.
\tat org.apache.flink.runtime.operators.coordination.OperatorCoordinatorHolder.failJob(OperatorCoordinatorHolder.java:651)
Caused by: org.apache.flink.util.FlinkRuntimeException: Failed to list subscribed topic partitions due to\x20
\t... 6 more
Caused by: java.lang.RuntimeException: Failed to get metadata for topics [x4.user_profile, x4.transactions].
\t... 3 more
Caused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition.
"""

KAFKA_AWAY = NO_TOPIC.replace(
    "UnknownTopicOrPartitionException: This server does not host this topic-partition.",
    "TimeoutException: Timed out waiting for a node assignment.",
)

NO_BINLOG = """java.lang.RuntimeException: One or more fetchers have encountered exception
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: java.lang.IllegalStateException: The connector is trying to read binlog starting at Struct{file=binlog.000001,pos=977952}, \
but this is no longer available on the server. Reconfigure the connector to use a snapshot when needed.
\tat org.apache.flink.cdc.connectors.mysql.debezium.task.context.StatefulTaskContext.loadStartingOffsetState(StatefulTaskContext.java:212)
\t... 6 more
"""

NO_PYTHON = """java.lang.RuntimeException: java.lang.NoSuchFieldException: loadedLibraryNames
\tat pemja.utils.CommonUtils.loadLibrary0(CommonUtils.java:134)
Caused by: java.lang.NoSuchFieldException: loadedLibraryNames
\tat java.base/java.lang.Class.getDeclaredField(Class.java:2610)
\t... 20 more
"""

BROKEN_PYTHON = """java.lang.RuntimeException: Failed to find libpython
\tat pemja.utils.CommonUtils.getLibPython(CommonUtils.java:80)
Caused by: java.io.IOException: Failed to execute the command: python -c from find_libpython import find_libpython;print(find_libpython())
output: python: error while loading shared libraries: libpython3.11.so.1.0: file too short

\tat pemja.utils.CommonUtils.execute(CommonUtils.java:191)
\t... 19 more
"""

NO_SLOT = """java.util.concurrent.CompletionException: java.util.concurrent.CompletionException: \
org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum required resources.
\tat java.base/java.util.concurrent.CompletableFuture.encodeThrowable(CompletableFuture.java:331)
Caused by: org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum required resources.
"""

PYTHON_IN_THE_JVM = """pemja.core.PythonException: <class 'ValueError'>: no such rate: XXX
\tat pemja.core.PythonInterpreter.invokeMethod(Native Method)
\tat org.apache.flink.streaming.runtime.tasks.SourceStreamTask$LegacySourceFunctionThread.run(SourceStreamTask.java:333)
"""

PYTHON_BESIDE_IT = """java.lang.RuntimeException: Failed to close remote bundle
\tat org.apache.flink.streaming.api.runners.python.beam.BeamPythonFunctionRunner.finishBundle(BeamPythonFunctionRunner.java:423)
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 1: Traceback (most recent call last):
  File "/opt/rates.py", line 7, in convert
    raise KeyError(currency)
KeyError: 'XXX'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/worker.py", line 287, in _execute
    response = task()
fraud.rates.UnknownRateError: no such rate
and a second line

\tat java.base/java.util.concurrent.CompletableFuture.reportGet(CompletableFuture.java:396)
\t... 7 more
"""

POISON_IN_JAVA = """org.apache.flink.streaming.runtime.tasks.ExceptionInChainedOperatorException: Could not forward element to next operator
\tat org.apache.flink.streaming.runtime.tasks.ChainingOutput.pushToOperator(ChainingOutput.java:92)
Caused by: java.lang.RuntimeException: while processing the record ada-1.transactions-3-1234
\tat PoisonGuard.named(Unknown Source)
\t... 20 more
Caused by: org.apache.flink.streaming.runtime.tasks.ExceptionInChainedOperatorException: Could not forward element to next operator
\t... 21 more
Caused by: java.lang.NumberFormatException: For input string: "{". Invalid character found.
\tat org.apache.flink.table.data.binary.BinaryStringDataUtil.numberFormatExceptionFor(BinaryStringDataUtil.java:679)
\t... 22 more
"""

POISON_IN_PYTHON = """pemja.core.PythonException: <class 'fraudlab.pipeline.detector.PoisonRecordError'>: while processing the record \
transaction_mid-0-17: MemoryError: no room
\tat pemja.core.object.PyIterator.next(Native Method)
"""

SENT_IN_VAIN = POISON_IN_JAVA.replace(
    "java.lang.NumberFormatException: For input", "org.apache.kafka.common.errors.RecordTooLargeException: For input"
)


@pytest.mark.parametrize(
    ("stacktrace", "said"),
    [
        (DENIED, "SQLException: Access denied for user 'cdc'@'127.0.0.1' (using password: YES)"),
        (NO_TOPIC, "UnknownTopicOrPartitionException: This server does not host this topic-partition."),
        (NO_PYTHON, "NoSuchFieldException: loadedLibraryNames"),
        (NO_SLOT, "NoResourceAvailableException: Could not acquire the minimum required resources."),
        (PYTHON_IN_THE_JVM, "ValueError: no such rate: XXX"),
        (PYTHON_BESIDE_IT, "UnknownRateError: no such rate"),
        ("java.lang.NullPointerException\n\tat a.B.c(B.java:1)\n", "NullPointerException"),
        ("", "unknown exception"),
    ],
)
def test_the_root_cause_is_the_innermost_exception_and_of_python_the_last_line(stacktrace: str, said: str) -> None:
    assert root_cause(stacktrace) == said


KAFKA = "org.apache.kafka.common.errors"


def test_a_suppressed_exception_is_not_the_cause() -> None:
    suppressed = (
        "\tSuppressed: a.CException: Access denied for user 'x'@'y'\n\tCaused by: a.DException: loadedLibraryNames\n"
    )
    assert cause_of(f"a.AException: first\n\tat a.B.c(B.java:1)\n{suppressed}").what == "AException: first"


def test_a_long_message_is_cut() -> None:
    assert len(root_cause(NO_BINLOG.replace("file=binlog", "file=" + "x" * 1000))) < 300


@pytest.mark.parametrize(
    ("stacktrace", "what", "advice"),
    [
        (DENIED, "MySQL rejects the login of 'cdc' (SQLException: Access denied", "Cancel it"),
        (NO_TOPIC, "a topic does not exist, one of x4.user_profile, x4.transactions (Unknown", "creates the topics"),
        (NO_BINLOG, "MySQL has purged the part of the binlog that the job has not read yet", "`fraudlab resnapshot`"),
        (NO_PYTHON, "the TaskManager cannot load Python", "`fraudlab doctor`"),
        (BROKEN_PYTHON, "the TaskManager cannot load Python", "`fraudlab doctor`"),
        (NO_SLOT, "Flink has no free task slot for the job", "FRAUDLAB_TASK_SLOTS"),
        (PYTHON_IN_THE_JVM, "ValueError: no such rate: XXX", "`fraudlab open flink` shows"),
        (KAFKA_AWAY, "Kafka does not answer the job (TimeoutException", "has no log-in"),
        (
            f"{KAFKA}.SaslAuthenticationException: Authentication failed",
            "Kafka rejects the log-in of the job",
            "Cancel it",
        ),
        (
            f"{KAFKA}.TopicAuthorizationException: Topic authorization failed.",
            "Kafka does not let the job's account use a topic (",
            "the name",
        ),
        (
            f"{KAFKA}.TopicAuthorizationException: Not authorized to access topics: [a.b]",
            "Kafka does not let the job's account use a topic [a.b] (",
            "the name",
        ),
        (
            f"{KAFKA}.GroupAuthorizationException: Not authorized to access group: a",
            "Kafka does not let the job's account use a consumer group a (",
            "the name",
        ),
        (
            f"{KAFKA}.TransactionalIdAuthorizationException: x",
            "Kafka does not let the job's account use its transactional id (",
            "Correct the name",
        ),
    ],
)
def test_a_known_exception_is_explained_and_another_tells_its_own_words(
    stacktrace: str, what: str, advice: str
) -> None:
    cause = cause_of(stacktrace)
    assert cause.what.startswith(what)
    assert advice in cause.advice


def job(state: str = "RUNNING", running: int = 2) -> Job:
    return Job("1", "fraud-detector", state, NOW_MS - 60_000, running, 2)


def failed(*ages_ms: int, what: str = "it broke") -> list[Failure]:
    """Failures so long ago, the newest first."""
    return [Failure(NOW_MS - age_ms, Cause(what, "mend it")) for age_ms in sorted(ages_ms)]


def test_three_failures_for_the_same_reason_are_a_loop_and_two_are_not() -> None:
    assert loop_cause(failed(100, 1200, 2300), NOW_MS - 10_000) == Cause("it broke", "mend it")
    assert loop_cause(failed(100, 1200), NOW_MS - 10_000) is None
    assert loop_cause([], NOW_MS - 10_000) is None


def test_the_parts_of_a_job_that_fail_together_are_one_attempt() -> None:
    one, two, three = (300, 320, 410), (1400, 1410, 1500), (2500, 2510)
    assert loop_cause(failed(*one, *two), NOW_MS - 10_000) is None
    assert loop_cause(failed(*one, *two, *three), NOW_MS - 10_000) is not None


def test_what_failed_before_the_wait_does_not_count() -> None:
    assert loop_cause(failed(100, 1200, 2300), NOW_MS - 2000) is None


def test_a_missing_slot_may_come_back_and_nothing_else_may() -> None:
    assert [trace for trace in (DENIED, NO_TOPIC, NO_SLOT, NO_PYTHON, "") if cause_of(trace).may_pass] == [NO_SLOT]


def test_different_reasons_are_no_loop_unless_only_numbers_differ() -> None:
    times = (100, 1200, 2300)
    different = [Failure(NOW_MS - age, Cause(what, "")) for age, what in zip(times, "abc", strict=True)]
    assert loop_cause(different, NOW_MS - 10_000) is None
    ports = [Failure(NOW_MS - age, Cause(f"port {41000 + age} is closed", "")) for age in times]
    assert loop_cause(ports, NOW_MS - 10_000) == ports[0].cause


def test_a_job_has_settled_when_it_has_run_for_a_while_since_its_last_failure() -> None:
    assert has_settled(job(), [], NOW_MS)
    assert has_settled(job(), failed(6000), NOW_MS)
    assert not has_settled(job(), failed(1000), NOW_MS)
    assert not has_settled(job(running=1), [], NOW_MS)
    assert not has_settled(job(state="RESTARTING"), [], NOW_MS)


@pytest.mark.parametrize(
    ("seen", "failures", "problem"),
    [
        (job(), [], None),
        (job(), failed(400), None),  # a crash that has passed
        (job(), failed(9000, 10_000, 11_000), None),
        (job(), failed(400, 1500, 2600), "keeps failing: it broke"),  # a moment in a loop in which all tasks run
        (job("RESTARTING", 0), failed(400), "is restarting: it broke"),
        (job("RESTARTING", 0), failed(400, 1500, 2600), "keeps failing: it broke"),
        (job("FAILED", 0), failed(400), "has ended: it broke"),
        (job("CANCELED", 0), failed(400), "has ended"),
        (job(running=1), [], "is starting: 1 of 2 tasks run"),
        (job(running=1), failed(3_600_000), "is starting: 1 of 2 tasks run"),
    ],
)
def test_what_is_wrong_with_a_job_is_said_in_a_line(seen: Job, failures: list[Failure], problem: str | None) -> None:
    found = problem_of(seen, failures, None, NOW_MS)
    assert (found and found.words) == problem


def test_a_job_that_starts_is_not_in_trouble() -> None:
    assert trouble_of(job(running=1), [], None, NOW_MS) is None


@pytest.mark.parametrize(("count", "told"), [(2, False), (3, True)])
def test_a_job_that_runs_and_whose_checkpoints_fail_is_in_trouble(count: int, told: bool) -> None:
    found = trouble_of(job(), [], FailedCheckpoints(count, Cause("the disk is full", "Free space.")), NOW_MS)
    assert (found is not None) is told
    if found is not None:
        assert str(found) == "runs, but its last 3 checkpoints failed: the disk is full. Free space."


def overdue(
    *, started_s: int, completed_s: int | None = None, tried_s: int | None = None, interval_s: int = 10
) -> OverdueCheckpoint | None:
    """`overdue_checkpoint` of a job whose newest task started so long ago, as did a checkpoint in progress; another was complete then."""
    completed = None if completed_s is None else {"latest_ack_timestamp": NOW_MS - completed_s * 1000}
    history: list[dict[str, Any]] = [{"status": "FAILED", "trigger_timestamp": NOW_MS}]
    if tried_s is not None:
        history.append({"status": "IN_PROGRESS", "trigger_timestamp": NOW_MS - tried_s * 1000})
    vertices = [{"start-time": NOW_MS - 7_200_000}, {"start-time": NOW_MS - started_s * 1000}]
    return overdue_checkpoint(
        {"latest": {"completed": completed, "restored": None}, "history": history},
        {"now": NOW_MS, "vertices": vertices},
        interval_s * 1000,
    )


def test_a_running_job_whose_last_checkpoint_is_ten_intervals_old_is_in_trouble() -> None:
    assert overdue(started_s=3600, completed_s=99) is None
    found = overdue(started_s=3600, completed_s=130)
    assert found == OverdueCheckpoint(130_000, first=False)
    trouble = trouble_of(job(), [], found, NOW_MS)
    assert trouble is not None
    assert trouble.words == "runs, but has completed no checkpoint for 2 min"
    assert not trouble.fails, "no answer of a learner is wrong because of it"
    assert "`fraudlab down`" in trouble.advice


def test_a_job_without_a_first_checkpoint_is_in_trouble_when_that_is_long_due() -> None:
    assert overdue(started_s=99) is None
    found = overdue(started_s=600)
    trouble = trouble_of(job(), [], found, NOW_MS)
    assert trouble is not None
    assert trouble.words == "runs, but has completed no checkpoint for 10 min, since its start"


def test_a_checkpoint_is_not_overdue_after_a_restart_a_pause_or_a_few_seconds() -> None:
    assert overdue(started_s=20, completed_s=3000) is None, "its tasks have just been started again"
    assert overdue(started_s=3600, completed_s=3000, tried_s=1) is None, (
        "it goes on after it was held, or the machine slept"
    )
    assert overdue(started_s=3600, completed_s=3000, tried_s=200) is not None
    assert overdue(started_s=3600, completed_s=59, interval_s=1) is None
    assert overdue(started_s=3600, completed_s=60, interval_s=1) is not None


def test_a_full_disk_and_moved_columns_are_causes_that_are_known() -> None:
    full = "org.apache.flink.runtime.checkpoint.CheckpointException: Asynchronous task checkpoint failed.\n\tat a.B.c(B.java:1)\n"
    full += "Caused by: java.io.IOException: No space left on device\n\tat java.base/x.Y.z(Native Method)\n"
    assert cause_of(full).what == "the disk is full (IOException: No space left on device)"
    moved = (
        "org.apache.kafka.connect.errors.ConnectException: Data row is smaller than a column index, internal schema "
    )
    moved += "representation is probably out of sync with real database schema\n"
    assert "`fraudlab resnapshot`" in cause_of(moved).advice


# Records


@pytest.mark.parametrize(
    ("stacktrace", "record", "what"),
    [
        (
            POISON_IN_JAVA,
            "ada-1.transactions-3-1234",
            'NumberFormatException: For input string: "{". Invalid character found.',
        ),
        (POISON_IN_PYTHON, "transaction_mid-0-17", "MemoryError: no room"),
    ],
)
def test_the_record_that_was_processed_is_named(stacktrace: str, record: str, what: str) -> None:
    cause = cause_of(stacktrace)
    assert (cause.record, cause.what) == (record, f"{what}, while processing the record {record}")


@pytest.mark.parametrize(
    "stacktrace",
    [
        SENT_IN_VAIN,
        POISON_IN_JAVA.replace("java.lang.NumberFormatException: For", "java.io.IOException: No space left on device"),
        POISON_IN_PYTHON.replace("MemoryError: no room", "RuntimeError: java.lang.InterruptedException"),
        PYTHON_IN_THE_JVM,
    ],
    ids=["Kafka refuses an earlier one", "the disk is full", "the task is cancelled", "no record is named"],
)
def test_no_record_is_blamed_for_what_is_not_its_fault(stacktrace: str) -> None:
    assert cause_of(stacktrace).record is None


def failed_at(record: str, *ages_ms: int) -> list[Failure]:
    """Failures with a record so long ago."""
    return [Failure(NOW_MS - age_ms, Cause("it broke", "look", record)) for age_ms in ages_ms]


def test_a_record_is_the_cause_after_five_attempts_and_the_advice_skips_it() -> None:
    four = failed_at("t-0-7", 100, 1300, 2500, 3700)
    assert loop_cause(four, NOW_MS - 10_000) is None
    five = [*four, *failed_at("t-0-7", 4900, 4910)]
    cause = loop_cause(five, NOW_MS - 10_000)
    assert cause == Cause("it broke, 5 times", SKIP_ADVICE.format("t-0-7"), "t-0-7")
    found = trouble_of(job("RESTARTING", 0), five, None, NOW_MS)
    assert str(found) == f"keeps failing: it broke, 5 times. {SKIP_ADVICE.format('t-0-7')}"
    assert "`fraudlab skip t-0-7`" in str(found)


def test_a_record_that_is_met_again_after_minutes_is_still_the_cause_while_the_job_runs() -> None:
    slow = failed_at("t-0-7", *range(20_000, 120_000, 20_000))
    found = trouble_of(job(), slow, None, NOW_MS)
    assert found is not None
    assert "t-0-7" in found.advice
    assert trouble_of(job(), slow, None, NOW_MS + 60_000) is None, "it has passed"


def test_failures_with_different_records_are_not_the_fault_of_one() -> None:
    many = [one for number in range(5) for one in failed_at(f"t-0-{number}", 100 + 1200 * number)]
    assert loop_cause(many, NOW_MS - 10_000) == many[0].cause, "a loop, in which nothing is to be skipped"
    assert loop_cause(many[:4], NOW_MS - 10_000) is None
