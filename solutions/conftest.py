"""The solutions as tests (`pytest --nbval-lax solutions/`): a stack of their own, a learner for each notebook."""

from tests.support.notebooks import pytest_runtest_makereport, pytest_runtest_setup, pytest_sessionfinish

__all__ = ["pytest_runtest_makereport", "pytest_runtest_setup", "pytest_sessionfinish"]
