"""The whole system, started once for all tests that need it, and stopped at the end."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fraudlab import system
from fraudlab.settings import Settings
from tests.support.home import running_system
from tests.support.lab import Lab

ORDER = ("unit", "integration", "e2e", "notebooks", "faults", "homes")
"""Folders in the order in which they run: what is quick to tell first."""

_databases = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = Path(__file__).parent
    ranks = {folders / name: rank for rank, name in enumerate(ORDER)}
    items.sort(key=lambda item: ranks.get(item.path.parent, -1))


@pytest.fixture(scope="session")
def settings(pytestconfig: pytest.Config) -> Iterator[Settings]:
    """The settings of the running system, a home and ports of its own: a running demo is not disturbed."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    began = time.monotonic()

    def progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  [{time.monotonic() - began:5.1f} s] {line}", end="", flush=True)

    with running_system(progress) as running:
        yield running


@pytest.fixture(scope="session")
def lab(settings: Settings) -> Iterator[Lab]:
    """The system under its default names. Nothing that MySQL does not know is written to its topics."""
    with closing(Lab(settings)) as lab:
        yield lab


@dataclass(frozen=True)
class Database:
    """A payment database for one test, with all its accounts; no job reads it."""

    settings: Settings

    @property
    def name(self) -> str:
        return self.settings.names.database

    def connect(self, role: str, **options: Any) -> Any:
        """A `mysql.connector` connection to it in a role of `fraudlab.pipeline.database.ROLES`, or as `root`."""
        return system.connect(self.settings, role, database=self.name, **options)

    def environment(self, role: str) -> dict[str, str]:
        """What the data generator needs in its environment to write to it."""
        assert role == "generator", "only the generator is configured by its environment"
        return system.generator_environment(self.settings)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An empty payment database."""
    own = settings.model_copy(update={"learner": f"db{next(_databases)}"})
    system.drop_database(own)
    system.create_database(own)
    try:
        yield Database(own)
    finally:
        system.drop_database(own)
