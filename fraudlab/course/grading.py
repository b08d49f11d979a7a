"""Grading: each notebook that was handed in is run on the stack, in the course's own notebook, and its checks say what it got."""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudlab.course import cards, grades, notebooks, submissions
from fraudlab.course.breaking import others
from fraudlab.course.exercise import Exercise, Lab, NotSolvedYet
from fraudlab.course.grades import Grade, Learner
from fraudlab.course.notebooks import Cell, Notebook
from fraudlab.course.progress import Progress, Record
from fraudlab.course.submissions import Answers, Filled, Submission, Unreadable
from fraudlab.course.workspace import OUTAGES, SLOTS_PER_LEARNER, Late, Workspace
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import JOBS
from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout

NO_ANSWER = "no answer"
MISSING = "the notebook has no cell of this exercise"
SILENT = "its check said nothing"
KILLS = "lab.kill("
"""In the notebook of a lab that kills programs, which it refuses to do where others use them."""

_OF_SOMEBODY = re.compile(r"[a-z][a-z0-9]*\.")
"""How a job's name begins that has a learner's prefix."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """A notebook after it was run, and the learner's progress.

    `ended` says why it ended early, `down` what of the stack was not ready afterwards; "" where nothing of the kind happened.
    """

    filled: Filled
    records: Mapping[str, Record]
    ended: str = ""
    down: str = ""

    @property
    def cells(self) -> Sequence[Cell]:
        """Its code cells."""
        return list(self.filled.notebook.cells)


def grade(
    own: Settings, submitted: Sequence[Submission], labs: Sequence[Lab], cell_s: float, say: Say
) -> Generator[list[Learner], None, None]:
    """Grades one lab of one learner after the other, on a stack that is running; gives the grades so far, before and after each of them.

    Args:
        own: The settings of the learner under whose name all of it runs. Whatever they have is deleted, before and afterwards.
        submitted: What was handed in.
        labs: Those to grade.
        cell_s: How long a cell may take.
        say: Where progress goes.

    Raises:
        UserError: It cannot begin or go on: too few task slots are free, or a part of the stack does not come back.
    """
    workspace = Workspace(own)
    with _alone(own):
        workspace.reset()  # what is left of a run that was killed holds task slots
        _require_slots(workspace)
        learners: list[Learner] = []
        yield learners
        try:
            for place, submission in enumerate(submitted, 1):
                learner = Learner(grades.line(submission.learner), [grades.line(one) for one in submission.notes])
                learners.append(learner)
                say(f"{learner.name} ({place} of {len(submitted)})")
                for note in learner.notes:
                    say(f"  {note}")
                for lab in labs:
                    if path := submission.notebooks.get(lab.number):
                        began = time.monotonic()
                        learner.grades += of_lab(workspace, lab, path, cell_s)
                        say(f"  Lab {lab.number}: {learner.of_lab(lab.number)} ({time.monotonic() - began:.0f} s)")
                        yield learners
            yield learners
        finally:
            try:
                workspace.erase()
            except (*OUTAGES, Late) as error:
                say(f"what is left of `{own.learner}` could not be deleted: {grades.line(str(error))}")


def of_lab(workspace: Workspace, lab: Lab, path: Path, cell_s: float) -> list[Grade]:
    """The grades of one notebook."""
    course = notebooks.read(notebooks.LABS / lab.file)
    try:
        given = submissions.answers(course, submissions.read(path))
    except Unreadable as error:
        return _not_graded(lab, f"not readable: {error}")
    run = None
    if submissions.changed(course, given):
        company = others(workspace) if any(KILLS in cell.source for cell in notebooks.code_cells(course)) else []
        if company:
            return _not_graded(
                lab, f"this lab kills programs that {', '.join(company)} uses, too: grade it on a stack of its own"
            )
        run = run_in(workspace, submissions.filled(course, given), cell_s)
    return [grade_of(lab, exercise, course, given, run) for exercise in lab.exercises]


def run_in(workspace: Workspace, filled: Filled, cell_s: float) -> Run:
    """Runs a notebook in a kernel and an empty folder of its own. No error of a learner's code is raised here."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    if workspace.problem():  # after a lab in which something was killed
        workspace.stack.start()
    before = {job.id for job in workspace.flink.jobs()}
    ended = ""
    with tempfile.TemporaryDirectory(prefix="fraudlab-grade-", ignore_cleanup_errors=True) as folder:
        own = workspace.settings.model_copy(update={"work": Path(folder)})
        try:
            notebooks.execute_past_errors(filled.notebook, own.work, own.environment(), cell_s)
        except CellTimeoutError:
            ended = f"a cell ran longer than {cell_s:g} s"
        except DeadKernelError:
            ended = "the kernel died"
        except Exception as error:  # what a notebook holds is a stranger's
            ended = f"the notebook cannot be run: {type(error).__name__}: {error}"
        records = Progress.of_learner(own).records()
    if problem := workspace.problem():
        return Run(filled, records, ended, problem[0])
    _cancel_strays(workspace, before)
    return Run(filled, records, ended)


def _cancel_strays(workspace: Workspace, before: set[str]) -> None:
    """Ends new jobs whose names say that they are nobody's: no `catch_up` ends them, and they hold task slots."""
    for job in workspace.flink.jobs():
        if not job.ended and job.id not in before and job.name not in JOBS and not _OF_SOMEBODY.match(job.name):
            workspace.flink.cancel(job.id)


def grade_of(lab: Lab, exercise: Exercise, course: Notebook, given: Answers, run: Run | None) -> Grade:
    """What a learner got for an exercise. `run` is None where no exercise of the notebook has an answer."""

    def got(remark: str, *, solved: bool = False, graded: bool = True) -> Grade:
        return Grade(lab.number, exercise.number, exercise.title, solved, grades.line(remark), graded)

    if exercise.number not in given:
        return got(MISSING, graded=False)
    if run is None or exercise.number not in submissions.changed(course, given):
        return got(NO_ANSWER)
    if run.records.get(exercise.number, Record()).solved:
        return got("", solved=True)
    if trouble := _trouble(run, exercise.number):
        return got(trouble, graded=False)
    return got(_said(run, exercise.number))


def _trouble(run: Run, number: str) -> str:
    """Why an exercise that is not solved could not be graded; "" if it was."""
    place = run.filled.places[number]
    begin = min(one.start for one in run.filled.places.values())
    if failed := _error(run.cells[:begin]):
        return f"the lab did not begin: {failed}"
    if run.ended:
        reached = max((at for at, cell in enumerate(run.cells) if cell.execution_count), default=-1)
        if place.start > reached:
            return f"not reached: {run.ended}"
        if reached < place.stop:
            return run.ended
    if _card(run.cells[place.start : place.stop], cards.down("", "").head):
        return run.down or "a part of the stack was not running"
    return run.down


def _said(run: Run, number: str) -> str:
    """What the check of an exercise said that is not solved, or else the first error of its cells."""
    place = run.filled.places[number]
    cells = run.cells[place.start : place.stop]
    if card := _card(cells, f"· Exercise {number}"):
        return " ".join(line for line in card[1:] if line == card[1] or line.startswith("Found: "))
    return _error(cells) or SILENT


def _card(cells: Sequence[Cell], words: str) -> list[str]:
    """The lines of the last card with these words in its head; none where there is no such card."""
    texts = [str(one.get("data", {}).get("text/plain", "")) for cell in cells for one in cell.outputs]
    return next((text.splitlines() for text in reversed(texts) if words in text.partition("\n")[0]), [])


def _error(cells: Sequence[Cell]) -> str:
    """The first error of cells, as a sentence; "" without one. An exercise whose answer is still the placeholder has none."""
    errors = [one for cell in cells for one in cell.outputs if one.output_type == "error"]
    for one in errors:
        if one.ename != NotSolvedYet.__name__:
            return f"{one.ename}: {one.evalue}"
    return NO_ANSWER if errors else ""


def _not_graded(lab: Lab, why: str) -> list[Grade]:
    remark = grades.line(why)
    return [Grade(lab.number, one.number, one.title, False, remark, False) for one in lab.exercises]


def _require_slots(workspace: Workspace) -> None:
    free, everything = workspace.slots()
    if free < SLOTS_PER_LEARNER:
        raise UserError(
            f"{free} of {everything} task slots are free, and grading needs {SLOTS_PER_LEARNER}: answers would be graded as wrong.",
            "End the jobs of others (`fraudlab status` and Flink's web page name them), or set FRAUDLAB_TASK_SLOTS before the start.",
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Raises UserError where another command grades on this stack: they would share a database and topics."""
    path = Layout(settings.home).home / ".grading"
    with os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                "Another `fraudlab course grade` is running on this stack.",
                "Wait until it has ended, or use a stack of its own: set FRAUDLAB_HOME and FRAUDLAB_PORT_BASE.",
            ) from error
        yield
