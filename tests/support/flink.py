"""Flink's REST API, as far as the tests need it."""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from fraudlab.settings import Settings
from tests.support.waiting import eventually

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


def ask(settings: Settings, path: str, method: str = "GET") -> Any:
    """The JSON answer of a path of the REST API; None where the answer has no body."""
    request = urllib.request.Request(f"{settings.flink_url}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        body = answer.read()
    return json.loads(body) if body else None


def jobs_of(settings: Settings) -> list[Job]:
    """The learner's jobs that have not ended."""
    names = {settings.names.job(job) for job in ("cdc-ingestion", "transaction-join", "fraud-detector")}
    return [
        Job(
            job["jid"], job["name"], job["state"], _restarts(settings, job["jid"]), _failures(settings, job["jid"])
        )
        for job in ask(settings, "/jobs/overview")["jobs"]
        if job["name"] in names and job["state"] not in ENDED
    ]


def _restarts(settings: Settings, job_id: str) -> int:
    (metric,) = ask(settings, f"/jobs/{job_id}/metrics?get=numRestarts") or [{"value": "0"}]
    return int(metric["value"])


def _failures(settings: Settings, job_id: str) -> int:
    return len(ask(settings, f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"])


def cancel(settings: Settings) -> None:
    """Ends the learner's jobs, and waits until their slots are free."""
    for job in jobs_of(settings):
        ask(settings, f"/jobs/{job.id}?mode=cancel", "PATCH")
    eventually(lambda: not jobs_of(settings), f"jobs {settings.names.job('*')} end")
