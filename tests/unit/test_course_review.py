"""The strict check of the course sees each thing that would make a learner stumble. Each test breaks one."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from fraudlab.course import cards, glossary, notebooks, review
from fraudlab.course.answers import Answers, Example
from fraudlab.course.exercise import Exercise, Lab, Mistake, Verdict, nothing_to_observe, right, wrong
from fraudlab.course.review import Course

ALTERNATIVE = "A line of dots, each of them a payment"


NOT_SIX = Mistake("not_six", "Not six.")


def judge(_observed: None, answer: int) -> Verdict:
    return right("Six.") if answer == 6 else wrong(NOT_SIX, found=answer, expected="a number")


EXERCISE = Exercise(
    number="01.1",
    title="Multiply",
    task="multiply two by three.",
    hints=("A nudge.", "A push.", "Nearly there."),
    shape="a number",
    observe=nothing_to_observe,
    judge=judge,
)
ANSWERS = Answers(
    right=[Example((6.0,))],
    wrong=[Example((number,), mistake="not_six") for number in (5, 7, 8)],
)
LAB = Lab(number="01", name="numbers", title="Numbers", exercises=(EXERCISE,))
TERMS = glossary.parse("**product** (Lab 01): What multiplying gives.\n")

FIRST = f"""# Lab 01 · Numbers

**20 minutes**

**After this lab you can**

- multiply

![{ALTERNATIVE}](pictures/dots.svg)"""
START = 'from fraudlab.course import lab\nlab.start("01")'
STEP = "## A worked example · 9 min\n\nWhat multiplying gives is a **product**."
TASK = "## Exercise 01.1: Multiply · 5 min\n\nMultiply."
CELL = "# Exercise 01.1\n# TODO: multiply\nanswer = ...\n### BEGIN SOLUTION\nanswer = 2 * 3\n### END SOLUTION"
CHECK = 'lab.check("01.1", answer)'
SEEN = "**What you should see**: *Right*."
END = (
    "## The tempting wrong way · 2 min\n\nAdding.\n\n## Key points · 1 min\n\nA product.\n\n"
    "## Quiz · 1 min\n\n<details>\n<summary>Answers</summary>\n\nSix.\n\n</details>\n\n"
    "## What is next · 1 min\n\nMore.\n\n## Clean-up · 1 min\n\nNothing."
)


def code(source: str, text: str = "") -> Any:
    cell = nbformat.v4.new_code_cell(source, execution_count=1)
    if text:
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=1)]
    return cell


def check_cell(source: str = CHECK, text: str = "✔ Right · Exercise 01.1\nSix.") -> Any:
    cell = code(source, text)
    cell.metadata["tags"] = [notebooks.COMPARED]
    return cell


def shown(source: str, text: str) -> Any:
    """A cell that stores a card of this text."""
    cell = code(source, text)
    cell.outputs[0]["data"]["text/html"] = '<div role="status">…</div>'
    return cell


def cells() -> dict[str, Any]:
    """A lab at which nothing is wrong, cell by cell."""

    def prose(source: str) -> Any:
        return nbformat.v4.new_markdown_cell(source)

    return {
        "first": prose(FIRST),
        "start": code(START),
        "step": prose(STEP),
        "task": prose(TASK),
        "cell": code(CELL),
        "check": check_cell(),
        "seen": prose(SEEN),
        "end": prose(END),
    }


class Site:
    """A course of one lab in a folder of its own, that a test breaks."""

    def __init__(self, folder: Path) -> None:
        self.solutions, self.labs = folder / "solutions", folder / "labs"
        (self.solutions / "pictures").mkdir(parents=True)
        (self.solutions / "pictures" / "dots.svg").write_text("<svg/>", encoding="utf-8")
        self.lab, self.answers, self.cells = LAB, ANSWERS, cells()

    def write(self, *, build: bool = True) -> Course:
        """The course as it lies there now."""
        notebook = nbformat.v4.new_notebook(cells=[cell for cell in self.cells.values() if cell is not None])
        (self.solutions / self.lab.file).write_text(notebooks.text_of(notebook), encoding="utf-8")
        if build:
            with contextlib.suppress(notebooks.MarkError):  # told by the check as well
                notebooks.build((self.lab,), self.solutions, self.labs)
        return Course((self.lab,), {"01.1": self.answers}, self.solutions, self.labs, TERMS)

    def findings(self, *, build: bool = True) -> list[str]:
        return [finding.what for finding in review.review(self.write(build=build), complete=False)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_nothing_is_found_where_nothing_is_wrong(site: Site) -> None:
    assert site.findings() == []


def source(key: str, old: str, new: str) -> Callable[[Site], None]:
    def breaking(site: Site) -> None:
        assert old in site.cells[key].source
        site.cells[key].source = site.cells[key].source.replace(old, new)

    return breaking


def exercise(**fields: Any) -> Callable[[Site], None]:
    def breaking(site: Site) -> None:
        site.lab = replace(site.lab, exercises=(replace(EXERCISE, **fields),))

    return breaking


def answers(**fields: Any) -> Callable[[Site], None]:
    def breaking(site: Site) -> None:
        site.answers = replace(ANSWERS, **fields)

    return breaking


def cell(key: str, value: Any) -> Callable[[Site], None]:
    return lambda site: site.cells.update({key: value})


def metadata(key: str, **fields: Any) -> Callable[[Site], None]:
    return lambda site: site.cells[key].update(fields)


def nobody_explains(site: Site) -> None:
    source("step", "**product**", "thing")(site)
    source("end", "A product.", "A thing.")(site)


BREAKAGES: dict[str, tuple[Callable[[Site], None], str]] = {
    "no TODO": (source("cell", "TODO", "do"), "has no `# TODO:`"),
    "no marks": (cell("cell", code("# Exercise 01.1\n# TODO\nanswer = 6")), "so its lab is already solved"),
    "only one mark": (source("cell", "### END SOLUTION", ""), "marks that do not pair up"),
    "marks the wrong way": (source("cell", "### BEGIN SOLUTION", "### END SOLUTION"), "no part between"),
    "nothing cut out": (source("cell", "answer = 2 * 3", "# six"), "loses nothing"),
    "no placeholder": (source("cell", "answer = ...", "answer = 5"), "something else than a placeholder"),
    "no check": (cell("check", None), "has no check"),
    "no exercise": (cell("cell", code("answer = 6")), "has no cell that begins with `# Exercise 01.1`"),
    "an exercise unknown to its module": (
        source("cell", "01.1", "01.2"),
        "has exercises ['01.2', '01.1'], its definition ['01.1']",
    ),
    "an empty hint": (exercise(hints=("A nudge.", " ", "Nearly there.")), "needs 3 hints"),
    "two hints": (exercise(hints=("A nudge.", "Nearly there.")), "needs 3 hints"),
    "the same hint twice": (exercise(hints=("A nudge.", "A nudge.", "Nearly there.")), "needs 3 hints"),
    "two wrong answers": (answers(wrong=ANSWERS.wrong[:2]), "at least 3 plausible wrong answers"),
    "a wrong answer without a mistake": (
        answers(wrong=[Example((number,)) for number in range(3)]),
        "names neither its mistake nor what its check waits for",
    ),
    "no right answer": (answers(right=[]), "needs a right answer"),
    "a task that is no sentence": (exercise(task="multiply"), "must be a sentence"),
    "a step without minutes": (source("step", " · 9 min", ""), "has steps without minutes"),
    "minutes that do not add up": (source("first", "**20 minutes**", "**25 minutes**"), "must say `**20 minutes**`"),
    "optional minutes that the lab does not say": (
        source("step", "## A", "## More · optional, 3 min\n\n## A"),
        "must say `**20 minutes**, and 3 more that are optional`",
    ),
    "optional minutes that are none": (
        source("first", "**20 minutes**", "**20 minutes**, and 3 more that are optional"),
        "must say no optional minutes",
    ),
    "optional minutes in the sum": (source("step", "· 9 min", "· optional, 9 min"), "must say `**11 minutes**`"),
    "a lab that is too short": (source("step", "9 min", "1 min"), "takes 12 minutes; a lab takes 15 to 75"),
    "an exercise that is too long": (source("task", "5 min", "16 min"), "exercise 01.1 takes 16 minutes"),
    "an exercise without a heading": (
        source("task", "Exercise 01.1: Multiply", "Multiply"),
        "has no step `## Exercise 01.1: Multiply",
    ),
    "another title": (source("first", "Numbers", "Figures"), "must begin with `# Lab 01 · Numbers`"),
    "no objectives": (source("first", "**After this lab you can**", ""), "must list what one can do"),
    "no picture": (source("first", f"![{ALTERNATIVE}](pictures/dots.svg)", ""), "shows no picture"),
    "a picture without alt text": (source("first", ALTERNATIVE, "dots"), "needs an alt text"),
    "a picture that is not there": (source("first", "dots.svg", "lines.svg"), "is not there"),
    "a picture in HTML": (source("step", "What", '<img src="x.svg"> What'), "shows a picture in HTML"),
    "a link that leads nowhere": (source("step", "What", "[What](02-none.ipynb)"), "leads nowhere"),
    "no section at the end": (
        source("end", "## Key points · 1 min", "## Points · 1 min"),
        "must end with the sections",
    ),
    "sections in another order": (source("end", "Key points", "Clean-up"), "must end with the sections"),
    "a quiz without answers": (source("end", "<summary>", ""), "must give the answers"),
    "what is to be seen, a step too late": (
        source("seen", SEEN, f"## Another step · 2 min\n\n{SEEN}"),
        "does not say **What you should see** between the check of 01.1",
    ),
    "nothing to be seen": (
        source("seen", "**What you should see**", "See"),
        "does not say **What you should see** between the check of 01.1",
    ),
    "no start": (source("start", 'lab.start("01")', ""), 'must begin with `lab.start("01")`'),
    "a port": (source("start", "lab.start", "port = ':9092'\nlab.start"), "a learner never types ':9092'"),
    "a password": (source("start", "lab.start", "password = ''\nlab.start"), "a learner never types 'password'"),
    "a term before it is explained": (
        source("step", "What", "Products. What"),
        "uses 'Products' before it is explained",
    ),
    "a term that nobody explains": (nobody_explains, "must explain **product**"),
    "a term used only": (source("step", "**product**", "product"), "uses 'product' before it is explained"),
    "a cell that has not run": (metadata("start", execution_count=None), "has not run"),
    "a check without output": (metadata("check", outputs=[]), "has no output stored"),
    "a check that is not compared": (metadata("check", metadata={}), "needs the tag"),
    "a check that did not say right": (
        cell("check", check_cell(text="✘ Not right yet")),
        "does not say that exercise 01.1 is right",
    ),
    "an error as output": (
        metadata("start", outputs=[nbformat.v4.new_output("error", ename="E", evalue="e", traceback=[])]),
        "has an error stored",
    ),
    "a kill that was refused": (
        cell(
            "start", shown(f'{START}\nlab.kill("taskmanager")', "Nothing was killed: you are not alone on this stack.")
        ),
        "stores that it was not done: Nothing was killed",
    ),
    "a dashboard that was not started": (
        cell("start", shown(f"{START}\nlab.dashboard()", "The dashboard cannot be started now.")),
        "stores that it was not done: The dashboard cannot be started now.",
    ),
    "a stack that was down": (
        cell("start", shown(START, str(cards.down("Kafka does not run.", "`lab.up()` starts it.")))),
        "stores a card of something that went wrong: ! Something is not running",
    ),
    "code that differs from the pipeline": (
        cell(
            "start",
            code(f"{START}\n# From fraudlab/pipeline/history.py: has_payments\ndef has_payments(history): return True"),
        ),
        "is not as in fraudlab/pipeline/history.py",
    ),
    "code from nowhere": (cell("start", code(f"{START}\n# From fraudlab/pipeline/none.py: judge")), "leads nowhere"),
}


def test_a_helper_that_did_what_it_was_asked_is_no_finding(site: Site) -> None:
    site.cells["start"] = shown(f'{START}\nlab.kill("taskmanager")', str(cards.Done("Killed: taskmanager.")))
    assert site.findings() == []


@pytest.mark.parametrize("what", BREAKAGES)
def test_it_finds(site: Site, what: str) -> None:
    breaking, expected = BREAKAGES[what]
    breaking(site)
    assert [finding for finding in site.findings() if expected in finding], site.findings()


def test_it_finds_a_lab_that_is_not_what_its_solution_gives(site: Site) -> None:
    site.write()
    site.cells["step"].source += " More."
    assert site.findings(build=False) == ["is not what its solution gives: run `fraudlab course build`."]


def test_it_finds_a_solution_that_is_missing(site: Site) -> None:
    course = site.write()
    (site.solutions / LAB.file).unlink()
    assert next(str(one) for one in review.files(course)).startswith("solutions/01-numbers.ipynb: is missing")


@pytest.mark.parametrize("stray", ["solutions/02-more.ipynb", "solutions/notes.txt", "labs/02-more.ipynb"])
def test_it_finds_stray_files(site: Site, stray: str) -> None:
    course = site.write()
    (site.solutions.parent / stray).write_text("{}", encoding="utf-8")
    assert [one.where for one in review.files(course)] == [stray]


def test_it_finds_an_agenda_that_lacks_labs_or_does_not_fit(site: Site) -> None:
    course = site.write()
    assert "the agenda of half a day: lacks the labs 00, 02, 03, 04." in map(str, review.agendas(course))


def test_an_optional_step_has_its_minutes_outside_the_sum(site: Site) -> None:
    source("step", "## A", "## More · optional, 3 min\n\nMore.\n\n## A")(site)
    source("first", "**20 minutes**", "**20 minutes**, and 3 more that are optional")(site)
    assert site.findings() == []


@pytest.mark.parametrize(("total", "fits"), [("48", True), ("29", False), ("49", False), ("60", False)])
def test_an_agenda_is_as_long_as_people_bear(site: Site, total: str, fits: bool) -> None:
    site.cells["step"].source = site.cells["step"].source.replace("9 min", f"{int(total) - 11} min")
    names = [f"{number:02}" for number in range(8)]
    labs = tuple(replace(LAB, number=name) for name in names)
    for lab in labs:
        site.lab = lab
        site.write(build=False)
    found = list(review.agendas(Course(labs, {}, site.solutions, site.labs, TERMS)))
    assert (found == []) is fits
