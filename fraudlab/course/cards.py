"""Cards: what `lab` answers with in a notebook, as HTML and as text. Everything that is not ours is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from keyword import iskeyword
from tokenize import COMMENT, NAME, NUMBER, STRING, TokenInfo, generate_tokens

from fraudlab.course.exercise import HINTS, Exercise, Kind, Lab, Verdict
from fraudlab.course.messages import in_class
from fraudlab.course.pictures import legible
from fraudlab.course.progress import TRIES_BEFORE_SOLUTION, Record
from fraudlab.settings import Settings
from fraudlab.verification.verify import Verification

DONE = "✔"
FLINK_PAGE = "Flink's web page"
IN_CLASS = (
    "Look at your instructor's screen: in a class, this page opens only on the machine that the class server runs on."
)

_HEADS = {
    Kind.RIGHT: (DONE, "Right", "#1a7f37"),
    Kind.WRONG: ("✘", "Not right yet", "#b35900"),
    Kind.NOT_YET: ("…", "Not yet", "#5a5fc7"),
    Kind.DOWN: ("!", "Something is not running", "#c62828"),
}


@dataclass(frozen=True)
class Card:
    """A short answer: a head, lines of text, and code where there is some.

    In a notebook it is a box; as text (`str`, screen readers, tests) it is the same words, a line each. `mistake` is the name of the
    mistake that a check found; tests ask for it. With a `first_line`, the code is Python, with colours and the numbers of its lines.
    """

    head: str
    lines: tuple[str, ...] = ()
    code: str = ""
    sign: str = ""
    colour: str = "#607080"
    mistake: str = ""
    first_line: int = 0

    def __str__(self) -> str:
        first = f"{self.sign} {self.head}" if self.sign else self.head
        return "\n".join([first, *self.lines, *([self.code] if self.code else [])])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        lines = "".join(f'<div style="margin-top:4px">{_marked_up(line)}</div>' for line in self.lines)
        code = (
            f'<pre style="margin:8px 0 0;padding:8px;border-radius:4px;overflow-x:auto;background:rgba(128,128,128,.12)">'
            f"{_python(self.code, self.first_line) if self.first_line else escape(self.code)}</pre>"
            if self.code
            else ""
        )
        sign = f'<span aria-hidden="true">{escape(self.sign)}</span> ' if self.sign else ""
        return (
            f'<div role="status" style="border-left:5px solid {self.colour};padding:8px 14px;margin:6px 0;'
            f'background:rgba(128,128,128,.07);max-width:52em;line-height:1.45">'
            f'<div style="font-weight:600;color:{legible(self.colour)}">{sign}{_marked_up(self.head)}</div>{lines}{code}</div>'
        )


@dataclass(frozen=True)
class Done(Card):
    """The card of a helper that has done what it was asked: started, killed, emptied.

    Such a helper cannot refuse with a card: it raises UserError, so that a notebook stops there. `fraudlab course check` knows these
    helpers by this type, and wants their sign in the stored output.
    """

    sign: str = DONE
    colour: str = _HEADS[Kind.RIGHT][2]


TROUBLES = tuple(sign for sign, _, _ in _HEADS.values() if sign != DONE)
"""The signs of cards that tell of something wrong, unfinished, or down."""


@dataclass(frozen=True)
class Contents:
    """A table of names with a sentence each, grouped by topic. In a notebook it is a table; as text, a line per name.

    `topics` maps a topic to its (name, sentence) pairs.
    """

    head: str
    topics: Mapping[str, Sequence[tuple[str, str]]]
    closing: str

    def __str__(self) -> str:
        width = max(len(name) for names in self.topics.values() for name, _ in names)
        groups = (
            "\n".join([topic, *(f"  {name:{width}}  {sentence}" for name, sentence in names)])
            for topic, names in self.topics.items()
        )
        return "\n\n".join([self.head, *groups, self.closing])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        left = 'style="text-align:left;vertical-align:top"'
        groups = "".join(
            f'<tbody><tr><th colspan="2" scope="rowgroup" {left}>{escape(topic)}</th></tr>'
            + "".join(
                f'<tr><th scope="row" {left}><code>{escape(name)}</code></th><td {left}>{_marked_up(sentence)}</td></tr>'
                for name, sentence in names
            )
            + "</tbody>"
            for topic, names in self.topics.items()
        )
        return f"<table><caption>{_marked_up(self.head)}</caption>{groups}</table><p>{_marked_up(self.closing)}</p>"


def of_problem(problem: tuple[str, str] | None) -> Card | None:
    """The card of what `Workspace.problem` found; None if all of the stack is ready."""
    return down(*problem) if problem else None


def down(sentence: str, advice: str) -> Card:
    """The card that says that a part of the stack does not run."""
    sign, word, colour = _HEADS[Kind.DOWN]
    return Card(word, (sentence, advice), sign=sign, colour=colour)


def of_start(
    lab: Lab, settings: Settings, slots: tuple[int, int], solved: int, kernels: Sequence[tuple[str, int]] = ()
) -> Card:
    """The card at the beginning of a lab; `slots` are the free ones and all, `kernels` other notebooks that are open, and their MB."""
    free, all_slots = slots
    return Card(
        f"Lab {lab.number} · {lab.title}",
        (
            "MySQL, Kafka and Flink are running.",
            f"You work as `{settings.learner}`: your database is `{settings.names.database}`, your topics and jobs begin with"
            f" `{settings.learner}.`",
            _of_slots(settings, free, all_slots),
            f"Solved here: {solved} of {len(lab.exercises)} exercises.",
            *([_of_kernels(kernels)] if kernels else []),
        ),
    )


def _of_slots(settings: Settings, free: int, all_slots: int) -> str:
    are_free = f"{free} of {all_slots} task slots are free"
    return f"In Flink, {are_free}." if in_class() else f"Flink's web page: {settings.flink_page} ({are_free})."


def _of_kernels(kernels: Sequence[tuple[str, int]]) -> str:
    listed = ", ".join(f"{name} ({megabytes} MB)" for name, megabytes in kernels)
    return (
        f"Other notebooks are still open and hold memory: {listed}. End those that you don't need: in JupyterLab, File → Close and Shut"
        " Down Notebook."
    )


def of_verdict(number: str, verdict: Verdict, *, solution_is_open: bool = False) -> Card:
    """The card of a check's verdict on an exercise, with what to do next."""
    sign, word, colour = _HEADS[verdict.kind]
    lines = [verdict.sentence]
    if verdict.kind is Kind.WRONG:
        lines += [f"Found: {verdict.found}", f"Expected: {verdict.expected}"]
    closing = _closing(number, verdict, solution_is_open)
    lines += [line for line in (verdict.advice, closing) if line]
    return Card(f"{word} · Exercise {number}", tuple(lines), sign=sign, colour=colour, mistake=verdict.mistake)


def _closing(number: str, verdict: Verdict, solution_is_open: bool) -> str:
    if verdict.kind is Kind.RIGHT:
        return f'`lab.solution("{number}")` shows how the course does it.'
    help_ = f'`lab.solution("{number}")` is open now.' if solution_is_open else f'`lab.hint("{number}")` gives a hint.'
    if not verdict.waits:
        return f"Then run this cell again. {help_}"
    if verdict.kind is Kind.NOT_YET:
        return f"Run this cell again in a moment. If nothing moves, look at your answer: {help_}"
    return help_


def of_hints(exercise: Exercise, shown: int) -> Card:
    """The first `shown` hints of an exercise."""
    return Card(
        f"Exercise {exercise.number} · hint {shown} of {HINTS}",
        tuple(f"{place}. {text}" for place, text in enumerate(exercise.hints[:shown], 1)),
    )


def of_solution(number: str, source: str) -> Card:
    """The course's solution of an exercise."""
    return Card(f"Exercise {number} · a solution", code=source)


def of_closed_solution(number: str, record: Record) -> Card:
    """The card that says when the solution of an exercise opens."""
    missing = TRIES_BEFORE_SOLUTION - record.tries
    times = "once more" if missing == 1 else f"{missing} more times"
    return Card(
        f"Exercise {number} · the solution is still closed",
        (f"It opens when you have solved it, or tried {times}.",),
    )


def of_page(address: str, more: str = "") -> str:
    """A sentence that says where a page is. Only a browser on this machine can open it."""
    return IN_CLASS if in_class() else f"Open {address} in another tab{more}"


def of_flink_page(address: str, *, opened: bool) -> Done:
    """Where Flink's web page is, or that it `opened` in the browser."""
    from_now_on = "From now on this browser can open it without this call."
    if opened:
        return Done(FLINK_PAGE, (f"It opens in your browser. {from_now_on}",))
    return Done(FLINK_PAGE, (of_page(address, f". {from_now_on} The address is a key: keep it to yourself."),))


def of_verification(verdict: Verification) -> Card:
    """The verdict of `fraudlab verify`: exact, or what is missing, extra, or still on its way."""
    counts = verdict.counts
    lines = [
        f"{counts.payments:,} payments; {counts.expected_activities:,} activities must be there, {counts.activities:,} are; "
        f"{counts.redelivered:,} records came twice.",
        f"{counts.declined_payments:,} payments refused, {counts.notifications:,} messages sent, {counts.dead_letters:,} dead letters.",
        *(f"Skipped on purpose: {one.place}: {one.consequence}." for one in verdict.skipped),
    ]
    if verdict.nothing:
        return Card("Nothing to verify: no payment was made, and no activity is there.", (), sign="·", colour="#57606a")
    if verdict.exact:
        return Card(
            "EXACT: nothing missing, nothing extra, nothing twice.",
            tuple(lines),
            sign=DONE,
            colour=_HEADS[Kind.RIGHT][2],
        )
    findings = {kind.replace("_", " "): found for kind, found in verdict.by_kind.items() if found}
    wrong = [f"{len(found)} {kind}: {found[0].id}, {found[0].problem}" for kind, found in findings.items()]
    if verdict.unsettled:
        wrong.append(f"Still on its way: {verdict.unsettled}.")
    sign, _, colour = _HEADS[Kind.WRONG]
    return Card("NOT EXACT", (*wrong, *lines), sign=sign, colour=colour)


def _marked_up(line: str) -> str:
    """Escaped, with `code` between backticks set as code."""
    pieces = escape(line).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 and len(pieces) % 2 else piece for index, piece in enumerate(pieces)
    )


_GREY = "#6b7480"
_COLOURS = {STRING: ("string", "#a31515"), COMMENT: ("comment", _GREY), NUMBER: ("number", "#2e7d32")}
"""What JupyterLab's editor calls a kind of token, in light and dark, and the colour where there is no JupyterLab."""


def _python(code: str, first_line: int) -> str:
    """Python as HTML: coloured as in JupyterLab's editor, each line with its number, which is not copied along."""
    lines = code.splitlines()
    pieces: list[str] = [""] * len(lines)
    done = [0] * len(lines)

    def take(row: int, until: int, colour: str = "") -> None:
        text = escape(lines[row][done[row] : until])
        pieces[row] += f'<span style="color:{colour}">{text}</span>' if colour and text else text
        done[row] = max(done[row], until)

    for token in generate_tokens(StringIO(code + "\n").readline):
        if colour := _colour(token):
            (first, begin), (last, end) = token.start, token.end
            take(first - 1, begin)
            for row in range(first - 1, last):
                take(row, end if row == last - 1 else len(lines[row]), colour)
    for row, line in enumerate(lines):
        take(row, len(line))
    width = len(str(first_line + len(lines) - 1))
    return "\n".join(
        f'<span aria-hidden="true" style="user-select:none;color:{_GREY}">{number:{width}}  </span>{piece}'
        for number, piece in enumerate(pieces, first_line)
    )


def _colour(token: TokenInfo) -> str:
    kind, fallback = _COLOURS.get(token.type, ("", ""))
    if token.type == NAME and iskeyword(token.string):
        kind, fallback = "keyword", "#7b30d0"
    return f"var(--jp-mirror-editor-{kind}-color,{fallback})" if kind else ""
