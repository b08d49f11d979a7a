"""Two learners do the labs on one stack at the same time, in opposite orders, and never meet; checks and catching up are quick.

One of them goes forward and the other backward: so each lab meets another one, and each `catch_up` of the second begins in the state of a
later lab. How long the cells took is printed.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from nbclient import NotebookClient

from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.course.world import World
from fraudlab.pipeline.cdc import TABLES
from fraudlab.settings import Settings
from tests.support.lab import Lab, drop, environment

pytestmark = pytest.mark.timeout(1200)  # the first test waits for both learners: five minutes, more on a busy machine

LABS = ("01", "02", "03", "04", "05")
LEARNERS = {"anna": LABS, "ben": LABS[::-1]}

CHECK_S = 5.0
CATCH_UP_S = 60.0
LOADED = 3
"""So much longer may a check or a catch-up take here: two learners and the tests share a small machine."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long a cell took that checks an exercise, or catches up."""

    learner: str
    what: str
    seconds: float


def run(settings: Settings, lab: str, folder: Path) -> list[Timed]:
    """Runs a solution as a learner, fails where a check does not say *Right*, and gives the cells that matter with their seconds."""
    notebook = notebooks.read(notebooks.SOLUTIONS / lab_of(lab).file)
    for cell in notebooks.code_cells(notebook):
        cell.outputs = []
    client = NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute(env={**os.environ, **environment(settings)}))  # closes the loop of this thread
    timed = []
    for cell in notebooks.code_cells(notebook):
        if numbers := notebooks.checked_numbers(cell):
            said = "".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
            assert all(f"Right · Exercise {number}" in said for number in numbers), f"{settings.learner}: {said}"
            timed += [Timed(settings.learner, number, seconds(cell)) for number in numbers]
        elif cell.source.startswith("lab.catch_up("):
            timed.append(Timed(settings.learner, f"catch_up {lab}", seconds(cell)))
    return timed


def seconds(cell: Any) -> float:
    """How long a cell ran, by the kernel's own notes."""
    noted = cell.metadata["execution"]
    begin, end = (datetime.fromisoformat(noted[when]) for when in ("iopub.execute_input", "shell.execute_reply"))
    return (end - begin).total_seconds()


def assert_own(world: World) -> None:
    """Everything in a learner's topics came from their own database, and their people have their own addresses."""
    sources = {
        record.json["source"]["db"] for table in TABLES for record in world.records(table) if record.value is not None
    }
    assert sources <= {world.names.database}
    payments = {int(row["transaction_id"]) for row in world.rows("SELECT transaction_id FROM transactions")}
    for topic in ("transaction_mid", "suspicious_activities"):
        assert {record.json["transaction_id"] for record in world.records(topic) if record.value} <= payments


def labs_of(settings: Settings, labs: Sequence[str], folder: Path) -> Iterator[Timed]:
    """A learner's way through the labs, one after the other."""
    world = World(settings)
    try:
        for lab in labs:
            yield from run(settings, lab, folder)
            assert_own(world)
    finally:
        world.reset()  # the jobs would hold slots that others need


def counts(lab: Lab) -> dict[str, int]:
    """How many records and rows the system under its default names has: it is a third party here, that nobody may touch."""
    topics = {topic: len(lab.topics.read(topic)) for topic in lab.names.topics}
    tables = ("user_profile", "transactions", "notifications", "flag_changes", "declined_transactions")
    return topics | {table: int(lab.query(f"SELECT COUNT(*) FROM {table}")[0][0]) for table in tables}


@pytest.fixture(scope="module")
def timed(lab: Lab, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Timed]]:
    """What the two did, at the same time."""
    before = counts(lab)

    def way(learner: str) -> list[Timed]:
        folder = tmp_path_factory.mktemp(learner)
        return list(labs_of(owned(settings, learner).model_copy(update={"work": folder}), LEARNERS[learner], folder))

    with ThreadPoolExecutor(len(LEARNERS)) as pool:
        ways = [pool.submit(way, learner) for learner in LEARNERS]
        found = [one for way_ in ways for one in way_.result()]
    assert counts(lab) == before
    yield found
    for learner in LEARNERS:
        drop(owned(settings, learner))


def owned(settings: Settings, learner: str) -> Settings:
    """The settings of a learner."""
    return settings.model_copy(update={"learner": learner})


def test_two_learners_do_the_labs_at_the_same_time_and_never_meet(timed: list[Timed], lab: Lab) -> None:
    solved = {(one.learner, one.what) for one in timed if not one.what.startswith("catch_up")}
    wanted = {exercise.number for number in LABS for exercise in lab_of(number).exercises}
    assert solved == {(learner, number) for learner in LEARNERS for number in wanted}
    with closing(KafkaAdminClient(bootstrap_servers=lab.settings.bootstrap_servers)) as admin:
        left = {topic for topic in admin.list_topics() if topic.partition(".")[0] in LEARNERS}
    assert left == {topic for learner in LEARNERS for topic in owned(lab.settings, learner).names.topics}, "emptied"


def test_a_check_answers_within_seconds(timed: list[Timed], capsys: pytest.CaptureFixture[str]) -> None:
    checks = [one for one in timed if not one.what.startswith("catch_up")]
    show(checks, capsys)
    slow = [one for one in checks if one.seconds > CHECK_S * LOADED]
    assert slow == []


def test_catching_up_takes_less_than_a_minute_from_any_state(
    timed: list[Timed], capsys: pytest.CaptureFixture[str]
) -> None:
    caught_up = [one for one in timed if one.what.startswith("catch_up")]
    show(caught_up, capsys)
    assert {one.what for one in caught_up} == {f"catch_up {number}" for number in LABS}
    assert [one for one in caught_up if one.seconds > CATCH_UP_S * LOADED] == []


def show(timed: Sequence[Timed], capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the seconds of each cell, first learner and second."""
    with capsys.disabled():
        for what in sorted({one.what for one in timed}):
            took = ", ".join(f"{one.learner} {one.seconds:.1f} s" for one in timed if one.what == what)
            print(f"\n  {what}: {took}", end="")
