"""The pieces of the course that need no stack: cards, progress, the learner's folder, cutting, comparing with the pipeline."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from typer.testing import CliRunner

from fraudlab.cli import app
from fraudlab.course import cards, glossary, lab, learner_folder, pictures, review
from fraudlab.course.exercise import PLACEHOLDER, Mistake, NotSolvedYet, not_yet, right, wrong
from fraudlab.course.notebooks import LABS, MarkError, cut, execute
from fraudlab.course.progress import Progress
from fraudlab.course.sources import SourceError, differences
from fraudlab.pipeline.statements import statements as of_pipeline
from tests.support.waiting import patient


def test_the_course_of_this_repository_passes_its_own_check() -> None:
    course = review.present()
    complete = len(course.definitions) == 8
    assert [str(finding) for finding in review.review(course, complete=complete)] == []


# Cards


def test_a_card_escapes_what_is_not_ours() -> None:
    card = cards.of_verdict(
        "01.1", wrong(Mistake("a_mistake", "Not <b>this</b>."), found="<script>", expected="a `<number>`")
    )
    assert "<script>" not in card._repr_html_()
    assert "&lt;script&gt;" in card._repr_html_()
    assert "<code>&lt;number&gt;</code>" in card._repr_html_()


def test_a_card_says_the_same_as_text() -> None:
    card = cards.of_verdict("01.1", wrong(Mistake("a_mistake", "Those are users."), found=3, expected="payments"))
    assert str(card).splitlines() == [
        "✘ Not right yet · Exercise 01.1",
        "Those are users.",
        "Found: 3",
        "Expected: payments",
        '`lab.hint("01.1")` gives a hint.',
    ]
    assert card.mistake == "a_mistake"


def test_the_four_answers_of_a_check_can_be_told_apart() -> None:
    heads = [
        cards.of_verdict("01.1", right("Yes.")).head,
        cards.of_verdict("01.1", wrong(Mistake("a_mistake", "No."), found=1, expected="2")).head,
        cards.of_verdict("01.1", not_yet("3 of 4.")).head,
        cards.down("Kafka does not run.", "`make lab` starts it.").head,
    ]
    assert len(set(heads)) == 4


# Progress


def test_the_solution_opens_after_three_tries(tmp_path: Path) -> None:
    progress = Progress(tmp_path / "work", "ada")
    assert [progress.tried("01.1", solved=False).solution_is_open for _ in range(3)] == [False, False, True]


def test_the_solution_opens_with_success_and_success_stays(tmp_path: Path) -> None:
    progress = Progress(tmp_path, "ada")
    assert progress.tried("01.1", solved=True).solution_is_open
    assert progress.tried("01.1", solved=False).solved


def test_hints_come_one_by_one_and_end_with_the_last(tmp_path: Path) -> None:
    progress = Progress(tmp_path, "ada")
    assert [progress.hinted("01.1", 3).hints for _ in range(5)] == [1, 2, 3, 3, 3]


def test_two_learners_keep_their_progress_apart(tmp_path: Path) -> None:
    Progress(tmp_path, "ada").tried("01.1", solved=True)
    assert not Progress(tmp_path, "bob").of("01.1").solved


def test_progress_can_be_read_by_people_and_survives_being_spoiled(tmp_path: Path) -> None:
    progress = Progress(tmp_path, "ada")
    progress.tried("01.1", solved=True)
    ((number, fields),) = json.loads(progress.path.read_text()).items()
    times = {fields.pop(name) for name in ("begun", "touched", "solved_at")}
    assert (number, fields, len(times)) == ("01.1", {"tries": 1, "hints": 0, "solved": True}, 1)
    progress.path.write_text("{")
    assert progress.records() == {}
    progress.tried("01.2", solved=False)
    assert set(progress.records()) == {"01.2"}


# The learner's folder


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "labs"
    (folder / "pictures").mkdir(parents=True)
    (folder / "01-a.ipynb").write_text("first")
    (folder / "pictures" / "a.svg").write_text("<svg/>")
    return folder


def test_what_a_learner_changed_is_never_overwritten_and_the_new_version_lies_beside_it(
    tmp_path: Path, course: Path
) -> None:
    work = tmp_path / "work"
    assert learner_folder.lay_out(work, course) == []
    (work / "01-a.ipynb").write_text("mine")
    (course / "01-a.ipynb").write_text("second")
    (said,) = learner_folder.lay_out(work, course)
    assert "beside it: 01-a.new.ipynb" in said
    assert (work / "01-a.ipynb").read_text() == "mine"
    assert (work / "01-a.new.ipynb").read_text() == "second"
    (work / "01-a.new.ipynb").unlink()
    assert learner_folder.lay_out(work, course) == []
    assert not (work / "01-a.new.ipynb").exists(), "told once is enough"


def test_nobody_else_reads_what_notebooks_have_printed(tmp_path: Path, course: Path) -> None:
    """The key to Flink's page, for instance: another user read it in a notebook, and used it."""
    before = os.umask(0)
    try:
        learner_folder.lay_out(tmp_path / "work", course)
        (tmp_path / "shared").mkdir(mode=0o750)
        learner_folder.lay_out(tmp_path / "shared", course)
    finally:
        os.umask(before)
    modes = {one: stat.S_IMODE((tmp_path / one).stat().st_mode) for one in ("work", "shared")}
    assert modes == {"work": 0o700, "shared": 0o750}, "a folder that was there stays as it was"


def test_what_a_learner_did_not_change_follows_the_course(tmp_path: Path, course: Path) -> None:
    work = tmp_path / "work"
    learner_folder.lay_out(work, course)
    (course / "01-a.ipynb").write_text("second")
    assert len(learner_folder.lay_out(work, course)) == 1
    assert (work / "01-a.ipynb").read_text() == "second"
    assert (work / "pictures" / "a.svg").exists()


def test_a_file_that_a_learner_removed_comes_back(tmp_path: Path, course: Path) -> None:
    work = tmp_path / "work"
    learner_folder.lay_out(work, course)
    (work / "01-a.ipynb").unlink()
    learner_folder.lay_out(work, course)
    assert (work / "01-a.ipynb").read_text() == "first"


NOW = datetime(2026, 3, 1, 14, 30, tzinfo=UTC)


def test_a_fresh_notebook_is_the_course_s_and_the_learner_s_own_is_kept_under_a_dated_name(
    tmp_path: Path, course: Path
) -> None:
    work = tmp_path / "work"
    learner_folder.lay_out(work, course)
    for mine in ("wrecked", "wrecked again"):
        (work / "01-a.ipynb").write_text(mine)
        said = learner_folder.fresh(work, "01-a.ipynb", NOW, course)
        assert (work / "01-a.ipynb").read_text() == "first"
    assert said == "01-a.ipynb: it is fresh; your own is kept beside it: 01-a.2026-03-01-1430-2.ipynb."
    kept = [(work / f"01-a.2026-03-01-1430{end}.ipynb").read_text() for end in ("", "-2")]
    assert kept == ["wrecked", "wrecked again"], "whoever does it twice loses nothing either"


def test_a_fresh_notebook_is_the_course_s_new_version_and_follows_it_from_then_on(tmp_path: Path, course: Path) -> None:
    work = tmp_path / "work"
    learner_folder.lay_out(work, course)
    (work / "01-a.ipynb").write_text("mine")
    (course / "01-a.ipynb").write_text("second")
    learner_folder.fresh(work, "01-a.ipynb", NOW, course)
    assert (work / "01-a.ipynb").read_text() == "second"
    assert learner_folder.lay_out(work, course) == []
    (course / "01-a.ipynb").write_text("third")
    learner_folder.lay_out(work, course)
    assert (work / "01-a.ipynb").read_text() == "third"


def test_a_notebook_that_is_as_the_course_has_it_is_left_alone(tmp_path: Path, course: Path) -> None:
    work = tmp_path / "work"
    assert learner_folder.fresh(work, "01-a.ipynb", NOW, course) == "01-a.ipynb: there was none; it is there now."
    assert "already" in learner_folder.fresh(work, "01-a.ipynb", NOW, course)
    assert sorted(path.name for path in work.iterdir()) == [learner_folder.MANIFEST, "01-a.ipynb"]


def test_the_command_makes_a_notebook_fresh_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("FRAUDLAB_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "03-sql-join.ipynb").write_text("wrecked")
    said = CliRunner().invoke(app, ["lab", "3", "--fresh"])
    assert said.exit_code == 0
    assert "your own is kept beside it: 03-sql-join." in said.output
    assert (tmp_path / "work" / "03-sql-join.ipynb").read_bytes() == (LABS / "03-sql-join.ipynb").read_bytes()
    assert not (tmp_path / "home").exists()


# Cutting


def test_a_solution_at_the_beginning_of_a_line_leaves_the_line_before_it() -> None:
    solution = "answer = ...\n### BEGIN SOLUTION\nanswer = 6\n### END SOLUTION\nanswer"
    assert cut(solution, "01.1") == "answer = ...\n# your code here\nanswer"


def test_a_solution_in_a_function_leaves_a_call_that_says_so() -> None:
    solution = "def six():\n    ### BEGIN SOLUTION\n    return 6\n    ### END SOLUTION"
    assert cut(solution, "01.1") == 'def six():\n    lab.todo("01.1")  # your code here'


def test_a_solution_in_sql_leaves_a_comment() -> None:
    solution = 'query = """\nSELECT 1\n-- ### BEGIN SOLUTION\nFROM t\n-- ### END SOLUTION\n"""'
    assert cut(solution, "01.1") == 'query = """\nSELECT 1\n-- your code here\n"""'


@pytest.mark.parametrize(
    "marks", [["BEGIN"], ["END"], ["BEGIN", "BEGIN", "END"], ["END", "BEGIN"]], ids=lambda marks: "-".join(marks)
)
def test_marks_that_do_not_pair_up_are_an_error(marks: list[str]) -> None:
    with pytest.raises(MarkError):
        cut("\n".join(f"### {mark} SOLUTION" for mark in marks), "01.1")


# Comparing with the pipeline

MODULE = '''
class Detector:
    """Finds."""

    def find(self, value: int) -> int:
        """Gives more."""
        return value + 1  # one more


def judge(value: int) -> bool:
    return value > 3
'''
SQL = "CREATE TABLE a (x INT)\n//\n-- Why.\nINSERT INTO b\nSELECT x -- the only one\nFROM a\n//\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "some.sql").write_text(SQL)
    return tmp_path


def test_comments_docstrings_and_layout_do_not_count(repository: Path) -> None:
    cell = dedent('''
        # From module.py: Detector.find
        # From module.py: judge
        # From some.sql: INSERT INTO b
        class Detector:
            def find(self, value: int) -> int:
                # Gives one more than it got.
                return (value +
                        1)

        def judge(value: int) -> bool:
            """Whether it is too much."""
            return value > 3

        statement = """
            INSERT INTO b   SELECT x
            FROM a"""
    ''')
    assert list(differences(cell, repository)) == []


@pytest.mark.parametrize(
    "cell",
    [
        "# From module.py: judge\ndef judge(value: int) -> bool:\n    return value >= 3",
        "# From module.py: judge\ndef other(value: int) -> bool:\n    return value > 3",
        "# From module.py: Detector.find\nclass Detector:\n    def find(self, value: int) -> int:\n        return value + 2",
        "# From some.sql: INSERT INTO b\ns = 'INSERT INTO b SELECT y FROM a'",
    ],
)
def test_what_differs_is_told(repository: Path, cell: str) -> None:
    (difference,) = differences(cell, repository)
    assert "is not as in" in difference


@pytest.mark.parametrize("cell", ["# From none.py: x", "# From module.py: none", "# From some.sql: DELETE"])
def test_a_source_that_leads_nowhere_is_an_error(repository: Path, cell: str) -> None:
    with pytest.raises(SourceError):
        list(differences(cell, repository))


# Statements of a learner's own in the pipeline's functions


def test_a_kernel_that_runs_a_notebook_has_no_port(tmp_path: Path) -> None:
    """sec-01's brother: over TCP a kernel tells every local user what it prints. Grading and recording run kernels, too."""
    cell = nbformat.v4.new_code_cell(
        "from ipykernel.kernelapp import IPKernelApp; app = IPKernelApp.instance(); print(app.transport, app.ip)"
    )
    execute(nbformat.v4.new_notebook(cells=[cell]), tmp_path, {}, cell_s=patient(60))
    transport, place = cell.outputs[0].text.split()
    assert transport == "ipc"
    assert not Path(place).parent.exists(), "the sockets' folder ends with the kernel"


def test_statements_of_the_learner_stand_in_the_place_of_one_file_only() -> None:
    statements = lab.instead_of("join.sql", "CREATE TABLE a (x INT)", "\nINSERT INTO a\nSELECT ${y}\n")
    assert statements("join.sql", {"y": 1}) == ["CREATE TABLE a (x INT)", "INSERT INTO a\nSELECT 1"]
    names = {name: name for name in ("sink_topics", "dead_letters", "kafka_options")}
    assert statements("records.sql", names) == of_pipeline("records.sql", names)


def test_a_statement_that_is_still_to_be_completed_is_not_handed_on() -> None:
    with pytest.raises(NotSolvedYet, match="still to do"):
        lab.instead_of("join.sql", f"INSERT INTO a\n-- {PLACEHOLDER}")


# Glossary and pictures


def test_every_entry_of_the_glossary_is_understood() -> None:
    lines = [line for line in glossary.PATH.read_text(encoding="utf-8").splitlines() if line.startswith("**")]
    assert len(glossary.terms()) == len(lines)


@pytest.mark.parametrize("word", ["binlog", "Binlogs", " slot ", "CDC"])
def test_a_term_is_found_by_any_of_its_names(word: str) -> None:
    assert glossary.find(word) is not None


def test_a_picture_of_no_payments_says_so() -> None:
    assert repr(pictures.window("User 1", [])) == "User 1: no payment."


def test_a_picture_shows_the_hour_with_the_most_countries_and_says_it_in_words() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    dots = [
        pictures.Dot(noon - timedelta(minutes=65), "US", Decimal(5000)),  # an hour before the next: outside
        pictures.Dot(noon - timedelta(minutes=5), "<b>", Decimal("600.00")),
        pictures.Dot(noon, "DE", Decimal("600.50")),
        pictures.Dot(noon + timedelta(hours=3), "DE", Decimal(9000)),
    ]
    picture = pictures.window("User <1>", dots)
    assert repr(picture) == "User <1>: the hour until 12:00:00 holds 2 of 4 payments, 1,200.50 EUR in <b> and DE."
    assert "<b>" not in picture.svg
    assert 'aria-label="User &lt;1&gt;: the hour' in picture.svg
