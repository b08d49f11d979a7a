"""What `make test` says at its end, from the report of a real pytest."""

import re
from pathlib import Path

import pytest

from tests import run

BROKEN = """
import pytest

def test_right():
    pass

@pytest.mark.skip
def test_left_out():
    pass

def test_wrong():
    assert sum([1, 2]) == 4, "the sum is right"

@pytest.fixture
def away():
    raise OSError("nobody serves")

def test_not_begun(away):
    pass

@pytest.fixture
def leaking():
    yield
    raise OSError("something was left")

def test_not_ended(leaking):
    pass
"""


@pytest.fixture
def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> run.Lane:
    """A lane with one file of tests, of which some fail."""
    (tmp_path / "test_broken.py").write_text(BROKEN, encoding="utf-8")
    monkeypatch.setattr(run, "LANES", {"system": [["-p", "no:cacheprovider", str(tmp_path)]]})
    return run.Lane("system", tmp_path)


def test_the_end_names_what_failed_and_how(lane: run.Lane) -> None:
    assert not lane.run()
    assert run.counted([lane]) == "1 passed, 3 failed, 1 skipped"
    wrong, not_begun, not_ended = run.failed([lane])
    assert re.match(r"Failed: \S*test_broken::test_wrong\n", wrong)
    assert "AssertionError: the sum is right" in wrong
    assert "OSError: nobody serves" in not_begun
    assert "OSError: something was left" in not_ended
    assert all(len(failure.splitlines()) <= 1 + run.LAST_LINES for failure in run.failed([lane]))


def test_a_pytest_that_was_killed_counts_as_a_failure(lane: run.Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LANES", {"system": [["--no-such-option"]]})
    assert not lane.run()
    assert run.counted([lane]) == "0 passed, 1 failed, 0 skipped"
