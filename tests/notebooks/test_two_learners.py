"""Two learners do the labs on one stack at the same time, in opposite orders, and never meet.

One of them goes forward and the other backward: so each lab meets another one, and each `catch_up` of the second begins in the state of a
later lab.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fraudlab import system
from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.cdc import TABLES
from fraudlab.settings import Settings
from tests.support.lab import Lab, drop
from tests.support.waiting import patient

LABS = ("03", "05")
"""One whose jobs and queries share the cluster, and one whose services share mail and alerts; catching up does what lies before them."""
LEARNERS = {"anna": LABS, "ben": LABS[::-1]}
OF_ALL = "lab.dashboard()"
"""A stack has room for one dashboard, and the demo has it. So this is refused, and a learner goes on with the next cell."""


def run(settings: Settings, lab: str, folder: Path) -> set[str]:
    """Runs a solution as a learner, fails where a check does not say *Right*, and gives the numbers of what was checked."""
    notebook = notebooks.read(notebooks.SOLUTIONS / lab_of(lab).file)
    for cell in notebooks.code_cells(notebook):
        cell.outputs = []
        if OF_ALL in cell.source:
            cell.metadata["tags"] = [*cell.metadata.get("tags", ()), "raises-exception"]
    notebooks.execute(notebook, folder, settings.environment(), cell_s=patient(180))
    right = set()
    for cell in notebooks.code_cells(notebook):
        assert {one.ename for one in cell.outputs if one.output_type == "error"} <= {"UserError"}
        said = "".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
        for number in notebooks.checked_numbers(cell):
            assert f"Right · Exercise {number}" in said, f"{settings.learner}: {said}"
            right.add(number)
    return right


def assert_own(workspace: Workspace) -> None:
    """Everything in a learner's topics came from their own database, and their people have their own addresses."""
    sources = {
        record.json["source"]["db"]
        for table in TABLES
        for record in workspace.records(table)
        if record.value is not None
    }
    assert sources <= {workspace.names.database}
    both = "SELECT transaction_id FROM transactions UNION SELECT transaction_id FROM deleted_transactions"
    payments = {int(row["transaction_id"]) for row in workspace.rows(both)}
    for topic in ("transaction_mid", "suspicious_activities"):
        assert {record.json["transaction_id"] for record in workspace.records(topic) if record.value} <= payments


def labs_of(settings: Settings, labs: Sequence[str]) -> set[str]:
    """A learner's way through the labs, one after the other; gives the numbers of the exercises."""
    workspace = Workspace(settings)
    try:
        right = set()
        for lab in labs:
            right |= run(settings, lab, settings.work)
            assert_own(workspace)
        return right
    finally:
        workspace.reset()  # the jobs would hold slots that others need


def counts(lab: Lab) -> dict[str, int]:
    """How many records and rows the system under its default names has: it is a third party here, that nobody may touch."""
    topics = {topic: len(lab.topics.read(topic)) for topic in lab.names.topics}
    tables = ("user_profile", "transactions", "notifications", "flag_changes", "declined_transactions")
    return topics | {table: int(lab.query(f"SELECT COUNT(*) FROM {table}")[0][0]) for table in tables}


def owned(settings: Settings, learner: str, folder: Path) -> Settings:
    """The settings of a learner."""
    return settings.model_copy(update={"learner": learner, "work": folder})


@pytest.mark.timeout(1200)  # five minutes, more on a busy machine
def test_two_learners_do_the_labs_at_the_same_time_and_never_meet(lab: Lab, settings: Settings, tmp_path: Path) -> None:
    before = counts(lab)
    learners = {learner: owned(settings, learner, tmp_path / learner) for learner in LEARNERS}
    for own in learners.values():
        own.work.mkdir()
    try:
        with ThreadPoolExecutor(len(learners)) as pool:
            ways = [pool.submit(labs_of, own, LEARNERS[learner]) for learner, own in learners.items()]
            solved = [way.result() for way in ways]
        assert solved == [{exercise.number for number in LABS for exercise in lab_of(number).exercises}] * len(learners)
        assert counts(lab) == before
        with closing(system.kafka(settings).admin()) as admin:
            left = {topic for topic in admin.list_topics() if topic.partition(".")[0] in learners}
        assert left == {topic for own in learners.values() for topic in own.names.topics}, "emptied"
    finally:
        for own in learners.values():
            drop(own)
