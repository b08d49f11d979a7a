"""Cards: what `lab` answers with in a notebook, as HTML and as text. Everything that is not ours is escaped."""

from dataclasses import dataclass
from html import escape

from fraudlab.course.exercise import Kind, Verdict

_HEADS = {
    Kind.RIGHT: ("✔", "Right", "#1a7f37"),
    Kind.WRONG: ("✘", "Not right yet", "#b35900"),
    Kind.NOT_YET: ("…", "Not yet", "#5a5fc7"),
    Kind.DOWN: ("!", "Something does not run", "#c62828"),
}


@dataclass(frozen=True)
class Card:
    """A short answer: a head, lines of text, and code where there is some.

    In a notebook it is a box; as text (`str`, screen readers, tests) it is the same words, a line each. `mistake` is the name of the
    mistake that a check found; tests ask for it.
    """

    head: str
    lines: tuple[str, ...] = ()
    code: str = ""
    sign: str = ""
    colour: str = "#607080"
    mistake: str = ""

    def __str__(self) -> str:
        first = f"{self.sign} {self.head}" if self.sign else self.head
        return "\n".join([first, *self.lines, *([self.code] if self.code else [])])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        lines = "".join(f'<div style="margin-top:4px">{_marked_up(line)}</div>' for line in self.lines)
        code = (
            f'<pre style="margin:8px 0 0;padding:8px;border-radius:4px;background:rgba(128,128,128,.12)">'
            f"{escape(self.code)}</pre>"
            if self.code
            else ""
        )
        sign = f'<span aria-hidden="true">{escape(self.sign)}</span> ' if self.sign else ""
        return (
            f'<div role="status" style="border-left:5px solid {self.colour};padding:8px 14px;margin:6px 0;'
            f'background:rgba(128,128,128,.07);max-width:52em;line-height:1.45">'
            f'<div style="font-weight:600;color:{self.colour}">{sign}{_marked_up(self.head)}</div>{lines}{code}</div>'
        )


def of_verdict(number: str, verdict: Verdict, closing: str = "") -> Card:
    """The card of a check's verdict on an exercise."""
    sign, word, colour = _HEADS[verdict.kind]
    lines = [verdict.sentence]
    if verdict.kind is Kind.WRONG:
        lines += [f"Found: {verdict.found}", f"Expected: {verdict.expected}"]
    lines += [line for line in (verdict.advice, closing) if line]
    return Card(f"{word} · Exercise {number}", tuple(lines), sign=sign, colour=colour, mistake=verdict.mistake)


def down(sentence: str, advice: str) -> Card:
    """The card that says that a part of the stack does not run."""
    sign, word, colour = _HEADS[Kind.DOWN]
    return Card(word, (sentence, advice), sign=sign, colour=colour)


def _marked_up(line: str) -> str:
    """Escaped, with `code` between backticks set as code."""
    pieces = escape(line).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 and len(pieces) % 2 else piece for index, piece in enumerate(pieces)
    )
