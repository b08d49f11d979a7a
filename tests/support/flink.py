"""Flink's REST API, as far as the tests need it."""

import time
from dataclasses import dataclass
from typing import Any

from fraudlab.settings import Settings
from fraudlab.stack.flink import answered, get_json, request
from tests.support.waiting import eventually, patient

ENDED = {"FAILED", "CANCELED", "FINISHED"}


@dataclass(frozen=True)
class Job:
    """A job as Flink knows it. `restarts` and `failures` count since the JobManager last took it over.

    `restarts` comes a few seconds late, with the metrics; `failures`, of which Flink keeps the last, comes at once.
    """

    id: str
    name: str
    state: str
    restarts: int
    failures: int


def _get(settings: Settings, path: str) -> Any:
    return answered(lambda: get_json(settings, path), patient(30))


def jobs_of(settings: Settings) -> list[Job]:
    """The learner's jobs that have not ended."""
    names = {settings.names.job(job) for job in ("cdc-ingestion", "transaction-join", "fraud-detector")}
    return [
        Job(job["jid"], job["name"], job["state"], _restarts(settings, job["jid"]), _failures(settings, job["jid"]))
        for job in _get(settings, "/jobs/overview")["jobs"]
        if job["name"] in names and job["state"] not in ENDED
    ]


def _restarts(settings: Settings, job_id: str) -> int:
    (metric,) = _get(settings, f"/jobs/{job_id}/metrics?get=numRestarts") or [{"value": "0"}]
    return int(metric["value"])


def _failures(settings: Settings, job_id: str) -> int:
    return len(_get(settings, f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"])


def restored_from(settings: Settings, job_id: str) -> int | None:
    """The checkpoint that a job has last gone on from; None where it has not, since the JobManager last took it over."""
    restored = _get(settings, f"/jobs/{job_id}/checkpoints")["latest"]["restored"]
    return int(restored["id"]) if restored else None


def await_something_to_restore(settings: Settings) -> None:
    """Waits until each of the learner's jobs has a checkpoint to go back to, from whenever."""
    eventually(
        lambda: all(
            _last_checkpoint_ms(settings, job.id) or restored_from(settings, job.id) for job in jobs_of(settings)
        ),
        "a checkpoint of each job",
    )


def await_checkpoint(settings: Settings) -> None:
    """Waits until each of the learner's jobs has completed a checkpoint that began after this call."""
    now_ms = time.time_ns() // 1_000_000
    eventually(
        lambda: all(_last_checkpoint_ms(settings, job.id) > now_ms for job in jobs_of(settings)),
        "checkpoints of all jobs",
    )


def _last_checkpoint_ms(settings: Settings, job_id: str) -> int:
    completed = _get(settings, f"/jobs/{job_id}/checkpoints")["latest"]["completed"]
    return int(completed["trigger_timestamp"]) if completed else 0


def cancel(settings: Settings) -> None:
    """Ends the learner's jobs, and waits until their slots are free."""
    for job in jobs_of(settings):
        request(settings, "PATCH", f"/jobs/{job.id}?mode=cancel", timeout_s=patient(10))
    eventually(lambda: not jobs_of(settings), f"jobs {settings.names.job('*')} end")
