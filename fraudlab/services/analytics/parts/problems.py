"""What needs your attention: jobs and services in trouble, a full disk, waiting stops, undeliverable messages, unusable records."""

import contextlib
from collections.abc import Hashable, Sequence
from itertools import islice
from pathlib import Path

from nicegui import ui

from fraudlab.services.analytics.formatting import clock, counted, number
from fraudlab.services.analytics.model import Model
from fraudlab.services.elements import Words, block, card, icon
from fraudlab.stack import space

SHOWN = 6


class Problems:
    """Jobs and services in trouble, the disk, waiting stops (the oldest first), undeliverable messages and dead letters (newest first)."""

    def __init__(self, model: Model, home: Path) -> None:
        self._model, self._home = model, home
        with card("What needs a person", "problems-card"):
            self._jobs = _List("engineering")
            self._stops = _List("hourglass_top")
            self._disk = _List("hard_drive")
            self._messages = _List("mark_email_unread")
            self._letters = _List("report")

    def refresh(self) -> None:
        """Shows what is new."""
        model = self._model
        self._jobs.show(
            f"jobs and services in trouble: {number(len(model.job_problems))}",
            [("", f"{one.name} {one.problem}", one.advice) for one in model.job_problems],
        )
        with contextlib.suppress(OSError):  # a disk that cannot be measured
            room = space.measure(self._home)
            advice = [("now", "almost full", "Free some space: Kafka is stopped before the disk is full.")]
            self._disk.show(f"disk: {room.words}", advice if room.warning else [])
        failed, withheld, pending = (model.sent(status) for status in ("undeliverable", "withheld", "pending"))
        self._stops.show(
            f"{counted(model.due_stop_count, 'stop')} waiting",
            [(f"since {clock(one.since_ms)}", f"user {one.user_id}", one.reason) for one in model.due_stops[:SHOWN]],
        )
        self._messages.show(
            f"{counted(failed, 'message')} undeliverable, {number(withheld)} withheld, {number(pending)} on their way",
            [
                (clock(one.created_ms), f"{one.channel} to user {one.user_id}", one.reason or "no reason given")
                for one in model.undeliverable[:SHOWN]
            ],
        )
        self._letters.show(
            counted(model.letter_count, "dead letter"),
            [
                (clock(one.arrived_ms), f"from {one.topic or one.dead_letter_id}", one.reason)
                for one in islice(reversed(model.letters), SHOWN)
            ],
        )


class _List:
    def __init__(self, sign: str) -> None:
        with block("h3"):
            icon(sign)
            self._title = Words("span")
        self._list = ui.element("ul").classes("problems")
        self._shown: Hashable = None

    def show(self, title: str, rows: Sequence[tuple[str, str, str]]) -> None:
        self._title.set_text(title)
        if tuple(rows) == self._shown:
            return
        self._shown = tuple(rows)
        self._list.clear()
        with self._list:
            for when, what, why in rows:
                with block("li"):
                    Words("time", when, "quiet")
                    Words("strong", what)
                    Words("span", why, "why")
