"""What learners hand in: folders, notebooks, and the answers in them, put into the course's own notebook. Starts nothing."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from fraudlab.course import notebooks
from fraudlab.course.exercise import Lab
from fraudlab.course.notebooks import Notebook
from fraudlab.errors import UserError

LARGEST_MIB = 50
"""A notebook with pictures has a few MiB. A larger file would only be read to be refused."""

_COURSES_OWN = re.compile(r"\.|pictures$|progress-\w+\.json$")
"""How names begin that the course itself puts into a learner's folder."""
_SET_ASIDE = re.compile(r"\.\d{4}-\d\d-\d\d-\d{4}(-\d+)?$")
"""How the folders end that `fraudlab class reset` keeps."""

Answers = Mapping[str, Sequence[str]]
"""An exercise's number to the cells that a learner answered it with, in order."""


class Unreadable(ValueError):  # noqa: N818 - a remark, not a failure of ours
    """A file is not a notebook; the text says why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell as it was handed in. `id` is empty where the file has none."""

    id: str
    source: str


@dataclass(frozen=True)
class Submission:
    """What one learner handed in: notebooks by the numbers of their labs, and a sentence for whatever else is there."""

    learner: str
    notebooks: Mapping[str, Path]
    notes: Sequence[str] = field(default=())


def find(folder: Path, labs: Sequence[Lab]) -> tuple[list[Submission], list[str]]:
    """The submissions in a folder, sorted by learner, and a sentence for each thing in it that is none.

    Lab notebooks directly in the folder are those of one learner, who is named like the folder. Otherwise each folder in it is a learner's.

    Raises:
        UserError: There is no such folder, or no lab notebook in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.", "Name the folder that holds a folder of notebooks per learner.")
    if (alone := _of_learner(folder, folder.resolve().name, labs)).notebooks:
        return [alone], []
    submissions, notes = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if _SET_ASIDE.search(path.name):
            notes.append(f"{path.name}: set aside by `fraudlab class reset`, so it is not graded.")
        elif path.is_symlink():
            notes.append(f"{path.name}: a link, which may lead to another learner's answers, so it is not graded.")
        elif path.is_dir():
            submissions.append(_of_learner(path, path.name, labs))
        else:
            notes.append(f"{path.name}: neither a learner's folder nor the notebook of a lab.")
    if not any(one.notebooks for one in submissions):
        raise UserError(
            f"{folder} holds no notebook of a lab.",
            f"Put a folder per learner into it, with notebooks named as in the folder labs: {labs[0].file}.",
        )
    return submissions, notes


def _of_learner(folder: Path, learner: str, labs: Sequence[Lab]) -> Submission:
    files = {lab.file: lab.number for lab in labs}
    names = sorted(path.name for path in folder.iterdir())
    other = [name for name in names if name not in files and not _COURSES_OWN.match(name)]
    notes = [f"{name}: not the notebook of a lab, so it is not graded." for name in other]
    found = {files[name]: folder / name for name in names if name in files}
    return Submission(learner, found, notes if found else [*notes, "no notebook of a lab is in this folder."])


def read(path: Path) -> list[Cell]:
    """The code cells of a notebook that somebody handed in.

    Raises:
        Unreadable: It is no notebook.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise Unreadable("it is not a file")  # a link may lead to another learner's answers
        if path.stat().st_size > LARGEST_MIB * 2**20:
            raise Unreadable(f"it is larger than {LARGEST_MIB} MiB")
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = [one for one in document["cells"] if one["cell_type"] == "code"]
        return [Cell(str(one.get("id", "")), "".join(one["source"])) for one in cells]
    except UnicodeDecodeError as error:
        raise Unreadable("it is not text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is not JSON: {error.msg} in line {error.lineno}") from error
    except OSError as error:
        raise Unreadable(f"{error.strerror}") from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable("it has no cells as a notebook has them") from error


def answers(course: Notebook, cells: Sequence[Cell]) -> dict[str, list[str]]:
    """A learner's answers, by the numbers of the exercises; without those whose cells are not there.

    An exercise's cell is known by its id, or by its first comment where it was copied. Cells that the learner added right after it are part
    of the answer. A second cell for the same exercise counts if it comes before the exercise's check, as in the learner's own notebook.
    """
    own = {cell.id: cell for cell in notebooks.code_cells(course)}
    sources = {cell.source.strip() for cell in own.values()}
    places = notebooks.places(course)
    by_id = {place.exercise.id: place.number for place in places if place.exercise is not None}
    given: dict[str, list[str]] = {}
    checked: set[str] = set()
    number: str | None = None
    for cell in cells:
        written = by_id.get(cell.id) or notebooks.exercise_number(cell)
        checks = notebooks.checked_numbers(cell)
        if written in by_id.values():
            number = None if written in checked and written in given else written
        elif cell.id in own or cell.source.strip() in sources or checks:
            number = None
            checked.update(checks)
        if number is not None:
            given.setdefault(number, []).append(cell.source)
    return given


def changed(course: Notebook, given: Answers) -> set[str]:
    """The numbers of the exercises of which a learner changed something."""
    blank = {place.number: place.exercise.source for place in notebooks.places(course) if place.exercise is not None}
    return {number for number, sources in given.items() if [one.strip() for one in sources] != [blank[number].strip()]}


@dataclass(frozen=True)
class Filled:
    """The course's notebook with a learner's answers in it, and where each exercise is: its cells from the first to its check."""

    notebook: Notebook
    places: Mapping[str, range]


def filled(course: Notebook, given: Answers) -> Filled:
    """Puts a learner's answers in the place of the exercises' cells, and leaves out what comes after the last check of a changed one.

    Nothing else of what was handed in is in it: checks and all other cells are the course's.
    """
    answered = changed(course, given)
    notebook = nbformat.v4.new_notebook(metadata=course.metadata)
    begin: dict[str, int] = {}
    places: dict[str, range] = {}
    for cell in notebooks.code_cells(course):
        number = notebooks.exercise_number(cell) or ""
        if number:
            begin[number] = len(notebook.cells)
        for place, source in enumerate(given.get(number, [cell.source])):
            notebook.cells.append(nbformat.v4.new_code_cell(source, id=f"{cell.id}-{place}" if place else cell.id))
        for checked in notebooks.checked_numbers(cell):
            places[checked] = range(begin[checked], len(notebook.cells))
    last = max((places[number].stop for number in answered), default=0)
    del notebook.cells[last:]
    return Filled(notebook, {number: place for number, place in places.items() if place.stop <= last})
