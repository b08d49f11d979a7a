"""The class as a table, learners by exercises. Learners' words are text in it: Jinja escapes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources

from jinja2 import Environment

from fraudlab.classroom.watching import Learner
from fraudlab.course.exercise import Lab
from fraudlab.course.progress import Record

_template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    resources.files(__package__).joinpath("matrix.html").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Square:
    """A learner's exercise: what is shown, what it means in words, and its class in the style sheet."""

    shown: str
    words: str
    style: str


@dataclass(frozen=True)
class Row:
    """A learner's row."""

    name: str
    runs: bool
    where: str
    seen: str
    stuck: str
    squares: Sequence[Square]


def html(learners: Sequence[Learner], labs: Sequence[Lab], now: datetime) -> str:
    """The table. It changes once a minute if nobody does anything."""
    return _template.render(labs=labs, rows=[_row(one, labs, now) for one in learners])


def _row(learner: Learner, labs: Sequence[Lab], now: datetime) -> Row:
    stuck = learner.stuck(now)
    squares = [
        _square(learner.records.get(one.number), is_stuck=stuck is not None and stuck.exercise == one.number)
        for lab in labs
        for one in lab.exercises
    ]
    return Row(
        learner.name,
        learner.runs,
        learner.place,
        "never" if learner.last_seen is None else f"{ago(now - learner.last_seen)} ago",
        f"for {ago(now - stuck.since)}" if stuck else "",
        squares,
    )


def _square(record: Record | None, *, is_stuck: bool) -> Square:
    if record is None:
        return Square("", "not begun", "")
    more = f", {record.tries} tries, {record.hints} hints"
    if record.solved:
        return Square("✔", f"solved{more}", "solved")
    shown = str(record.tries) if record.tries else "h"
    return Square(shown, f"{'stuck' if is_stuck else 'not solved'}{more}", "stuck" if is_stuck else "tried")


def ago(past: timedelta) -> str:
    """How long something took, in words that change once a minute."""
    minutes = max(0, past // timedelta(minutes=1))
    if minutes < 1:
        return "< 1 min"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
