"""What a learner sees when nothing runs: which parts, and the command that mends it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fraudlab.course import commands, lab
from fraudlab.course.workspace import DEFAULT_LEARNER, Workspace, learner_settings
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack.layout import MAX_SOCKET_PATH
from fraudlab.stack.second_stack import free_ports


@pytest.fixture
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = [name for name in Settings.model_fields if name.endswith("_port")]
    for name, port in zip(names, free_ports(len(names)), strict=True):
        monkeypatch.setenv(f"FRAUDLAB_{name.upper()}", str(port))
    monkeypatch.setenv("FRAUDLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAUDLAB_WORK", str(tmp_path / "work"))
    lab.workspace.cache_clear()
    yield
    lab.workspace.cache_clear()


@pytest.mark.usefixtures("nothing_runs")
def test_a_check_says_which_parts_are_down_and_what_mends_them() -> None:
    card = lab.check("01.1", 26)
    assert card.head == "Something is not running"
    for part in ("Mysql", "kafka", "jobmanager", "taskmanager"):
        assert f"{part} does not run" in str(card)
    assert "`lab.up()`" in str(card)


@pytest.mark.usefixtures("nothing_runs")
def test_an_answer_that_was_never_given_is_told_so_even_when_nothing_runs() -> None:
    with pytest.raises(lab.NotSolvedYet, match=r"Exercise 01\.1 is still to do"):
        lab.check("01.1", ...)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    "call",
    [
        lambda: lab.start("00"),
        lambda: lab.catch_up("00"),
        lab.reset,
        lab.verify,
        lab.flink_page,
        lambda: lab.kill("kafka"),
    ],
)
def test_everything_else_stops_with_two_sentences_and_no_traceback(call: Callable[[], object]) -> None:
    with pytest.raises(UserError, match="does not run") as failure:
        call()
    what, advice = failure.value._render_traceback_()
    assert "kafka does not run" in what
    assert advice.startswith("Next: Run `lab.up()` here")


@pytest.mark.usefixtures("nothing_runs")
def test_hints_and_solutions_need_no_stack() -> None:
    assert "hint 1 of 3" in str(lab.hint("01.1"))
    assert "hint 2 of 3" in str(lab.hint("01.1"))
    assert "still closed" in str(lab.solution("01.1"))


def test_whoever_gives_no_name_has_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_LEARNER", "")
    assert learner_settings().names.database == f"{DEFAULT_LEARNER}_payment"
    monkeypatch.setenv("FRAUDLAB_LEARNER", "anna")
    assert learner_settings().names.transactions == "anna.transactions"


def test_the_demo_s_own_names_are_nobody_s_world() -> None:
    with pytest.raises(ValueError, match="belong to the demo"):
        Workspace(Settings(learner=""))


def test_jupyterlab_lets_in_only_who_has_its_address(nothing_runs: None) -> None:
    address, command, environment = commands.jupyter("00", browser=False)
    token, folder = environment["JUPYTER_TOKEN"], environment["FRAUDLAB_JUPYTER_FOLDER"]
    assert len(token) >= 20
    assert len(folder) >= 20
    assert address.endswith(f"?token={token}")
    assert f"{folder}/lab/" in address
    assert not any(secret in part for secret in (token, folder) for part in command), (
        "every user of the machine may see a command"
    )


def test_the_next_jupyterlab_has_another_address(nothing_runs: None) -> None:
    """A tab that was left open tells its own to whoever has the port next."""
    one, two = (commands.jupyter("00", browser=False)[2] for _ in range(2))
    assert one["JUPYTER_TOKEN"] != two["JUPYTER_TOKEN"]
    assert one["FRAUDLAB_JUPYTER_FOLDER"] != two["FRAUDLAB_JUPYTER_FOLDER"]


def test_kernels_sockets_have_room_where_the_users_own_folder_has_none(
    nothing_runs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", f"/home/{'somebody' * 12}/.local/share/jupyter/runtime")
    _, command, environment = commands.jupyter("00", browser=False)
    assert "--KernelManager.transport=ipc" in command
    assert len(environment["JUPYTER_RUNTIME_DIR"].encode()) + commands.KERNEL_SOCKET <= MAX_SOCKET_PATH
