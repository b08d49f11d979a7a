"""A plugin of pytest, loaded by conftest.py: which tests are slow, and how long each may take."""

import pytest

from fraudlab.settings import REPOSITORY
from tests.support.waiting import patient

SLOW = tuple(REPOSITORY / "tests" / folder for folder in ("faults", "homes", "notebooks"))
"""All tests in these folders are slow. Elsewhere the marker `slow` says so. `make test` leaves slow tests to `make test-all`."""


def pytest_configure() -> None:
    """Says at once if the patience in the environment is not a number."""
    try:
        patient(1)
    except ValueError as wrong:
        raise pytest.UsageError(str(wrong)) from wrong


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of the slow folders, and stretches every test's time limit."""
    given = config.getoption("timeout")
    usual_s = config.getini("timeout") if given is None else given
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in SLOW):
            item.add_marker(pytest.mark.slow)
        limit = item.get_closest_marker("timeout")
        limit_s = float(limit.args[0] if limit else usual_s)
        item.add_marker(pytest.mark.timeout(patient(limit_s)), append=False)
