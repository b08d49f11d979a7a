"""A plugin of pytest, loaded by conftest.py: which tests are slow, and how long each may take."""

import faulthandler
import os
import time
from collections import Counter
from collections.abc import Generator

import pytest

from fraudlab.settings import REPOSITORY
from tests.support.waiting import patient

SLOW = tuple(REPOSITORY / "tests" / folder for folder in ("faults", "homes", "notebooks"))
"""All tests in these folders are slow. Elsewhere the marker `slow` says so. `make test` leaves slow tests to `make test-all`."""
REAL_STACK = REPOSITORY / "tests" / "integration"
TWICE = "FRAUDLAB_TEST_TWICE"
"""The numbers of the labs whose cells `tests/notebooks/test_cells_twice.py` runs twice."""
MINUTES = "FRAUDLAB_TEST_MINUTES"
"""How long `tests/run.py` begins slow tests."""
UNTIL = "FRAUDLAB_TEST_UNTIL"
"""The same as a time, in seconds since the epoch: a slow test that has not begun by then is skipped. `tests/run.py` sets it."""
TIME_IS_UP = "no time was left for it"
STUCK = 1.2
"""After this many times its limit a test is stuck: the limit is a signal, and Python sees none while a C library waits."""
STDERR: pytest.StashKey[int] = pytest.StashKey()
"""The stream that pytest does not capture."""
CASES = 2
"""Of a test on the real stack with many cases, only the first ones are not slow."""
SOLUTIONS, FIRST_LABS = REPOSITORY / "solutions", ("00", "01", "02")
"""The notebooks of all other labs are slow."""


def pytest_configure(config: pytest.Config) -> None:
    """Says at once if the patience in the environment is not a number."""
    config.stash[STDERR] = os.dup(2)
    try:
        patient(1)
    except ValueError as wrong:
        raise pytest.UsageError(str(wrong)) from wrong


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks slow tests, and stretches every test's time limit."""
    given = config.getoption("timeout")
    usual_s = config.getini("timeout") if given is None else given
    cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        cases[test] += 1
        if (
            any(item.path.is_relative_to(folder) for folder in SLOW)
            or (item.path.is_relative_to(REAL_STACK) and cases[test] > CASES)
            or (item.path.parent == SOLUTIONS and not item.path.name.startswith(FIRST_LABS))
        ):
            item.add_marker(pytest.mark.slow)
        limit = item.get_closest_marker("timeout")
        limit_s = float(limit.args[0] if limit else usual_s)
        item.add_marker(pytest.mark.timeout(patient(limit_s)), append=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ends pytest, after it has said where each thread is, when a test goes on in spite of its time limit."""
    limit = item.get_closest_marker("timeout")
    assert limit is not None
    faulthandler.dump_traceback_later(STUCK * limit.args[0], exit=True, file=item.config.stash[STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(tryfirst=True)  # before a fixture starts a system
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a slow test that would begin too late."""
    if item.get_closest_marker("slow") and time.time() > float(os.environ.get(UNTIL, "inf")):
        pytest.skip(TIME_IS_UP)
