"""Flink's REST API, as far as the tests need it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fraudlab.clients.flink_rest import FlinkRest
from fraudlab.settings import Settings
from fraudlab.stack import flink
from tests.support.waiting import eventually, patient

T = TypeVar("T")


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


def _answer(settings: Settings, ask: Callable[[FlinkRest], T]) -> T:
    return flink.answered(lambda: ask(flink.rest(settings)), patient(30))


def jobs_of(settings: Settings) -> list[Job]:
    """The learner's jobs that have not ended."""
    names = {settings.names.job(job) for job in ("cdc-ingestion", "transaction-join", "fraud-detector")}
    mine = [job for job in _answer(settings, FlinkRest.jobs) if job.name in names and not job.ended]
    return [_job(settings, job.id, job.name, job.state) for job in mine]


def _job(settings: Settings, job_id: str, name: str, state: str) -> Job:
    failures = _answer(settings, lambda rest: rest.exceptions(job_id))
    return Job(job_id, name, state, _answer(settings, lambda rest: rest.restarts(job_id)), len(failures))


def _checkpoints(settings: Settings, job_id: str) -> Any:
    return _answer(settings, lambda rest: rest.checkpoints(job_id))


def restored_from(settings: Settings, job_id: str) -> int | None:
    """The checkpoint that a job has last gone on from; None where it has not, since the JobManager last took it over."""
    restored = _checkpoints(settings, job_id)["latest"]["restored"]
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
    completed = _checkpoints(settings, job_id)["latest"]["completed"]
    return int(completed["trigger_timestamp"]) if completed else 0


def cancel(settings: Settings) -> None:
    """Ends the learner's jobs, and waits until their slots are free."""
    for job in jobs_of(settings):
        flink.rest(settings, patient(10)).cancel(job.id)
    eventually(lambda: not jobs_of(settings), f"jobs {settings.names.job('*')} end")
