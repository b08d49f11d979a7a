"""How a class is doing: who is stuck and where, who has raised a hand, and how long labs take. Pure: it reads nothing itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from fraudlab.course.exercise import Lab
from fraudlab.course.messages import Hand
from fraudlab.course.progress import Record, latest

STUCK_AFTER = timedelta(minutes=5)
STUCK_AFTER_TRIES = 2
"""A learner is stuck in the exercise that they touched last if it was tried so often, or begun so long ago, and is not solved."""
BREAK = timedelta(minutes=30)
"""A learner who shows no sign for longer is not working: these minutes are no part of a lab's."""


@dataclass(frozen=True)
class Stuck:
    """In which exercise a learner is stuck, and since when."""

    exercise: str
    since: datetime


@dataclass(frozen=True)
class Learner:
    """A learner as the instructor sees them. `runs` is whether their JupyterLab does; `last_seen` is when they last ran a cell."""

    name: str
    runs: bool = False
    last_seen: datetime | None = None
    hand: Hand | None = None
    records: Mapping[str, Record] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The exercise or lab that they touched last; "" of one who has not begun."""
        return latest(self.records)

    def stuck(self, now: datetime) -> Stuck | None:
        """Where they are stuck; None of one who gets on."""
        record = self.records.get(self.place, Record())
        if "." not in self.place or record.solved or not record.begun:
            return None
        since = datetime.fromisoformat(record.begun)
        is_stuck = record.tries >= STUCK_AFTER_TRIES or now - since >= STUCK_AFTER
        return Stuck(self.place, since) if is_stuck else None

    def minutes(self, lab: Lab) -> float | None:
        """How long they worked on a lab, from its first cell to its last solved exercise; None where exercises are left."""
        done = [self.records.get(one.number, Record()) for one in lab.exercises]
        begun = self.records.get(lab.number, Record()).begun
        if not begun or not all(one.solved_at for one in done):
            return None
        end = max(one.solved_at for one in done)
        signs = {begun, *(at for one in done for at in (one.begun, one.touched, one.solved_at))}
        times = sorted(datetime.fromisoformat(at) for at in signs if begun <= at <= end)
        gaps = (after - before for before, after in pairwise(times))
        return sum((gap for gap in gaps if gap <= BREAK), timedelta()) / timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a learner's in Flink. `name` is without the learner's."""

    id: str
    learner: str
    name: str
    state: str
    started: datetime
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Kernel:
    """A running kernel of a learner's notebook, with the memory that it and its JVM hold."""

    pid: int
    learner: str
    mib: int


@dataclass(frozen=True)
class Hard:
    """An exercise in which learners are stuck, by name."""

    exercise: str
    names: Sequence[str]


def hardest(learners: Iterable[Learner], now: datetime) -> list[Hard]:
    """The exercises in which learners are stuck, the one with most of them first."""
    found: dict[str, list[str]] = {}
    for one in learners:
        if stuck := one.stuck(now):
            found.setdefault(stuck.exercise, []).append(one.name)
    return sorted((Hard(*one) for one in found.items()), key=lambda hard: (-len(hard.names), hard.exercise))


def queue(learners: Iterable[Learner]) -> list[tuple[str, Hand]]:
    """Who has raised a hand, the one who has waited longest first."""
    return sorted(((one.name, one.hand) for one in learners if one.hand), key=lambda asked: asked[1].since)


@dataclass(frozen=True)
class LabTime:
    """What a lab takes, in minutes: as its notebook states, and the median of the learners who have finished it; None without one."""

    lab: str
    title: str
    stated: int
    median: float | None
    finished: int


def lab_times(learners: Sequence[Learner], labs: Iterable[Lab], stated: Mapping[str, int]) -> list[LabTime]:
    """The times of all labs. `stated` maps a lab's number to its minutes."""
    found = []
    for lab in labs:
        took = [minutes for one in learners if (minutes := one.minutes(lab)) is not None]
        found.append(LabTime(lab.number, lab.title, stated[lab.number], median(took) if took else None, len(took)))
    return found


COLUMNS = ("learner", "lab", "exercise", "tries", "hints", "solved", "begun", "solved_at", "minutes_of_lab")


def table(learners: Iterable[Learner], labs: Sequence[Lab]) -> list[tuple[object, ...]]:
    """A row for each exercise that a learner has touched, as COLUMNS say. The minutes stand in the row of a lab's last exercise."""
    rows: list[tuple[object, ...]] = []
    for one in learners:
        for lab in labs:
            minutes = one.minutes(lab)
            for exercise in lab.exercises:
                if (record := one.records.get(exercise.number)) is None:
                    continue
                took = f"{minutes:.1f}" if minutes is not None and exercise is lab.exercises[-1] else ""
                solved = "yes" if record.solved else "no"
                times = (record.begun, record.solved_at, took)
                rows.append((one.name, lab.number, exercise.number, record.tries, record.hints, solved, *times))
    return rows
