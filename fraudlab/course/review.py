"""The strict check of the whole course: what would make a learner stumble is a finding. Needs no running stack."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudlab.course import glossary, notebooks
from fraudlab.course import lab as helpers
from fraudlab.course.answers import Answers, answers_of
from fraudlab.course.cards import DONE, TROUBLES, Done
from fraudlab.course.exercise import HINTS, PLACEHOLDER, Lab
from fraudlab.course.notebooks import COMPARED, Cell, MarkError, Notebook
from fraudlab.course.sources import SourceError, differences

MINUTES_PER_LAB = range(15, 76)
AGENDAS = {"half a day": (range(0, 5), range(150, 241)), "a full day": (range(0, 8), range(240, 421))}
"""Which labs an agenda holds, and how many minutes it may take: breaks, questions and optional steps come on top."""

EXERCISE_MINUTES = range(2, 16)
FEWEST_WRONG = 3
FEWEST_ALT_LETTERS = 20

SECTIONS = ("The tempting wrong way", "Key points", "Quiz", "What is next", "Clean-up")
"""Headings that every lab has, in this order, after its steps."""

_TITLE = re.compile(r"\A# Lab (?P<number>\d\d) · (?P<title>.+)$", re.MULTILINE)
_TOTAL = re.compile(r"^\*\*(\d+) minutes\*\*(?:, and (\d+) more that are optional)?", re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_TIMED = re.compile(r"^(?P<title>.+) · (?P<optional>optional, )?(?P<minutes>\d+) min$")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_PLUMBING = re.compile(r"localhost|127\.0\.0\.1|password|passwd|\.jar\b|:\d{4,5}\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something is wrong, and what, as a sentence that says what to do."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Course:
    """The course as it is in the repository: its labs, the answers by their exercises' numbers, the folders of solutions and labs, the
    glossary."""

    definitions: tuple[Lab, ...]
    answers: Mapping[str, Answers]
    solutions: Path
    labs: Path
    terms: Sequence[glossary.Term]

    def notebook(self, lab: Lab) -> Notebook | None:
        """A lab's solution; None where there is none."""
        path = self.solutions / lab.file
        return notebooks.read(path) if path.exists() else None

    def pairs(self) -> Iterator[tuple[Lab, Notebook]]:
        """Each lab that has a solution, with it."""
        for lab in self.definitions:
            notebook = self.notebook(lab)
            if notebook is not None:
                yield lab, notebook


def present() -> Course:
    """The course of this repository."""
    from fraudlab.course.labs import all_labs

    answers = {number: answers for lab in all_labs() for number, answers in answers_of(lab).items()}
    return Course(all_labs(), answers, notebooks.SOLUTIONS, notebooks.LABS, glossary.terms())


def review(course: Course, *, complete: bool = True) -> list[Finding]:
    """All findings; none means that the course is fit to be taught. Not `complete` leaves out the sums over all labs."""
    found = [finding for check in CHECKS for finding in check(course)]
    return found + (list(agendas(course)) if complete else [])


def mutations(course: Course) -> list[Finding]:
    """The mutants of solutions that a check does not call wrong. It is no part of `review`: importing PyFlink takes seconds."""
    from fraudlab.course import mutants

    return [
        Finding(f"exercise {one.number}", f"its check says {one.said} of this mutant of the solution: {one.written}")
        for lab, notebook in course.pairs()
        for exercise in lab.exercises
        if course.answers[exercise.number].mutants
        for one in mutants.survivors(exercise, course.answers[exercise.number], notebook)[1]
    ]


def not_attacked(course: Course) -> list[str]:
    """The exercises whose mutants are not tried, because the solution's cell or the judge needs a stack."""
    return sorted(number for number, answers in course.answers.items() if not answers.mutants)


def files(course: Course) -> Iterator[Finding]:
    """Every lab has its solution; nothing else lies there; labs are what the solutions give."""
    known = {lab.file for lab in course.definitions}
    for name in sorted(known - {path.name for path in course.solutions.glob("*")}):
        yield Finding(f"solutions/{name}", "is missing: its lab is defined in fraudlab/course/labs.")
    for path in sorted(course.solutions.glob("*")):
        if path.name not in known | {
            notebooks.PICTURES,
            "conftest.py",
            "__pycache__",
            ".ipynb_checkpoints",
            ".pytest_cache",
        }:
            yield Finding(
                f"solutions/{path.name}", "belongs to no lab: remove it, or define its lab in fraudlab/course/labs."
            )
    try:
        wanted = notebooks.generated(course.definitions, course.solutions)
    except MarkError:
        return  # told by `exercises`
    for name, content in wanted.items():
        path = course.labs / name
        if not path.exists() or path.read_bytes() != content:
            yield Finding(f"labs/{name}", "is not what its solution gives: run `fraudlab course build`.")
    for path in sorted([*course.labs.glob("*.ipynb"), *course.labs.glob(f"{notebooks.PICTURES}/*")]):
        if str(path.relative_to(course.labs)) not in wanted:
            yield Finding(
                f"labs/{path.relative_to(course.labs)}", "belongs to no solution: run `fraudlab course build`."
            )


def exercises(course: Course) -> Iterator[Finding]:
    """Every exercise has a cell with a TODO and a part to cut out, and a check after it; none is solved in its lab."""
    for lab, notebook in course.pairs():
        where = f"solutions/{lab.file}"
        defined = [exercise.number for exercise in lab.exercises]
        places = notebooks.places(notebook)
        if [place.number for place in places] != defined:
            yield Finding(where, f"has exercises {[place.number for place in places]}, its definition {defined}.")
        cells = list(notebooks.code_cells(notebook))
        for place in places:
            here = f"{where}, exercise {place.number}"
            if place.exercise is None:
                yield Finding(here, f"has no cell that begins with `# Exercise {place.number}`.")
                continue
            if place.check is None:
                yield Finding(here, f'has no check: a cell after it that begins with `lab.check("{place.number}", …)`.')
            elif cells.index(place.check) <= cells.index(place.exercise):
                yield Finding(here, "is checked before it is set.")
            yield from (Finding(here, what) for what in _cell_findings(place))


def _cell_findings(place: notebooks.Place) -> Iterator[str]:
    source = place.exercise.source if place.exercise is not None else ""
    if "TODO" not in source:
        yield "has no `# TODO:` that says what to do."
    if notebooks.BEGIN not in source:
        yield f"has no part between `{notebooks.BEGIN}` and `{notebooks.END}`, so its lab is already solved."
        return
    try:
        lab_source = notebooks.cut(source, place.number)
    except MarkError as error:
        yield f"has marks that do not pair up: {error}."
        return
    if _statements(lab_source) == _statements(notebooks.without_marks(source)):
        yield "loses nothing when its solution is cut out, so its lab is already solved."
    elif place.check is not None and not _is_unsolved(lab_source, _answers(place.check, place.number)):
        yield (
            "gives the check something else than a placeholder when its solution is cut out: put `answer = ...` before the marked "
            "part, or mark the body of a function."
        )


def _statements(source: str) -> str:
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return source


def _answers(check: Cell, number: str) -> set[str]:
    """The names that a check is given as answers."""
    for node in ast.walk(ast.parse(check.source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "check":
            first, *answers = node.args
            if isinstance(first, ast.Constant) and first.value == number:
                return {one.id for answer in answers for one in ast.walk(answer) if isinstance(one, ast.Name)}
    return set()


def _is_unsolved(lab_source: str, answers: set[str]) -> bool:
    """Whether one of the answers is a placeholder: `...`, SQL with the words, or a function that calls `lab.todo`."""
    for node in ast.walk(ast.parse(lab_source)):
        if isinstance(node, ast.Assign):
            names = {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            value = node.value
            blank = any(
                isinstance(one, ast.Constant)
                and (one.value is ... or (isinstance(one.value, str) and PLACEHOLDER in one.value))
                for one in ast.walk(value)
            )
            if blank and names & answers:
                return True
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and node.name in answers
            and "lab.todo(" in ast.unparse(node)
        ):
            return True
    return False


def definitions(course: Course) -> Iterator[Finding]:
    """Every exercise has a task and three hints, right answers and at least three wrong ones, each with what its check must say."""
    for lab in course.definitions:
        folder = f"fraudlab/course/labs/lab{lab.number}"
        for exercise in lab.exercises:
            where = f"{folder}/checks.py, exercise {exercise.number}"
            if not exercise.number.startswith(f"{lab.number}."):
                yield Finding(where, f"its number does not begin with {lab.number}.")
            hints = [hint.strip() for hint in exercise.hints]
            if len(hints) != HINTS or not all(hints) or len(set(hints)) != HINTS:
                yield Finding(where, f"needs {HINTS} hints, all different, none empty.")
            if not exercise.task.strip().endswith("."):
                yield Finding(where, "its task must be a sentence: a learner reads it before there is an answer.")
            where = f"{folder}/answers.py, exercise {exercise.number}"
            answers = course.answers.get(exercise.number, Answers([], []))
            if not answers.right:
                yield Finding(where, "needs a right answer that is written differently from the notebook's.")
            if len(answers.wrong) < FEWEST_WRONG:
                yield Finding(
                    where, f"needs at least {FEWEST_WRONG} plausible wrong answers, has {len(answers.wrong)}."
                )
            if not all(bool(one.mistake) != bool(one.waits) for one in answers.wrong):
                yield Finding(where, "has a wrong answer that names neither its mistake nor what its check waits for.")


def minutes(course: Course) -> Iterator[Finding]:
    """Every step says its minutes; they add up to what the lab says, and a lab has a length that people bear.

    Those of an optional step are summed apart.
    """
    for lab, notebook in course.pairs():
        where = f"solutions/{lab.file}"
        text = _prose(notebook)
        title = _TITLE.match(text)
        if not title or (title["number"], title["title"].strip()) != (lab.number, lab.title):
            yield Finding(where, f"must begin with `# Lab {lab.number} · {lab.title}`.")
        untimed = [heading for heading in _HEADING.findall(text) if not _TIMED.match(heading)]
        if untimed:
            yield Finding(where, f"has steps without minutes (`## Title · 5 min`): {', '.join(untimed)}.")
        total, optional = lab_minutes(notebook), optional_minutes(notebook)
        said = _TOTAL.search(text)
        if not said or int(said[1]) != total:
            yield Finding(where, f"must say `**{total} minutes**`, the sum of its steps, on a line of its first cell.")
        elif int(said[2] or 0) != optional:
            wanted = (
                f"`**{total} minutes**, and {optional} more that are optional`" if optional else "no optional minutes"
            )
            yield Finding(where, f"must say {wanted}, as its steps do, in its first cell.")
        if total not in MINUTES_PER_LAB:
            yield Finding(where, f"takes {total} minutes; a lab takes {MINUTES_PER_LAB[0]} to {MINUTES_PER_LAB[-1]}.")
        for exercise in lab.exercises:
            heading = f"Exercise {exercise.number}: {exercise.title}"
            times = [step.minutes for step in steps(notebook) if step.title == heading]
            if not times:
                yield Finding(where, f"has no step `## {heading} · 5 min`.")
            elif times[0] not in EXERCISE_MINUTES:
                yield Finding(
                    where,
                    f"exercise {exercise.number} takes {times[0]} minutes; one takes {EXERCISE_MINUTES[0]} to {EXERCISE_MINUTES[-1]}.",
                )


def agendas(course: Course) -> Iterator[Finding]:
    """The labs of each agenda are there, and fit into it."""
    totals = {int(lab.number): lab_minutes(notebook) for lab, notebook in course.pairs()}
    for name, (numbers, allowed) in AGENDAS.items():
        missing = [f"{number:02}" for number in numbers if number not in totals]
        total = sum(totals.get(number, 0) for number in numbers)
        if missing:
            yield Finding(f"the agenda of {name}", f"lacks the labs {', '.join(missing)}.")
        elif total not in allowed:
            yield Finding(f"the agenda of {name}", f"takes {total} minutes; it may take {allowed[0]} to {allowed[-1]}.")


def lab_minutes(notebook: Notebook) -> int:
    """The minutes of a lab's steps, without those that are optional."""
    return sum(step.minutes for step in steps(notebook) if not step.optional)


def optional_minutes(notebook: Notebook) -> int:
    """The minutes of a lab's optional steps."""
    return sum(step.minutes for step in steps(notebook) if step.optional)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a lab: its heading, without the minutes, and the minutes."""

    title: str
    minutes: int
    optional: bool


def steps(notebook: Notebook) -> list[Step]:
    """The steps of a lab, in order."""
    timed = [_TIMED.match(heading) for heading in _HEADING.findall(_prose(notebook))]
    return [Step(step["title"], int(step["minutes"]), bool(step["optional"])) for step in timed if step]


def anatomy(course: Course) -> Iterator[Finding]:
    """Every lab has its objectives, a picture, what should be seen, and the sections at its end, in order."""
    for lab, notebook in course.pairs():
        where = f"solutions/{lab.file}"
        text = _prose(notebook)
        first = next(notebooks.markdown_cells(notebook)).source
        if "**After this lab you can**" not in first:
            yield Finding(
                where, "its first cell must list what one can do afterwards, under `**After this lab you can**`."
            )
        if not _PICTURE.search(text):
            yield Finding(where, "shows no picture of what it builds.")
        found = [step.title for step in steps(notebook) if step.title in SECTIONS]
        if found != list(SECTIONS):
            yield Finding(where, f"must end with the sections {', '.join(SECTIONS)}; has {', '.join(found) or 'none'}.")
        unseen = _not_said_what_is_seen(notebook)
        if unseen:
            yield Finding(
                where, f"does not say **What you should see** between the check of {unseen[0]} and the next step."
            )
        if "<summary>" not in text:
            yield Finding(where, "its quiz must give the answers, in `<details>`.")
        sources = [cell.source for cell in notebooks.code_cells(notebook)]
        if not any(f'lab.start("{lab.number}")' in source for source in sources[:2]):
            yield Finding(where, f'must begin with `lab.start("{lab.number}")`.')
        for source in sources:
            if plumbing := _PLUMBING.search(source):
                yield Finding(where, f"a learner never types {plumbing[0]!r}: hide it behind a function of `lab`.")


def _not_said_what_is_seen(notebook: Notebook) -> list[str]:
    """The exercises after whose check no `**What you should see**` follows before the next heading or check."""
    unseen: list[str] = []
    waiting: list[str] = []
    for cell in notebook.cells:
        numbers = notebooks.checked_numbers(cell) if cell.cell_type == "code" else []
        if numbers or (cell.cell_type == "markdown" and _HEADING.search(cell.source)):
            unseen, waiting = unseen + waiting, numbers
        elif cell.cell_type == "markdown" and "**What you should see**" in cell.source:
            waiting = []
    return unseen + waiting


def links(course: Course) -> Iterator[Finding]:
    """Links lead somewhere; pictures are there and have a text in their place."""
    for lab, notebook in course.pairs():
        where = f"solutions/{lab.file}"
        text = _prose(notebook)
        for alternative, source in _PICTURE.findall(text):
            if len(alternative) < FEWEST_ALT_LETTERS:
                yield Finding(where, f"{source} needs an alt text that says what it shows.")
            if not (course.solutions / source).is_file():
                yield Finding(where, f"{source} is not there.")
        if "<img" in text or "<svg" in text:
            yield Finding(
                where, "shows a picture in HTML, which is not checked: write ![what it shows](pictures/name.svg)."
            )
        for link in _LINK.findall(text):
            target = link.partition("#")[0]
            if target and not re.match(r"[a-z]+:", target) and not (course.solutions / target).exists():
                # Of this course's other labs only those that are defined can be there.
                yield Finding(where, f"the link {link} leads nowhere.")


def words(course: Course) -> Iterator[Finding]:
    """No term is used before the lab that explains it, in **bold**, where it first stands."""
    for term in course.terms:
        if term.lab not in {lab.number for lab in course.definitions}:
            continue
        explained = False
        for lab, notebook in course.pairs():
            for text in _readable(notebook):
                bold = [span for span in _BOLD.finditer(text) if term.pattern.fullmatch(span[1].strip())]
                use = term.pattern.search(text)
                if use and not explained and not (bold and bold[0].start(1) <= use.start()):
                    yield Finding(
                        f"solutions/{lab.file}",
                        f"uses {use[0]!r} before it is explained; the glossary has it explained, in **bold**, in Lab {term.lab}.",
                    )
                    explained = True
                if bold and not explained:
                    explained = True
                    if lab.number != term.lab:
                        yield Finding(
                            f"solutions/{lab.file}",
                            f"explains **{term.names[0]}**; by the glossary that is Lab {term.lab}.",
                        )
            if lab.number == term.lab and not explained:
                yield Finding(f"solutions/{lab.file}", f"must explain **{term.names[0]}**, says the glossary.")
                explained = True


def _readable(notebook: Notebook) -> Iterator[str]:
    """What people read of a notebook as prose, cell by cell.

    Without the first cell and the headings, which name what is to come, and without code, links and picture texts.
    """
    for cell in list(notebooks.markdown_cells(notebook))[1:]:
        text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
        text = re.sub(r"^#+ .*$", "", text, flags=re.MULTILINE)
        text = re.sub(r"`[^`]*`", "", text)
        text = _PICTURE.sub("", text)
        yield re.sub(r"\[[^\]]*\]\([^)]*\)", "", text)


def outputs(course: Course) -> Iterator[Finding]:
    """Every code cell has run, and what it was to do was done; each check's stored output is compared, and says *Right*."""
    for lab, notebook in course.pairs():
        if all(cell.execution_count is None for cell in notebooks.code_cells(notebook)):
            yield Finding(f"solutions/{lab.file}", f"has never run: run `fraudlab course run {lab.number}`.")
            continue
        for number, cell in enumerate(notebooks.code_cells(notebook), 1):
            where = f"solutions/{lab.file}, code cell {number}"
            if cell.source.strip() and cell.execution_count is None:
                yield Finding(where, f"has not run: run `fraudlab course run {lab.number}`.")
            if any(one.output_type == "error" for one in cell.outputs):
                yield Finding(where, "has an error stored as its output.")
            for text in _cards(cell):
                if text.startswith(TROUBLES):
                    yield Finding(where, f"stores a card of something that went wrong: {text.splitlines()[0]}")
                elif _acts(cell) and not text.startswith(DONE):
                    yield Finding(
                        where,
                        f"calls a helper that does something, and stores that it was not done: {text.splitlines()[0]}",
                    )
            compared = COMPARED in cell.metadata.get("tags", [])
            if compared and not cell.outputs:
                yield Finding(
                    where, f"is to be compared and has no output stored: run `fraudlab course run {lab.number}`."
                )
            checked = notebooks.checked_numbers(cell)
            if checked and not compared:
                yield Finding(where, f"checks exercise {checked[0]} and needs the tag `{COMPARED}`.")
            if checked and cell.outputs and not _says_right(cell.outputs, checked):
                yield Finding(where, f"the stored output does not say that exercise {checked[0]} is right.")


def _cards(cell: Cell) -> list[str]:
    """The texts of the cards that a cell stores."""
    stored = [one.get("data", {}) for one in cell.outputs]
    return [str(one["text/plain"]) for one in stored if 'role="status"' in one.get("text/html", "")]


def _acts(cell: Cell) -> bool:
    """Whether a cell calls a helper whose card says that something was done: one that returns a `Done`."""
    called = {node.attr for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Attribute)}
    return any(helpers.answer_of(name) is Done for name in called & set(helpers.__all__))


def _says_right(stored: list[Any], numbers: list[str]) -> bool:
    text = "".join(str(one.get("data", {}).get("text/plain", "")) for one in stored)
    return all(f"Right · Exercise {number}" in text for number in numbers)


def sources(course: Course) -> Iterator[Finding]:
    """Code that says where in the pipeline it comes from is the same there."""
    for lab, notebook in course.pairs():
        for number, cell in enumerate(notebooks.code_cells(notebook), 1):
            try:
                found = list(differences(notebooks.without_marks(cell.source)))
            except SourceError as error:
                found = [str(error)]
            yield from (Finding(f"solutions/{lab.file}, code cell {number}", what) for what in found)


def _prose(notebook: Notebook) -> str:
    return "\n\n".join(cell.source for cell in notebooks.markdown_cells(notebook))


CHECKS: tuple[Callable[[Course], Iterator[Finding]], ...] = (
    files,
    exercises,
    definitions,
    minutes,
    anatomy,
    links,
    words,
    outputs,
    sources,
)
