"""The jobs of the Flink cluster: how each one is, and in words why one does not run."""

import re
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from fraudlab.clients.flink_rest import Job, Refused
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack.flink import JOBMANAGER, answered, rest
from fraudlab.stack.layout import Layout

ABSENT = "ABSENT"
"""The state of a job that Flink does not know. The other states are Flink's own."""

LOOP_ATTEMPTS = 3
"""So many attempts must fail for the same reason before a job counts as one that restarts in a loop.

One or two are a neighbour that is still starting, or a crash that passes. Flink tries again after a second, so three take three seconds.
"""
RECORD_ATTEMPTS = 5
"""So many attempts must fail with the same record before the record counts as the cause."""
ATTEMPT_MS = 500
"""Failures closer together than this belong to one attempt: the parts of a job fail one by one."""
RECOVERED_MS = 5000
"""A job whose tasks have all run for this long has recovered from what failed before."""
RECENT_MS = 30_000
"""`trouble` looks back this far. Older failures say nothing about now."""
OVERDUE_INTERVALS, OVERDUE_MS = 10, 60_000
"""A job that has run for so many of its checkpoints' intervals, and for this long, without completing one is in trouble. Large state or a
busy machine delays a checkpoint by a few intervals."""
LONGEST_WORDS = 240
LOG_TAIL_BYTES = 2**18
CANCEL_DEADLINE_S = 60
LOOK_FOR_MORE = "`fraudlab open flink` shows the job's whole exception, `fraudlab logs taskmanager` what led to it."
CHECKPOINTS_WAIT = (
    "shows the job's checkpoints. Until one is complete, a crash makes the job repeat all since the last one."
)
OVERDUE_ADVICE = (
    "It does its work, but a crash makes it repeat all since then. `fraudlab logs jobmanager` shows why; "
    "`fraudlab down`, then `fraudlab up` restarts Flink, which goes on from the last checkpoint."
)
SNAPSHOT_ADVICE = "`fraudlab resnapshot` reads the tables and their columns again, and goes on from there."
"""What gets a job that reads a binlog out of a place where it cannot go on."""
NO_SLOT = "Flink has no free task slot for the job"
SKIP_ADVICE = "`fraudlab skip {}` moves this record to dead_letters, and the job goes on without it."


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a job failed: what happened, as the middle of a sentence, and what to do.

    `record` is the place, `topic-partition-offset`, of the record that was processed; None where the exception names none, or where it
    is not the record's fault.
    """

    what: str
    advice: str
    record: str | None = None

    @property
    def may_pass(self) -> bool:
        """Whether it passes when a TaskManager is back. That takes longer than the attempts of a loop."""
        return self.what.startswith(NO_SLOT)


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of a job's exception history."""

    at_ms: int
    cause: Cause

    @property
    def kind(self) -> str:
        """The same for failures that differ in numbers only: ports, positions, attempts."""
        return re.sub(r"\d+", "", self.cause.what)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A completed checkpoint."""

    id: int
    completed_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FailedCheckpoints:
    """How many checkpoints have failed since the last complete one, and why the newest did."""

    count: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class OverdueCheckpoint:
    """How long a running job has completed no checkpoint, where it should have. `first`: it has completed none since its start."""

    for_ms: int
    first: bool


CheckpointTrouble = FailedCheckpoints | OverdueCheckpoint


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a job, as the end of a line that begins with its name, and what to do; "" where it is only to be waited for.

    `fails` is False of a job that works, but without checkpoints.
    """

    words: str
    advice: str = ""
    fails: bool = True

    def __str__(self) -> str:
        return f"{self.words}. {self.advice}" if self.advice else self.words


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job is. `restarts` counts since the JobManager took the job over. `problem` is None where the job runs."""

    name: str
    state: str
    restarts: int
    checkpoint: Checkpoint | None
    problem: str | None
    advice: str | None = None
    """What to do about the problem, where there is something to do."""


def newest(settings: Settings, names: Collection[str]) -> dict[str, Job]:
    """Name to job, for those of `names` that Flink knows; the newest where it knows several. Raises NoAnswer."""
    return {job.name: job for job in rest(settings).jobs() if job.name in names}


def cancel(settings: Settings, name: str) -> list[Job]:
    """Cancels the jobs of this name that have not ended, and waits until they have. Gives them.

    Raises UserError where one does not end in time.
    """

    def running() -> list[Job]:
        return [job for job in answered(rest(settings).jobs) if job.name == name and not job.ended]

    ending = running()
    for job in ending:
        rest(settings).cancel(job.id)
    ids = {job.id for job in ending}
    if not until(lambda: not ids & {job.id for job in running()}, CANCEL_DEADLINE_S):
        raise UserError(
            f"The job {name} was cancelled and has not ended after {CANCEL_DEADLINE_S} s.",
            "Look at Flink's web page (`fraudlab open flink`), then try again.",
        )
    return ending


def attempt_s(settings: Settings, job: Job) -> float:
    """The seconds since the newest of a job's tasks was started, for the first time or again; 0 where one is not started."""
    seen = rest(settings).job(job.id)
    started_ms = [int(vertex["start-time"]) for vertex in seen["vertices"]]
    return max(0.0, (int(seen["now"]) - max(started_ms)) / 1000) if min(started_ms) > 0 else 0.0


def latest_checkpoint(settings: Settings, job: Job) -> str | None:
    """Where a job's last complete checkpoint is, or the one that it has gone on from; None where it has none."""
    latest = rest(settings).checkpoints(job.id)["latest"]
    found = [one for one in (latest["completed"], latest["savepoint"], latest["restored"]) if one]
    newest_one = max(found, key=lambda one: int(one["id"]), default=None)
    return str(newest_one["external_path"]) if newest_one else None


def failures(settings: Settings, job: Job) -> list[Failure]:
    """What made a job fail, the newest first; Flink keeps the last 16. Empty where Flink has just forgotten the job."""
    try:
        entries = rest(settings).exceptions(job.id)
    except Refused:
        return []
    found = [Failure(int(one["timestamp"]), cause_of(str(one["stacktrace"]))) for one in entries]
    return sorted(found, key=lambda failure: failure.at_ms, reverse=True)


def loop_cause(failed: Sequence[Failure], since_ms: int) -> Cause | None:
    """Why a job restarts in a loop, judged by its failures (the newest first) since then; None where it does not.

    Where failures name a record, RECORD_ATTEMPTS of them count, whenever they were: the job may take long to get there again.
    """
    if not failed or failed[0].at_ms < since_ms:
        return None
    cause = failed[0].cause
    if cause.record is not None:
        attempts = _attempts(failure.at_ms for failure in failed if failure.cause.record == cause.record)
        if attempts >= RECORD_ATTEMPTS:
            return Cause(f"{cause.what}, {attempts} times", SKIP_ADVICE.format(cause.record), cause.record)
    same = [failure.at_ms for failure in failed if failure.kind == failed[0].kind and failure.at_ms >= since_ms]
    return cause if _attempts(same) >= (RECORD_ATTEMPTS if cause.record else LOOP_ATTEMPTS) else None


def has_settled(job: Job, failed: Sequence[Failure], now_ms: int) -> bool:
    """Whether a job runs, and is past what failed before: in a loop there are moments in which all tasks run."""
    return job.runs and (not failed or now_ms - failed[0].at_ms > RECOVERED_MS)


def trouble(settings: Settings, job: Job) -> Trouble | None:
    """How and why a job fails; None where it runs, or just starts."""
    return trouble_of(job, failures(settings, job), checkpoint_trouble(settings, job), _now_ms())


def trouble_of(
    job: Job, failed: Sequence[Failure], checkpoints: CheckpointTrouble | None, now_ms: int
) -> Trouble | None:
    """`trouble`, of a job, its failures, the newest first, and what is wrong with its checkpoints."""
    if job.ended:
        if job.state == "FAILED" and failed:
            return Trouble(f"has ended: {failed[0].cause.what}", failed[0].cause.advice)
        return Trouble("has ended", "`fraudlab up` submits it again.")
    settled, loop = has_settled(job, failed, now_ms), loop_cause(failed, now_ms - RECENT_MS)
    # A job may run for a while before it meets the same record again.
    if loop is not None and (loop.record or not settled):
        return Trouble(f"keeps failing: {loop.what}", loop.advice)
    if not settled and not job.runs and failed and now_ms - failed[0].at_ms <= RECENT_MS:
        return Trouble(f"is restarting: {failed[0].cause.what}")
    match checkpoints:
        case FailedCheckpoints(count, cause) if count >= LOOP_ATTEMPTS:
            return Trouble(f"runs, but its last {count} checkpoints failed: {cause.what}", cause.advice)
        case OverdueCheckpoint(for_ms, first):
            since = ", since its start" if first else ""
            words = f"runs, but has completed no checkpoint for {for_ms // 60_000} min{since}"
            return Trouble(words, OVERDUE_ADVICE, fails=False)
    return None


def problem_of(
    job: Job, failed: Sequence[Failure], checkpoints: CheckpointTrouble | None, now_ms: int
) -> Trouble | None:
    """The same, of a job that starts, too: None only where all of it runs."""
    starting = None if job.runs else Trouble(f"is starting: {job.running_tasks} of {job.tasks} tasks run")
    return trouble_of(job, failed, checkpoints, now_ms) or starting


def checkpoint_trouble(settings: Settings, job: Job) -> CheckpointTrouble | None:
    """What is wrong with a job's checkpoints; None where nothing is, or where Flink has forgotten the job, or takes none of it."""
    if job.ended:
        return None
    try:
        seen = rest(settings).checkpoints(job.id)
        failed = failed_checkpoints(settings, job, seen)
        if not job.runs or (failed is not None and failed.count >= LOOP_ATTEMPTS):
            return failed
        if _now_ms() - max(job.started_ms, _completed_ms(seen)) < OVERDUE_MS:
            return failed  # as usual: nothing more has to be asked
        interval_ms = rest(settings).checkpoint_interval_ms(job.id)
        return overdue_checkpoint(seen, rest(settings).job(job.id), interval_ms) or failed
    except Refused:
        return None


def overdue_checkpoint(seen: Any, job: Any, interval_ms: int) -> OverdueCheckpoint | None:
    """Whether a running job should have completed a checkpoint by now, of what Flink says of its checkpoints, and of the job.

    The newest task's start counts, too: until then no checkpoint was possible. So does a checkpoint's, in progress: it is given as
    long again, as after a JobManager was held or the machine slept.
    """
    now_ms, completed_ms = int(job["now"]), _completed_ms(seen)
    started_ms = max(int(vertex["start-time"]) for vertex in job["vertices"])
    triggered_ms = [int(one["trigger_timestamp"]) for one in seen["history"] if one["status"] == "IN_PROGRESS"]
    if now_ms - max(completed_ms, started_ms, *triggered_ms) < max(OVERDUE_INTERVALS * interval_ms, OVERDUE_MS):
        return None
    first = not completed_ms and not seen["latest"]["restored"]
    return OverdueCheckpoint(now_ms - (completed_ms or started_ms), first=first)


def _completed_ms(seen: Any) -> int:
    completed = seen["latest"]["completed"]
    return int(completed["latest_ack_timestamp"]) if completed else 0


def failed_checkpoints(settings: Settings, job: Job, seen: Any) -> FailedCheckpoints | None:
    """The checkpoints that failed since the last complete one, of what Flink says of them; None where the last one did not fail."""
    known = sorted(seen["history"], key=lambda one: int(one["id"]), reverse=True)
    ended = [one for one in known if one["status"] != "IN_PROGRESS"]
    count = len(list(takewhile(lambda one: one["status"] == "FAILED", ended)))
    if not count:
        return None
    said = str((seen["latest"]["failed"] or {}).get("failure_message") or "no reason given")
    return FailedCheckpoints(count, _checkpoint_cause(settings, job, said))


def _checkpoint_cause(settings: Settings, job: Job, said: str) -> Cause:
    """Why a job's newest checkpoint failed. REST only gives the outermost message; the JobManager's log has the rest."""
    beginning, trace = re.compile(rf"Failed to trigger or complete checkpoint \d+ for job {job.id}"), [said]
    log = Layout(settings.home).logs / f"{JOBMANAGER}.log"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    starts = [number for number, line in enumerate(lines) if beginning.search(line)]
    if starts:
        trace = list(takewhile(lambda line: not _LOG_LINE.match(line), lines[starts[-1] + 1 :])) or trace
    cause = cause_of("\n".join(trace))
    return Cause(cause.what, cause.advice.replace(LOOK_FOR_MORE, CHECKPOINTS_WAIT))


def status(settings: Settings, names: Iterable[str]) -> list[JobStatus]:
    """How the jobs of these names are. Raises NoAnswer."""
    wanted = list(names)
    known = newest(settings, wanted)
    return [_status(settings, known[name]) if name in known else _absent(name) for name in wanted]


def cause_of(stacktrace: str) -> Cause:
    """The root cause of a failure in words."""
    said, messages = root_cause(stacktrace), "\n".join(_messages(stacktrace))
    for pattern, what, advice in KNOWN:
        found = re.search(pattern, messages)
        if found:
            return Cause(f"{found.expand(what)} ({said})", advice)
    record = _RECORD.search(messages)
    if record is not None and not _NO_RECORDS_FAULT.search(messages):
        said = _RECORD_BEFORE_CAUSE.sub("", said)
        return Cause(f"{said}, while processing the record {record[1]}", LOOK_FOR_MORE, record[1])
    return Cause(said, LOOK_FOR_MORE)


def root_cause(stacktrace: str) -> str:
    """`Class: message` of the innermost exception, on one line; of a Python exception its class and message."""
    blocks: list[list[str]] = [[]]
    for line in stacktrace.splitlines():
        if line.startswith("Caused by: "):
            blocks.append([])
        blocks[-1].append(line.removeprefix("Caused by: "))
    said = list(takewhile(lambda line: not _FRAME.match(line), blocks[-1]))
    traceback = max((number for number, line in enumerate(said) if line.startswith("Traceback (")), default=None)
    if traceback is not None:
        said = [line for line in said[traceback + 1 :] if line and not line[0].isspace()] or said
    first = _PYTHON_CLASS.sub(r"\1", said[0].strip() if said else "unknown exception")
    short = _PACKAGE.sub("", first)
    return short if len(short) <= LONGEST_WORDS else f"{short[:LONGEST_WORDS]}…"


_FRAME = re.compile(r"\s+(at |\.\.\. \d+ |Suppressed: |Caused by: )")
_PACKAGE = re.compile(r"^(?:[a-z_][\w$]*\.)+(?=[A-Z])")
_PYTHON_CLASS = re.compile(r"^.*<class '(?:[\w.]+\.)?(\w+)'>")

_RECORD = re.compile(r"while processing the record ([\w.-]+-\d+-\d+)")
_RECORD_BEFORE_CAUSE = re.compile(r"^\w+: while processing the record \S+: ")
_NO_RECORDS_FAULT = re.compile(r"Failed to send data to Kafka|apache\.kafka\.common\.errors|InterruptedException")
"""Kafka's producer reports later, while another record is processed."""

_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d ")

ACCOUNT_ADVICE = (
    "An account uses what its job needs, and a learner's what begins with the learner's name. Correct the name; "
    "`fraudlab up` gives the accounts of the pipeline their rights again."
)
KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"loadedLibraryNames|libpython",
        "the TaskManager cannot load Python, whose shared library (libpython) is missing or broken",
        "`fraudlab doctor` says what is missing. Install it, then `fraudlab down` and `fraudlab up`.",
    ),
    (
        r"Access denied for user ('[^']*')",
        r"MySQL rejects the login of \1",
        "The job keeps the password that it was submitted with. Cancel it in Flink's web page, then `fraudlab up` submits it again.",
    ),
    (
        r"SaslAuthenticationException",
        "Kafka rejects the log-in of the job's account",
        "The job keeps the password that it was submitted with. Cancel it in Flink's web page, then `fraudlab up` submits it again.",
    ),
    (
        r"Timed out waiting for a node assignment",
        "Kafka does not answer the job",
        "`fraudlab status` shows whether Kafka runs. A job from before Kafka had accounts has no log-in: cancel it in Flink's web page, "
        "then `fraudlab up` submits it again.",
    ),
    (
        r"TopicAuthorizationException(?:: Not authorized to access topics:( \[.*\]))?",
        r"Kafka does not let the job's account use a topic\1",
        ACCOUNT_ADVICE,
    ),
    (
        r"GroupAuthorizationException(?:: Not authorized to access group:( \S+))?",
        r"Kafka does not let the job's account use a consumer group\1",
        ACCOUNT_ADVICE,
    ),
    (
        r"TransactionalIdAuthorizationException",
        "Kafka does not let the job's account use its transactional id",
        ACCOUNT_ADVICE,
    ),
    (
        r"no longer available on the server|purged required binary logs|Could not find first log file name",
        "MySQL has purged the part of the binlog that the job has not read yet",
        SNAPSHOT_ADVICE,
    ),
    (
        r"metadata for topics \[(.*)\][\s\S]*UnknownTopicOrPartition|Topic (\S+) not present in metadata",
        r"a topic does not exist, one of \1\2",
        "`fraudlab up` creates the topics of the pipeline. Check the name of any other.",
    ),
    (
        r"NoResourceAvailableException",
        NO_SLOT,
        "If `fraudlab status` says that the taskmanager is not running, wait: it is restarted, and the job goes on. Otherwise cancel a job "
        "that you do not need in Flink's web page, or raise FRAUDLAB_TASK_SLOTS and restart the stack.",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full",
        "Free space, or move FRAUDLAB_HOME to another disk. The job goes on by itself.",
    ),
    (
        r"probably out of sync with real database schema|Data row is smaller than a column index",
        "the columns of a table have moved, and the job has not seen how",
        SNAPSHOT_ADVICE,
    ),
    (
        r"Communications link failure[\s\S]*(?:CertPathValidatorException|PKIX path)",
        "what answers at MySQL's port is not the MySQL that the job trusts",
        "`fraudlab status` shows whether this stack's MySQL has its port. If MySQL has a new certificate, cancel the job in "
        "Flink's web page, then `fraudlab up` submits it again.",
    ),
    (
        r"Communications link failure",
        "MySQL does not answer the job",
        "`fraudlab status` shows whether MySQL runs, `fraudlab logs mysql` what it says.",
    ),
)
"""Exceptions that are known: how one is recognised, what it means, and what to do."""


def _messages(stacktrace: str) -> list[str]:
    return [line for line in stacktrace.splitlines() if not _FRAME.match(line)]


def _attempts(at_ms: Iterable[int]) -> int:
    attempts, last = 0, -ATTEMPT_MS
    for moment in sorted(at_ms):
        attempts += moment - last >= ATTEMPT_MS
        last = moment
    return attempts


def _absent(name: str) -> JobStatus:
    return JobStatus(name, ABSENT, 0, None, "does not run: nobody has submitted it", "`fraudlab up` submits it.")


def _status(settings: Settings, job: Job) -> JobStatus:
    failed = failures(settings, job)
    counted, completed = 0, None
    if not job.ended:
        # The metric comes seconds late, the history at once, but it forgets the oldest.
        counted = max(rest(settings).restarts(job.id), _attempts(one.at_ms for one in failed))
        completed = rest(settings).checkpoints(job.id)["latest"]["completed"]
    checkpoint = (
        Checkpoint(int(completed["id"]), int(completed["latest_ack_timestamp"]), int(completed["state_size"]))
        if completed
        else None
    )
    problem = problem_of(job, failed, checkpoint_trouble(settings, job), _now_ms())
    words, advice = (problem.words, problem.advice or None) if problem else (None, None)
    return JobStatus(job.name, job.state, counted, checkpoint, words, advice)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
