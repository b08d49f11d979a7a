"""Flink's REST API."""

import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

ENDED = ("FAILED", "CANCELED", "FINISHED")
ALREADY_ENDED = (404, 409)
"""With these Flink refuses to cancel a job that has ended."""

TIMEOUT_S = 3
CHANGE_TIMEOUT_S = 10
"""What changes something may take so long, at least."""
KEPT_S = 1.0
"""How long a connection waits for the next question. A few are asked at a time, and a handshake costs Flink 10 ms of a core. Not longer:
whether Flink accepts a connection is part of the answer."""


class NoAnswer(ConnectionError):  # noqa: N818 - what did not come
    """Flink did not answer, or its answer was no JSON."""


class Refused(NoAnswer):
    """Flink answered with an error: it does not know the job, for instance, or is not ready yet."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


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
class FlinkRest:
    """A Flink cluster, by its REST API. All methods raise NoAnswer.

    Attributes:
        url: `https://host:port`.
        context: Which certificate Flink must have, and which one this client shows.
        timeout_s: How long Flink may take to answer.
    """

    url: str
    context: ssl.SSLContext
    timeout_s: float = TIMEOUT_S

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._ask("GET", path)

    def jobs(self) -> list[Job]:
        """All jobs that Flink knows, the oldest first."""
        return sorted((_job(one) for one in self.get("/jobs/overview")["jobs"]), key=lambda job: job.started_ms)

    def job(self, job_id: str) -> Any:
        """A job in detail: its state, and each of its parts."""
        return self.get(f"/jobs/{job_id}")

    def exceptions(self, job_id: str) -> list[Any]:
        """What made a job fail; Flink keeps the last 16."""
        return list(self.get(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"])

    def restarts(self, job_id: str) -> int:
        """How often a job was restarted since the JobManager took it over, as the metrics say, which come seconds late."""
        metrics = self.get(f"/jobs/{job_id}/metrics?get=numRestarts")
        return int(metrics[0]["value"]) if metrics else 0

    def checkpoints(self, job_id: str) -> Any:
        """A job's checkpoints: how many, the latest of each kind, the history."""
        return self.get(f"/jobs/{job_id}/checkpoints")

    def checkpoint_interval_ms(self, job_id: str) -> int:
        """From one checkpoint of a job to the next."""
        return int(self.get(f"/jobs/{job_id}/checkpoints/config")["interval"])

    def cancel(self, job_id: str) -> None:
        """Asks Flink to cancel a job, unless it has ended. It ends later."""
        try:
            self._ask("PATCH", f"/jobs/{job_id}?mode=cancel")
        except Refused as error:
            if error.status not in ALREADY_ENDED:
                raise

    def take_checkpoint(self, job_id: str) -> None:
        """Asks Flink for a checkpoint. It is complete later."""
        self._ask("POST", f"/jobs/{job_id}/checkpoints", {})

    def stop(self, job_id: str) -> str:
        """Asks Flink to stop a job with a savepoint. Returns what `savepoint` takes."""
        return str(self._ask("POST", f"/jobs/{job_id}/stop", {"drain": False})["request-id"])

    def savepoint(self, job_id: str, request: str) -> Any:
        """What came of a savepoint: its `location` or its `failure-cause`; None while it is taken."""
        said = self.get(f"/jobs/{job_id}/savepoints/{request}")
        return said["operation"] if said["status"]["id"] == "COMPLETED" else None

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        import httpx  # here: it takes a tenth of a second and 8 MiB, and most programs never ask Flink

        timeout_s = self.timeout_s if method == "GET" else max(self.timeout_s, CHANGE_TIMEOUT_S)
        try:
            answer = _client(self.context).request(method, self.url + path, json=body, timeout=timeout_s)
            if not answer.is_success:
                raise Refused(answer.status_code)
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error


@lru_cache(maxsize=4)
def _client(context: ssl.SSLContext) -> "httpx.Client":
    import httpx

    # No proxy: it has no key.
    return httpx.Client(verify=context, trust_env=False, limits=httpx.Limits(keepalive_expiry=KEPT_S))


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
