"""Case course-14, and course-18: errors in sentences. The texts are what Flink and MySQL say."""

import asyncio
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from fraudlab.course import kernel_startup, notebooks, walls

FLINK = """An error occurred while calling o8.{call}.
: org.apache.flink.table.api.{outer}
\tat org.apache.flink.table.planner.calcite.FlinkPlannerImpl.validate(FlinkPlannerImpl.scala:200)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: org.apache.calcite.runtime.CalciteContextException: {cause}
\tat java.base/jdk.internal.reflect.DirectConstructorHandleAccessor.newInstance(DirectConstructorHandleAccessor.java:62)
\t... 15 more
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: {cause}
\t... 36 more
"""

SINK = """An error occurred while calling o75.explain.
: org.apache.flink.table.api.ValidationException: Column types of query result and sink for 'cat.db.transaction_mid' do not match.
Cause: {cause}

Query schema: [transaction_id: BIGINT NOT NULL, {query}amount: DECIMAL(12, 2)]
Sink schema:  [transaction_id: BIGINT, user_suspicious_activity: BOOLEAN, amount: DECIMAL(12, 2)]
\tat org.apache.flink.table.planner.connectors.DynamicSinkUtils.createSchemaMismatchException(DynamicSinkUtils.java:1081)
"""


def of_sql(cause: str, statement: str = "") -> str:
    return str(
        walls.of_flink(
            FLINK.format(call="executeSql", outer="ValidationException: SQL validation failed. " + cause, cause=cause),
            statement,
        )
    )


def test_a_column_that_is_not_there_is_shown_in_the_learners_own_line() -> None:
    said = of_sql(
        "From line 2, column 10 to line 2, column 13: Column 'nope' not found in any table",
        "SELECT a,\n  b + 1, nope\nFROM src",
    )
    assert said.splitlines()[:3] == ["Flink: There is no column `nope`.", "Line 2: b + 1, nope", "               ^"]


@pytest.mark.parametrize(
    ("cause", "what"),
    [
        ("From line 1, column 15 to line 1, column 21: Object 'nothere' not found", "There is no table `nothere`"),
        ("At line 1, column 8: Expression 'a' is not being grouped", "`a` is neither in GROUP BY nor"),
        (
            'Encountered "src" at line 2, column 5.\nWas expecting one of:\n    <EOF>\n    "FROM" ...',
            "did not expect `src` here",
        ),
        (
            "From line 1, column 8 to line 1, column 13: No match found for function signature FOO(<NUMERIC>)",
            "no function `FOO`",
        ),
        ("Something that nobody has thought of", "Flink: Something that nobody has thought of"),
    ],
)
def test_what_flink_says_is_one_sentence(cause: str, what: str) -> None:
    said = of_sql(cause, "SELECT 1\nFRM src")
    assert what in said
    assert len(said.splitlines()) <= 4
    assert "org.apache" not in said


def test_a_column_of_another_type_is_named_with_both_types() -> None:
    cause = "Incompatible types for sink column 'user_suspicious_activity' at position 1."
    said = str(walls.of_flink(SINK.format(cause=cause, query="suspicious_activities: TINYINT, ")))
    assert said.splitlines()[0] == (
        "Flink: column 2 of your query is TINYINT, but the table's column `user_suspicious_activity` is BOOLEAN."
    )


def test_a_stream_without_types_is_told_that_it_lacks_columns() -> None:
    said = str(walls.of_flink(SINK.format(cause="Different number of columns.", query="")))
    assert (
        "gives 2 columns, and the table that it writes to has 3: transaction_id, user_suspicious_activity, amount."
        in said
    )


@pytest.mark.parametrize(
    ("number", "said", "what"),
    [
        (1146, "Table 'lab_payment.nope' doesn't exist", "MySQL has no table `nope`."),
        (1406, "Data too long for column 'currency' at row 1", "The value for `currency` is too long."),
        (
            1064,
            "You have an error in your SQL syntax; check the manual … near 'FRM x' at line 3",
            "line 3 of the statement, at: FRM x.",
        ),
        (9999, "Something else", "MySQL: Something else"),
    ],
)
def test_what_mysql_says_is_one_sentence(number: int, said: str, what: str) -> None:
    assert what in str(walls.of_mysql(number, said))


# In a kernel

CELLS = [
    "from decimal import Decimal",
    "# Exercise 09.1\nanswer = ...\n### done",
    "print(answer)",
    "1 / 0",
    "# Exercise 09.2\nlate = Split = ...\n### done",
    "number = 3\nSplit(number)",
    "def detect(number):\n    return late + number\n\n\nlist(map(detect, [1]))",
    "late.upper()",
    "from fraudlab.course.exercise import NotSolvedYet\nraise NotSolvedYet('Exercise 09.2 is still to do: `late` is Ellipsis.')",
    "... + 1",
]


def run(tmp_path: Path, *which: int) -> str:
    """Runs these cells of a notebook in a fresh kernel, as JupyterLab starts it; what the last one shows."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    path = tmp_path / "09-names.ipynb"
    path.write_text(notebooks.text_of(notebook), encoding="utf-8")
    client = NotebookClient(notebook, allow_errors=True)
    environment = os.environ | {"PYTHONSTARTUP": str(kernel_startup.__file__), "JPY_SESSION_NAME": str(path)}

    async def cells() -> None:
        async with client.async_setup_kernel(env=environment):
            for place in which:
                await client.async_execute_cell(notebook.cells[place], place)

    asyncio.run(cells())
    (output,) = notebook.cells[which[-1]].outputs
    return "\n".join(output["traceback"])


def test_after_a_restart_a_cell_in_the_middle_says_to_run_from_the_top(tmp_path: Path) -> None:
    """Case course-18."""
    said = run(tmp_path, 2)
    assert said.startswith("`answer` is not defined: this kernel has run none of the cells above.")
    assert "from the top" in said
    assert "the cell of Exercise 09.1" in said


def test_an_answer_whose_cell_has_not_run_names_the_exercise(tmp_path: Path) -> None:
    """Case course-18."""
    said = run(tmp_path, 0, 2)
    assert said.startswith("`answer` is not defined: the cell of Exercise 09.1 has not run in this kernel")
    assert "Run that cell, then this one again." in said


def test_an_error_that_its_traceback_explains_best_is_shown_as_ever(tmp_path: Path) -> None:
    said = run(tmp_path, 0, 3)
    assert "Traceback" in said
    assert "ZeroDivisionError" in said


@pytest.mark.parametrize(("place", "name"), [(5, "Split"), (6, "late"), (7, "late")])
def test_a_cell_that_uses_an_unsolved_answer_names_it_and_its_exercise(tmp_path: Path, place: int, name: str) -> None:
    said = run(tmp_path, 4, place)
    assert said.startswith(f"`{name}` is still `...`: Exercise 09.2 is not solved yet")
    assert "run it, then run this one again." in said
    assert "object is not" not in said


def test_what_says_so_already_stays_as_it_is(tmp_path: Path) -> None:
    assert run(tmp_path, 4, 8).splitlines() == ["NotSolvedYet: Exercise 09.2 is still to do: `late` is Ellipsis."]


def test_dots_that_are_no_answer_are_shown_as_ever(tmp_path: Path) -> None:
    assert "Traceback" in run(tmp_path, 4, 9)
