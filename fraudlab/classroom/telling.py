"""What an instructor does for a class: answer a raised hand, announce a sentence, open a hint, end a job."""

from collections.abc import Iterable

from fraudlab.classroom.room import Room
from fraudlab.course.labs import exercise_of
from fraudlab.course.messages import Announcement, Messages
from fraudlab.stack import flink


def announce(room: Room, names: Iterable[str], text: str) -> None:
    """Tells learners something, each at the next cell that they run."""
    for name in names:
        Messages(room.learner(name)).announce(Announcement(text))


def open_hint(room: Room, names: Iterable[str], exercise: str, number: int) -> None:
    """Shows learners a hint for an exercise, from 1 on, at the next cell that they run. It doesn't count as one that they asked for."""
    text = exercise_of(exercise).hints[number - 1]
    for name in names:
        Messages(room.learner(name)).announce(Announcement(text, head=f"Hint {number} for Exercise {exercise}"))


def lower_hand(room: Room, name: str) -> None:
    """The learner has been helped."""
    Messages(room.learner(name)).lower_hand()


def end_job(room: Room, id: str) -> None:
    """Cancels a job in Flink. Raises NoAnswer where Flink does not answer."""
    flink.rest(room.settings).cancel(id)
