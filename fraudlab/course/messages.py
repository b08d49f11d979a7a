"""What a learner and the instructor of a class tell each other, in files in the learner's folder.

A sign that the learner works, a raised hand, and announcements.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fraudlab.course import learner_files
from fraudlab.settings import Settings

OF_CLASS = "FRAUDLAB_CLASS"
"""In the environment of the JupyterLabs of a class, and of all that they start."""
FOLDER = ".class"
"""JupyterLab does not show it among the notebooks."""
LONGEST = 500
"""Characters of a question or an announcement."""
KEPT = 50
"""Announcements of a learner."""


def in_class() -> bool:
    """Whether this process belongs to a learner in a class, whose browser is on another machine than the stack."""
    return bool(os.environ.get(OF_CLASS))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Hand:
    """A learner asks for help: since when, in which exercise or lab, and what they said."""

    place: str
    question: str = ""
    since: str = field(default_factory=_now)


@dataclass(frozen=True)
class Announcement:
    """What the instructor tells a learner."""

    text: str
    head: str = "From your instructor"
    at: str = field(default_factory=_now)


class Messages:
    """The messages of one learner. A file that cannot be read counts as empty."""

    def __init__(self, settings: Settings) -> None:
        folder = settings.work / FOLDER
        self._hand = folder / f"hand-{settings.learner}.json"
        self._announced = folder / f"announcements-{settings.learner}.json"
        self._seen = folder / f"seen-{settings.learner}"

    def hand(self) -> Hand | None:
        """The learner's raised hand."""
        found = _made(Hand, [learner_files.read(self._hand, None)])
        return found[0] if found and learner_files.is_time(found[0].since) else None

    def raise_hand(self, place: str, question: str) -> Hand:
        """Asks for help. A hand that is up already keeps its place in the queue."""
        up = self.hand()
        new = Hand(place, question[:LONGEST], **({"since": up.since} if up else {}))
        learner_files.write(self._hand, asdict(new))
        return new

    def lower_hand(self) -> None:
        """Takes the hand down; harmless where it is not up."""
        self._hand.unlink(missing_ok=True)

    def sign(self) -> None:
        """The learner has just run a cell."""
        self._seen.parent.mkdir(parents=True, exist_ok=True)
        self._seen.touch()

    def last_sign(self) -> datetime | None:
        """When the learner last ran a cell; None of one who never did."""
        try:
            return datetime.fromtimestamp(self._seen.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def announce(self, announcement: Announcement) -> None:
        """Tells the learner something, at the next cell that they run."""
        kept = [asdict(one) for one in self.announcements()][-KEPT + 1 :]
        learner_files.write(self._announced, [*kept, asdict(announcement)])

    def announcements(self, after: str = "") -> list[Announcement]:
        """What was announced after a time, the oldest first."""
        found = learner_files.read(self._announced, [])
        return [one for one in _made(Announcement, found if isinstance(found, list) else []) if one.at > after]


def _made(kind: Callable[..., Any], found: list[Any]) -> list[Any]:
    made = []
    for fields in found:
        try:
            made.append(kind(**{name: str(value) for name, value in fields.items()}))
        except (TypeError, AttributeError):
            continue
    return made


class ShownAfterCells:
    """Below the cell that a learner has just run, shows what was announced since the kernel began, each sentence once."""

    def __init__(self, messages: Messages, show: Callable[[object], object]) -> None:
        self._messages, self._show = messages, show
        self._seen = _now()

    def look(self, *_: object) -> None:
        """Gives a sign, and shows what is new."""
        self._messages.sign()
        if not (new := self._messages.announcements(self._seen)):
            return
        from fraudlab.course.cards import Card  # it takes a second to import, and each kernel imports this module

        for one in new:
            self._seen = one.at
            self._show(Card(one.head, (one.text,), sign="»"))


def show_after_cells(shell: Any) -> None:
    """Shows announcements in an IPython shell; does nothing where there is no class."""
    if in_class():
        from IPython.display import display

        shell.events.register("post_run_cell", ShownAfterCells(Messages(Settings()), display).look)
