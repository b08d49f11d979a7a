"""Case course-14: what a learner's notebook shows of errors of MySQL and Flink, on the real stack."""

from pathlib import Path

import nbformat
import pytest

from fraudlab.course import notebooks
from fraudlab.settings import Settings
from tests.support.lab import learner_lab
from tests.support.waiting import patient

pytestmark = pytest.mark.slow

BEGIN = """
from fraudlab.course import lab
ada = lab.open_account()
environment, tables = lab.environments()
lab.read_payments(tables, delay_minutes=5, bounded=True)
tables.execute_sql("CREATE TABLE accounts (user_id INT, stopped BOOLEAN) WITH ('connector' = 'blackhole')")
"""

WALLS = {
    'lab.pay(ada, "25.00", "EURO", "Germany")': "is too long.",
    'lab.query("SELECT * FROM nope")': "MySQL has no table `nope`.",
    'lab.query("SELECT country,\\n FROM transactions")': "MySQL does not understand line 2",
    'lab.watch(tables, """\nSELECT user_id,\n  nope\nFROM payments""", "w")': "Line 2: nope",
    'tables.create_statement_set().add_insert_sql("INSERT INTO nowhere SELECT 1").explain()': "`nowhere`",
    "inserts = tables.create_statement_set()\n"
    'inserts.add_insert_sql("INSERT INTO accounts SELECT user_id, CAST(1 AS TINYINT) FROM payments")\n'
    "inserts.explain()": "column 2 of your query is TINYINT NOT NULL, but the table's column `stopped` is BOOLEAN.",
    "from pyflink.common import Row\n"
    "inserts = tables.create_statement_set()\n"
    'stream = environment.from_collection(["a"]).flat_map(lambda value: [Row(1, True)])\n'
    'inserts.add_insert("accounts", tables.from_data_stream(stream))\ninserts.explain()': "gives 1 column, and the table",
}


@pytest.fixture(scope="module")
def shown(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a kernel shows of each cell."""
    folder: Path = tmp_path_factory.mktemp("walls")
    with learner_lab(settings.model_copy(update={"work": folder}), "walls") as lab:
        begin, *rest = (nbformat.v4.new_code_cell(source) for source in (BEGIN, *WALLS))
        for cell in rest:
            cell.metadata["tags"] = ["raises-exception"]
        notebook = nbformat.v4.new_notebook(cells=[begin, *rest])
        notebooks.execute(notebook, folder, lab.settings.environment(), cell_s=patient(90))
    return {cell.source: "\n".join("\n".join(one.get("traceback", [])) for one in cell.outputs) for cell in rest}


@pytest.mark.parametrize("source", WALLS)
def test_a_wall_of_frames_becomes_sentences(shown: dict[str, str], source: str) -> None:
    said = shown[source]
    assert WALLS[source] in said
    assert len(said.splitlines()) <= 6, said
    assert "In your cell, line" in said
    assert said.endswith("The full error: run `%tb` in another cell.")
