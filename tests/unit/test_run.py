"""What `make test` runs, how long that may take, and what it says at its end, from the report of a real pytest."""

import os
import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from fraudlab.settings import REPOSITORY
from tests import run
from tests.support import plugin, waiting

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
    """A lane with one file of tests, some of which fail."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # starting them takes seconds
    (tmp_path / "test_broken.py").write_text(BROKEN, encoding="utf-8")
    return run.Lane("system", [(*run.PYTEST, "-p", "no:cacheprovider", str(tmp_path))], tmp_path)


def test_the_end_names_what_failed_and_how(lane: run.Lane) -> None:
    lane.run()
    assert run.counted([lane]) == "1 passed, 3 failed, 1 skipped"
    wrong, not_begun, not_ended = run.failed([lane])
    assert re.match(r"Failed: \S*test_broken::test_wrong\n", wrong)
    assert "AssertionError: the sum is right" in wrong
    assert "OSError: nobody serves" in not_begun
    assert "OSError: something was left" in not_ended
    assert all(len(failure.splitlines()) <= 1 + run.LAST_LINES for failure in run.failed([lane]))
    names = run.names_of_failed([lane])
    assert [name.rpartition("::")[2] for name in names] == ["test_wrong", "test_not_begun", "test_not_ended"]


def test_a_pytest_that_was_killed_counts_as_a_failure(lane: run.Lane) -> None:
    lane.commands = [(*run.PYTEST, "--no-such-option")]
    lane.run()
    assert run.counted([lane]) == "0 passed, 1 failed, 0 skipped"


def test_a_pytest_that_finds_no_test_counts_as_a_failure(lane: run.Lane) -> None:
    lane.commands = [(*lane.commands[0], "-k", "nothing")]
    lane.run()
    assert run.counted([lane]) == "0 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize(
    ("script", "counted"),
    [
        ("echo all is well, nothing skipped", "1 passed, 0 failed, 0 skipped"),
        ("echo ROOMS SKIPPED: they need root; echo bye", "0 passed, 0 failed, 1 skipped"),
        ("echo ROOMS SKIPPED: they need root; exit 3", "0 passed, 1 failed, 0 skipped"),
    ],
)
def test_another_command_counts_as_one_test(lane: run.Lane, script: str, counted: str) -> None:
    lane.commands = [("sh", "-c", script)]
    lane.run()
    assert run.counted([lane]) == counted


def test_an_interrupted_lane_begins_nothing_more(lane: run.Lane) -> None:
    lane.interrupt()
    lane.run()
    assert run.counted([lane]) == "0 passed, 0 failed, 0 skipped"


def test_every_folder_of_tests_is_in_both_halves() -> None:
    tests = {path.parent for folder in ("tests", "data-generator") for path in (REPOSITORY / folder).rglob("test_*.py")}
    folders = {str(folder.relative_to(REPOSITORY)) for folder in tests}
    assert folders <= words(run.TEST) | {"tests/homes", "tests/notebooks"}, "these two are slow as a whole"
    assert folders <= words(run.THE_REST)


def words(lanes: run.Lanes) -> set[str]:
    return {word for commands in lanes.values() for command in commands for word in command}


def test_a_test_is_slow_by_its_folder_or_its_marker_and_so_are_later_labs_and_further_cases() -> None:
    slow = ("tests/faults", "tests/notebooks", "tests/integration/test_verify.py", "solutions/03-sql-join.ipynb")
    quick = ("tests/integration/test_bad_input.py", "solutions/02-cdc-ingestion.ipynb")
    command = [*run.QUICK, "--collect-only", "-q", "--nbval-lax", *slow, *quick]
    environment = os.environ | {"PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    assert {line.partition("::")[0] for line in tests} == set(quick)
    cases = Counter(line.partition("[")[0] for line in tests if "test_bad_input.py" in line)
    assert max(cases.values()) == 2


def test_a_slow_test_that_would_begin_too_late_is_skipped_and_named(
    lane: run.Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "test_two.py").write_text(
        "import pytest\n@pytest.mark.slow\ndef test_slow(): assert False\ndef test_quick(): pass\n", encoding="utf-8"
    )
    monkeypatch.setenv(plugin.UNTIL, str(time.time() - 1))
    lane.commands = [(*run.PYTEST, "-p", "pytest_timeout", "-p", "tests.support.plugin", "--timeout=60", str(file))]
    lane.run()
    assert run.counted([lane]) == "1 passed, 0 failed, 1 skipped"
    assert run.too_late([lane]) == [f"Skipped, because {plugin.TIME_IS_UP}: 1 of test_two"]


def test_a_test_that_no_signal_ends_ends_pytest_and_says_where_it_was(
    lane: run.Lane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test_stuck.py"
    file.write_text(
        "import signal, time\n"
        "def test_stuck():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as a C library that waits\n"
        "    time.sleep(600)\n",
        encoding="utf-8",
    )
    lane.commands = [(*run.PYTEST, "-p", "pytest_timeout", "-p", "tests.support.plugin", "--timeout=1", str(file))]
    lane.run()
    (failure,) = lane.failures
    assert "pytest ended without a report" in failure
    assert "line 4 in test_stuck" in capsys.readouterr().out


def test_the_patience_in_the_environment_stretches_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(waiting.PATIENCE, raising=False)
    assert waiting.patient(60) == 60
    monkeypatch.setenv(waiting.PATIENCE, "2.5")
    assert waiting.patient(60) == 150
    monkeypatch.setenv(waiting.PATIENCE, "0.001")
    with pytest.raises(AssertionError, match="Not within 0 s: the sun rises"):
        waiting.eventually(lambda: False, "the sun rises")


@pytest.mark.parametrize("factor", ["many", "0", "-1", "inf", "nan"])
def test_a_patience_that_is_no_factor_is_refused(monkeypatch: pytest.MonkeyPatch, factor: str) -> None:
    monkeypatch.setenv(waiting.PATIENCE, factor)
    with pytest.raises(ValueError, match="not a factor above 0"):
        waiting.patient(60)


@pytest.mark.timeout(100)
def test_the_patience_stretches_the_time_limit_of_a_test(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = request.node.iter_markers("timeout")
    assert [limit.args for limit in limits] == [(waiting.patient(100),), (100,)], "pytest has the plugin"
    usual_s = waiting.patient(100)
    monkeypatch.setenv(waiting.PATIENCE, "3")
    plugin.pytest_collection_modifyitems(request.config, [request.node])
    assert request.node.get_closest_marker("timeout").args == (3 * usual_s,)
