"""What an exercise is: its task, hints and check, and what a check can say. Pure: no MySQL, Kafka or Flink."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fraudlab.course.workspace import Workspace

PLACEHOLDER = "your code here"
"""What a generated lab has in place of a solution in SQL or in a function."""

HINTS = 3


class Kind(Enum):
    """What a check can say."""

    RIGHT = "right"
    WRONG = "wrong"
    NOT_YET = "not yet"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake that a check recognises.

    Attributes:
        name: What answers and tests call it, unique in its lab.
        sentence: What the check tells a learner who makes it.
    """

    name: str
    sentence: str


# Mistakes that several labs know

UNREADABLE = Mistake("unreadable", "The check cannot read this answer.")
NO_RETURN = Mistake("no_return", "The function returns nothing: it lacks a `return`.")
NOT_YOUR_JOB = Mistake("not_your_job", "The running job is the course's, not yours: run the cell that submits yours.")
NOT_A_SHARE = Mistake("not_a_share", "A share is between 0 and 1; these are counts or percentages.")
SHARES_SWAPPED = Mistake("shares_swapped", "The two are swapped: precision first.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says, in sentences for the learner.

    `mistake` (its name), `found` and `expected` belong to a wrong answer; `advice` is what to do next, for instance a command. `at_rest`
    and `waits` belong to a *not yet*: what the answer is when nothing moves any more, and whether anything is on its way.
    """

    kind: Kind
    sentence: str
    mistake: str = ""
    found: str = ""
    expected: str = ""
    advice: str = ""
    at_rest: "Verdict | None" = None
    waits: bool = True


def right(sentence: str) -> Verdict:
    """The answer is right; the sentence says what it shows. It must be the same in every run."""
    return Verdict(Kind.RIGHT, sentence)


def wrong(mistake: Mistake, *, found: object, expected: str) -> Verdict:
    """The answer is wrong: the mistake, what was found, what was expected (without giving it away)."""
    return Verdict(Kind.WRONG, mistake.sentence, mistake.name, str(found), expected)


def not_yet(sentence: str, *, at_rest: Verdict | None = None) -> Verdict:
    """Nothing is wrong so far, but something is still on its way; the check looks again until its patience ends.

    `at_rest` is the verdict when what is observed has stopped changing: then nothing is on its way any more. Give it only if something has
    arrived already, for nothing changes before a job starts, either.
    """
    return Verdict(Kind.NOT_YET, sentence, at_rest=at_rest)


def to_do_first(sentence: str) -> Verdict:
    """Nothing is on its way: the learner has to do something before this can be checked. It is said at once."""
    return Verdict(Kind.NOT_YET, sentence, waits=False)


class UnreadableError(TypeError):
    """An answer that the check cannot even try: not a function, not text. The text of the exercise's `shape` says what is wanted."""


class NotSolvedYet(Exception):  # noqa: N818 - learners read this name
    """An exercise has no answer yet; the message says what to do. A notebook shows it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class AnswerFailed(Exception):  # noqa: N818 - as above
    """The learner's own function or query failed when a check tried it; the text is a sentence that says how."""


def call(function: Callable[..., Any], *arguments: object) -> Any:
    """Calls a learner's function from a check. Whatever it raises becomes a sentence, not a traceback through the check.

    Raises:
        AnswerFailed: The function failed.
        UnreadableError: It is no function.
    """
    if not callable(function):
        raise UnreadableError("not a function")
    try:
        return function(*arguments)
    except NotSolvedYet:
        raise
    except Exception as error:
        name = getattr(function, "__name__", "the function")
        raise AnswerFailed(
            f"Called with {_brief(arguments)}, {name} raised {type(error).__name__}: {error}."
        ) from error


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lab.

    Attributes:
        number: Lab and place in it, `01.2`.
        title: As in the notebook's heading.
        task: What is to be done, one sentence. It is the message while the exercise is unsolved.
        hints: Three, from a nudge to nearly there.
        shape: What an answer looks like, for an answer that the judge cannot even read: "a whole number".
        observe: `(workspace, *answers)` → what the judge needs to know of MySQL, Kafka and Flink.
        judge: `(observed, *answers)` → the verdict. Pure.
        patience_s: How long the check waits for what is on its way.
        job: The name of the job whose results it waits for. While there is none, or one that keeps failing, the check says so at once.
        accepts: Whether `observe` can take the answer; for what is no query or no function the check says what is wanted.
    """

    number: str
    title: str
    task: str
    hints: tuple[str, str, str]
    shape: str
    observe: Callable[..., Any]
    judge: Callable[..., Verdict]
    patience_s: float = 20.0
    job: str = ""
    accepts: Callable[[Any], bool] = lambda _answer: True

    @property
    def unsolved(self) -> str:
        """The message while nothing has been done."""
        return (
            f"Exercise {self.number} is still to do: {self.task} Edit the cell above, run it, then run this one again."
        )

    def verdict(self, observed: Any, answers: tuple[Any, ...]) -> Verdict:
        """What the check says. Raises NotSolvedYet for an answer that is still the placeholder."""
        self.require_solved(answers)
        try:
            return self.judge(observed, *answers)
        except AnswerFailed as failure:
            return self.failed(failure)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError):
            return self.unreadable(answers)

    def unreadable(self, answers: tuple[Any, ...]) -> Verdict:
        """The verdict on an answer of another kind than the exercise asks for."""
        found = ", ".join(_brief(answer) for answer in answers) or "nothing"
        return wrong(UNREADABLE, found=found, expected=self.shape)

    def failed(self, failure: AnswerFailed) -> Verdict:
        """The verdict on an answer that could not even be tried."""
        return wrong(Mistake("failed", str(failure)), found="an error", expected=self.shape)

    def require_solved(self, answers: tuple[Any, ...]) -> None:
        """Raises NotSolvedYet where there is no answer, or one that is `...`, holds it as a value, or holds the placeholder's words."""
        if not answers or any(_is_blank(answer) for answer in answers):
            raise NotSolvedYet(self.unsolved)


def _is_blank(answer: Any) -> bool:
    if isinstance(answer, str):
        return PLACEHOLDER in answer
    return answer is ... or (isinstance(answer, Mapping) and any(value is ... for value in answer.values()))


def nothing_to_observe(_workspace: "Workspace", *_answers: object) -> None:
    """For an exercise whose judge needs to know nothing but the answer."""


def leaves_nothing(_workspace: "Workspace") -> None:
    """For a lab after which the learner's workspace is as before."""


@dataclass(frozen=True)
class Lab:
    """One lab: its exercises, and what it leaves behind for those after it.

    Attributes:
        number: `01`.
        name: The rest of the notebook's file name, `data-generator`.
        title: As in the notebook's title.
        exercises: In the order of the notebook.
        outcome: `(workspace)` → brings a workspace in which this lab begins to the state in which the next one begins.
    """

    number: str
    name: str
    title: str
    exercises: Sequence[Exercise]
    outcome: Callable[["Workspace"], None] = field(default=leaves_nothing)

    @property
    def file(self) -> str:
        """The notebook's file name."""
        return f"{self.number}-{self.name}.ipynb"


def fingerprint(answers: tuple[Any, ...], verdict: Verdict) -> str:
    """The same for the same wrong answer, also in another process: of a function or class what it does, not its place in memory."""
    functions = any(callable(answer) for answer in answers)
    # What was found by a function may differ from call to call.
    parts = [*map(_substance, answers), verdict.mistake, "" if functions else verdict.found]
    return sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _substance(value: object) -> str:
    if isinstance(value, type):
        return repr(sorted((name, _substance(one)) for name, one in vars(value).items() if callable(one)))
    code = getattr(value, "__code__", value)
    if isinstance(code, CodeType):
        return repr((code.co_code, code.co_names, code.co_varnames, [_substance(one) for one in code.co_consts]))
    return type(value).__name__ if callable(value) else repr(value)


def is_text(answer: object) -> bool:
    """What an exercise accepts that asks for SQL."""
    return isinstance(answer, str)


def word(answer: object) -> str:
    """An answer of one word, as every check reads it: `"Stream"` and `" stream"` mean the same."""
    return str(answer).strip().lower()


def _brief(value: object) -> str:
    text = repr(value)
    if "\n" in text:  # a table
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}…"
