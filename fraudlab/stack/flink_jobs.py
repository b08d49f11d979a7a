"""The jobs of the Flink cluster: how each one is, and in words why one does not run."""

import http.client
import re
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from fraudlab.settings import Settings
from fraudlab.stack.flink import get_json

ENDED = ("FAILED", "CANCELED", "FINISHED")
ABSENT = "ABSENT"
"""The state of a job that Flink does not know. The other states are Flink's own."""

LOOP_ATTEMPTS = 3
"""So many attempts must fail for the same reason before a job counts as one that restarts in a loop.

One or two are a neighbour that is still starting, or a crash that passes. Flink tries again after a second, so three take three seconds.
"""
ATTEMPT_MS = 500
"""Failures closer together than this belong to one attempt: the parts of a job fail one by one."""
RECOVERED_MS = 5000
"""A job whose tasks have all run for this long has recovered from what failed before."""
RECENT_MS = 30_000
"""`trouble` looks back this far. Older failures say nothing about now."""
LONGEST_WORDS = 240


@dataclass(frozen=True, slots=True)
class Job:
    """A job as Flink lists it. `running_tasks` of `tasks` run or are done; a job can be RUNNING while its tasks still start."""

    id: str
    name: str
    state: str
    started_ms: int
    running_tasks: int
    tasks: int

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def runs(self) -> bool:
        """Whether all of it runs."""
        return self.state == "RUNNING" and self.running_tasks == self.tasks


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a job failed: what happened, as the middle of a sentence, and what to do."""

    what: str
    advice: str


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
class JobStatus:
    """How a job is. `restarts` counts since the JobManager took the job over. `problem` is None where the job runs."""

    name: str
    state: str
    restarts: int
    checkpoint: Checkpoint | None
    problem: str | None


def jobs(settings: Settings) -> list[Job]:
    """All jobs that Flink knows, the oldest first. Raises what `get_json` raises."""
    known = [_job(entry) for entry in get_json(settings, "/jobs/overview")["jobs"]]
    return sorted(known, key=lambda job: job.started_ms)


def newest(settings: Settings, names: Collection[str]) -> dict[str, Job]:
    """Name to job, for those of `names` that Flink knows; the newest where it knows several."""
    return {job.name: job for job in jobs(settings) if job.name in names}


def failures(settings: Settings, job: Job) -> list[Failure]:
    """What made a job fail, the newest first; Flink keeps the last 16. Empty where Flink has just forgotten the job."""
    try:
        entries = get_json(settings, f"/jobs/{job.id}/exceptions")["exceptionHistory"]["entries"]
    except http.client.HTTPException:
        return []
    found = [Failure(int(one["timestamp"]), cause_of(str(one["stacktrace"]), settings.flink_page)) for one in entries]
    return sorted(found, key=lambda failure: failure.at_ms, reverse=True)


def loop_cause(failed: Sequence[Failure], since_ms: int) -> Cause | None:
    """Why a job restarts in a loop, judged by its failures (the newest first) since then; None where it does not."""
    if not failed:
        return None
    same = [failure.at_ms for failure in failed if failure.kind == failed[0].kind and failure.at_ms >= since_ms]
    return failed[0].cause if _attempts(same) >= LOOP_ATTEMPTS else None


def has_settled(job: Job, failed: Sequence[Failure], now_ms: int) -> bool:
    """Whether a job runs, and is past what failed before: in a loop there are moments in which all tasks run."""
    return job.runs and (not failed or now_ms - failed[0].at_ms > RECOVERED_MS)


def trouble(settings: Settings, job: Job) -> str | None:
    """How and why a job fails, as the end of a line that begins with its name; None where it runs, or just starts."""
    return trouble_of(job, failures(settings, job), _now_ms())


def trouble_of(job: Job, failed: Sequence[Failure], now_ms: int) -> str | None:
    """`trouble`, of a job and its failures, the newest first."""
    if job.ended:
        return f"has ended: {failed[0].cause.what}" if job.state == "FAILED" and failed else "has ended"
    if has_settled(job, failed, now_ms):
        return None
    loop = loop_cause(failed, now_ms - RECENT_MS)
    if loop is not None:
        return f"keeps failing: {loop.what}"
    if not job.runs and failed and now_ms - failed[0].at_ms <= RECENT_MS:
        return f"is restarting: {failed[0].cause.what}"
    return None


def problem_of(job: Job, failed: Sequence[Failure], now_ms: int) -> str | None:
    """The same, of a job that starts, too: None only where all of it runs."""
    starting = None if job.runs else f"is starting: {job.running_tasks} of {job.tasks} tasks run"
    return trouble_of(job, failed, now_ms) or starting


def status(settings: Settings, names: Iterable[str]) -> list[JobStatus]:
    """How the jobs of these names are. Raises what `get_json` raises."""
    wanted = list(names)
    known = newest(settings, wanted)
    return [_status(settings, known[name]) if name in known else _absent(name) for name in wanted]


def cause_of(stacktrace: str, page: str) -> Cause:
    """The root cause of a failure in words. `page` is Flink's web page, where the rest is."""
    said, messages = root_cause(stacktrace), "\n".join(_messages(stacktrace))
    for pattern, what, advice in KNOWN:
        found = re.search(pattern, messages)
        if found:
            return Cause(f"{found.expand(what)} ({said})", advice)
    return Cause(said, f"{page} shows the job's whole exception, `fraudlab logs taskmanager` what led to it.")


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
        r"no longer available on the server|purged required binary logs|Could not find first log file name",
        "MySQL has purged the part of the binlog that the job has not read yet",
        "Cancel the job in Flink's web page, then `fraudlab up`: the job takes a new snapshot.",
    ),
    (
        r"metadata for topics \[(.*)\][\s\S]*UnknownTopicOrPartition|Topic (\S+) not present in metadata",
        r"a topic does not exist, one of \1\2",
        "`fraudlab up` creates the topics of the pipeline. Check the name of any other.",
    ),
    (
        r"NoResourceAvailableException",
        "Flink has no free task slot for the job",
        "Cancel a job that you do not need in Flink's web page, or raise FRAUDLAB_TASK_SLOTS and restart the stack.",
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


def _job(entry: dict[str, Any]) -> Job:
    tasks = entry["tasks"]
    return Job(
        str(entry["jid"]),
        str(entry["name"]),
        str(entry["state"]),
        int(entry["start-time"]),
        int(tasks["running"]) + int(tasks["finished"]),
        int(tasks["total"]),
    )


def _absent(name: str) -> JobStatus:
    return JobStatus(name, ABSENT, 0, None, "does not run: nobody has submitted it")


def _status(settings: Settings, job: Job) -> JobStatus:
    failed = failures(settings, job)
    counted, completed = 0, None
    if not job.ended:
        metrics = get_json(settings, f"/jobs/{job.id}/metrics?get=numRestarts")
        # The metric comes seconds late, the history at once, but it forgets the oldest.
        counted = max(int(metrics[0]["value"]) if metrics else 0, _attempts(one.at_ms for one in failed))
        completed = get_json(settings, f"/jobs/{job.id}/checkpoints")["latest"]["completed"]
    checkpoint = (
        Checkpoint(int(completed["id"]), int(completed["latest_ack_timestamp"]), int(completed["state_size"]))
        if completed
        else None
    )
    return JobStatus(job.name, job.state, counted, checkpoint, problem_of(job, failed, _now_ms()))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
