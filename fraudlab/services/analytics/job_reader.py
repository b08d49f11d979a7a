"""Checks the pipeline's jobs and services, as `fraudlab status` does."""

from fraudlab.pipeline.contracts import JOBS
from fraudlab.services.analytics.model import JobProblem
from fraudlab.services.analytics.reader import Feed, Reader
from fraudlab.settings import Settings
from fraudlab.system import job_status, login_problem

LOOK_EVERY_S = 5.0
SERVICES = ("flagger", "notifier")


class JobReader(Reader):
    """Asks Flink for the jobs, MySQL for the services' accounts, and why one of them does not do its work."""

    source = "Flink"
    errors = (OSError,)  # as `flink_rest.NoAnswer` is

    def __init__(self, settings: Settings, feed: Feed) -> None:
        super().__init__(feed)
        self._settings = settings

    def read(self) -> None:
        names = [self._settings.names.job(job) for job in JOBS]
        while not self.stopped.is_set():
            problems = [
                JobProblem(one.name, one.problem, one.advice or "")
                for one in job_status(self._settings, names)
                if one.problem is not None
            ]
            problems += self._services()
            self.feed(lambda model, problems=problems: model.take_jobs(problems))  # type: ignore[misc]
            self.answers()
            self.stopped.wait(LOOK_EVERY_S)

    def _services(self) -> list[JobProblem]:
        if self._settings.in_container:  # there only the service itself has its password
            return []
        names = [self._settings.names.group(one) for one in SERVICES]
        found = [(name, login_problem(self._settings, role)) for name, role in zip(names, SERVICES, strict=True)]
        return [JobProblem(name, what, f"`fraudlab logs {name}` says more.") for name, what in found if what]
