"""What the class server does by itself, so that one learner's mistake costs the others nothing. The learner is told what was done."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import psutil

from fraudlab.classroom import telling
from fraudlab.classroom.reading import Class
from fraudlab.classroom.room import Room
from fraudlab.classroom.watching import Job, Kernel, Learner
from fraudlab.clients.flink_rest import NoAnswer
from fraudlab.course.workspace import SLOTS_PER_LEARNER

log = logging.getLogger("fraudlab.classroom")


class Caretaker:
    """Ends jobs and kernels that take what is the others'."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._ended: set[str | int] = set()
        """Jobs and kernels that were told to end, and may still be seen."""

    def look(self, seen: Class) -> None:
        """Does what has to be done about a class as it is now. What Flink does not do now is tried at the next look."""
        settings = self._room.settings
        jobs = [job for job in seen.jobs if job.id not in self._ended]
        with suppress(NoAnswer):
            for name in idle_with_jobs(seen.at, seen.learners, jobs, timedelta(seconds=settings.class_idle_s)):
                log.info("%s has left: their jobs end", name)
                telling.park(self._room, name, own := [job for job in jobs if job.learner == name])
                self._ended |= {job.id for job in own}
            for job in beyond_their_share(jobs):
                log.info("%s has more jobs than task slots: %s ends", job.learner, job.name)
                telling.end_job(self._room, job.id)
                self._ended.add(job.id)
                self._tell(
                    job.learner,
                    f"Your job `{job.name}` was ended: a learner has {SLOTS_PER_LEARNER} task slots, and your jobs needed more. "
                    '`lab.jobs()` lists them, `lab.cancel("NAME")` ends one.',
                )
        for kernel in too_large(seen.kernels, settings.class_kernel_mib):
            if kernel.pid in self._ended:
                continue
            log.info("a kernel of %s holds %s MiB and ends", kernel.learner, kernel.mib)
            self._ended.add(kernel.pid)
            with suppress(psutil.Error):
                psutil.Process(kernel.pid).kill()
            self._tell(
                kernel.learner,
                f"A notebook of yours was restarted: its kernel held {kernel.mib} MiB of memory, and the limit is "
                f"{settings.class_kernel_mib}. Its variables are lost. Run its cells again, without the one that made so much.",
            )

    def _tell(self, name: str, text: str) -> None:
        telling.announce(self._room, [name], text)


def beyond_their_share(jobs: Sequence[Job]) -> list[Job]:
    """The newest jobs of learners whose jobs need more task slots than a learner has. `jobs` begin with the oldest."""
    used: dict[str, int] = {}
    found = []
    for job in jobs:
        used[job.learner] = used.get(job.learner, 0) + job.slots
        if used[job.learner] > SLOTS_PER_LEARNER:
            found.append(job)
            used[job.learner] -= job.slots
    return found


def too_large(kernels: Sequence[Kernel], mib: int) -> list[Kernel]:
    """Kernels that hold more memory than one may; none where `mib` is 0."""
    return [one for one in kernels if mib and one.mib > mib]


def idle_with_jobs(now: datetime, learners: Sequence[Learner], jobs: Sequence[Job], idle: timedelta) -> list[str]:
    """Learners who have run no cell for so long, though they have jobs, all of them as old; nobody where `idle` is 0."""
    since = now - idle
    newest = {job.learner: job.started for job in jobs}  # the oldest come first
    return [
        one.name
        for one in learners
        if idle and newest.get(one.name, now) < since and (one.last_seen is None or one.last_seen < since)
    ]
