"""What the instructor's page shows, read from learners' folders, the hub, Flink and the machine."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import psutil

from fraudlab.classroom.programs import Hub, Seat
from fraudlab.classroom.room import Room
from fraudlab.classroom.watching import Job, Kernel, Learner
from fraudlab.clients import flink_rest
from fraudlab.clients.flink_rest import NoAnswer
from fraudlab.course.messages import OF_CLASS, Messages
from fraudlab.course.progress import Progress
from fraudlab.errors import UserError
from fraudlab.stack import flink, space
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisor import ServiceStatus, Stack
from fraudlab.stack.supervisord import marked_processes, module

EVERY_S = 2
STACK_EVERY = 5
"""How many looks apart the stack is asked, which costs more than reading files."""

log = logging.getLogger("fraudlab.classroom")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine at a glance: shares from 0 to 1, and Flink's task slots."""

    cpu: float = 0
    memory: float = 0
    memory_gib: float = 0
    disk_free: float = 0
    slots_free: int = 0
    slots: int = 0


@dataclass(frozen=True)
class Class:
    """A class at a moment. `problems` are sentences: what does not run, or could not be read."""

    at: datetime
    learners: Sequence[Learner] = ()
    jobs: Sequence[Job] = ()
    kernels: Sequence[Kernel] = ()
    machine: Machine = field(default_factory=Machine)
    problems: Sequence[str] = ()


class Reader:
    """Reads the class again and again, in a thread; `seen` is what it saw last, and `then` is called with it."""

    def __init__(self, room: Room, then: Callable[[Class], object]) -> None:
        self._then, self._room, self._hub, self._stack = then, room, Hub(room), Stack(room.settings)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._status: list[ServiceStatus] = []
        self._kernels: list[Kernel] = []
        self._slots: dict[str, int] = {}
        self.seen = Class(datetime.now(UTC))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        looks = 0
        while not self._ended.is_set():
            try:
                if looks % STACK_EVERY == 0:
                    self._status, self._kernels = self._stack.status(), kernels(self._room)
                self.seen = self._read()
                self._then(self.seen)
            except Exception as error:  # whatever it is, the page goes on
                log.exception("the class could not be read")
                self.seen = replace(self.seen, problems=[f"The class could not be read, which is tried again: {error}"])
            looks += 1
            self._ended.wait(EVERY_S)

    def _read(self) -> Class:
        names = self._room.names()
        problems = [f"{one.name} {one.problem}" for one in self._status if not one.healthy]
        known: list[Seat] = _or(lambda: self._hub.seats(names), [], problems)
        seats = {one.name: one for one in known}
        learners = []
        for name in names:
            settings, seat = self._room.learner(name), seats.get(name)
            messages, records = Messages(settings), Progress.of_learner(settings).records()
            learners.append(
                Learner(name, seat is not None and seat.runs, messages.last_sign(), messages.hand(), records)
            )
        rest = flink.rest(self._room.settings)
        jobs: list[Job] = _or(lambda: learners_jobs(rest.jobs(), names, self._slots_of), [], problems)
        overview: dict[str, Any] = _or(lambda: rest.get("/overview"), {}, problems)
        memory, disk = psutil.virtual_memory(), space.measure(self._room.folder)
        machine = Machine(
            cpu=psutil.cpu_percent() / 100,
            memory=memory.percent / 100,
            memory_gib=memory.total / 2**30,
            disk_free=disk.free_share,
            slots_free=int(overview.get("slots-available", 0)),
            slots=int(overview.get("slots-total", 0)),
        )
        return Class(datetime.now(UTC), learners, jobs, self._kernels, machine, list(dict.fromkeys(problems)))

    def _slots_of(self, id: str) -> int:
        """The task slots of a job. It has the same number all its life: a job that is rescaled is another job."""
        if id not in self._slots:
            parts = flink.rest(self._room.settings).job(id)["vertices"]
            self._slots[id] = max((int(one["parallelism"]) for one in parts), default=1)
        return self._slots[id]


def learners_jobs(jobs: Sequence[flink_rest.Job], names: Sequence[str], slots: Callable[[str], int]) -> list[Job]:
    """The jobs of these learners that have not ended, the oldest first; a job's name begins with its learner's and a dot."""
    found = []
    for job in jobs:
        learner, _, name = job.name.partition(".")
        if not job.ended and learner in names:
            started = datetime.fromtimestamp(job.started_ms / 1000, UTC)
            found.append(Job(job.id, learner, name, job.state, started, slots(job.id)))
    return found


def kernels(room: Room) -> list[Kernel]:
    """The kernels of learners' notebooks."""
    found = []
    for process in marked_processes(Layout(room.settings.home).home):
        with suppress(psutil.Error):
            environment = process.environ()
            if OF_CLASS in environment and module(process) == "ipykernel_launcher":
                tree = [process, *process.children(recursive=True)]
                mib = sum(one.memory_info().rss for one in tree) / 2**20
                found.append(Kernel(process.pid, environment.get("FRAUDLAB_LEARNER", ""), round(mib)))
    return found


def _or(ask: Callable[[], T], otherwise: T, problems: list[str]) -> T:
    """An answer, or what stands for it; then the problem is noted."""
    try:
        return ask()
    except (UserError, NoAnswer, httpx.HTTPError, OSError) as error:
        problems.append(str(error))
        return otherwise
