"""What is done for learners: answering a raised hand, announcing a sentence, opening a hint, ending a job."""

from collections.abc import Iterable

from fraudlab.classroom.room import Room
from fraudlab.classroom.watching import Job
from fraudlab.course.labs import exercise_of
from fraudlab.course.messages import Announcement, Messages
from fraudlab.course.progress import Progress, latest
from fraudlab.stack import flink


def announce(room: Room, names: Iterable[str], text: str, head: str = Announcement.head) -> None:
    """Tells learners something, each at the next cell that they run."""
    for name in names:
        Messages(room.learner(name)).announce(Announcement(text, head))


def open_hint(room: Room, names: Iterable[str], exercise: str, number: int) -> None:
    """Shows learners a hint for an exercise, from 1 on, at the next cell that they run. It doesn't count as one that they asked for."""
    announce(room, names, exercise_of(exercise).hints[number - 1], f"Hint {number} for Exercise {exercise}")


def lower_hand(room: Room, name: str) -> None:
    """The learner has been helped."""
    Messages(room.learner(name)).lower_hand()


def end_job(room: Room, id: str) -> None:
    """Cancels a job in Flink. Raises NoAnswer where Flink does not answer."""
    flink.rest(room.settings).cancel(id)


def park(room: Room, name: str, jobs: Iterable[Job]) -> None:
    """Ends jobs of a learner who has left, and tells them how they come back. Raises NoAnswer where Flink does not answer."""
    for job in jobs:
        end_job(room, job.id)
    place = latest(Progress.of_learner(room.learner(name)).records()).partition(".")[0] or "00"
    announce(
        room,
        [name],
        f"Your jobs were ended, because you had run no cell for {room.settings.class_idle_s // 60} minutes. "
        f"`lab.catch_up({place!r})` brings you to the beginning of Lab {place}, with the jobs that it needs.",
    )
