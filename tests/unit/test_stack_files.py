"""Paths, secrets and configuration files of the local stack."""

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fraudlab.settings import Settings
from fraudlab.stack import flink, mysql
from fraudlab.stack.layout import MAX_SOCKET_PATH, SOCKET_NAME, Layout
from fraudlab.stack.provision import own_packages
from fraudlab.stack.secret_store import SecretStore
from fraudlab.stack.setup_times import SetupTimes
from fraudlab.stack.templating import render


def test_secrets_lie_in_a_folder_of_their_own_where_there_is_one(tmp_path: Path) -> None:
    assert Layout(tmp_path).secrets == tmp_path / "secrets.json"
    (tmp_path / "secrets").mkdir()
    assert Layout(tmp_path).secrets == tmp_path / "secrets" / "secrets.json"


def test_only_the_python_inside_a_jvm_goes_without_apache_beam() -> None:
    name, code = own_packages.WITHOUT_BEAM
    assert any(
        code == file.read_text(encoding="ascii") for file in Path(sys.prefix).glob(f"lib/python3*/site-packages/{name}")
    )
    # a worker in a process of its own has a command line, as this one has, and needs Beam
    outside = subprocess.run(
        [sys.executable, "-c", "import sys; print('apache_beam' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert outside.stdout == "False\n"
    inside = f"import sys; sys.orig_argv.clear(); exec({code!r}); import apache_beam"
    done = subprocess.run([sys.executable, "-c", inside], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: import of apache_beam halted" in done.stderr


def test_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = SecretStore(path).secret("mysql_root")
    assert len(first) == 32
    assert SecretStore(path).secret("mysql_root") == first
    assert SecretStore(path).secret("cdc") != first
    assert set(json.loads(path.read_text(encoding="utf-8"))) == {"mysql_root", "cdc"}


def test_a_secret_from_the_environment_comes_first_and_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SecretStore(tmp_path / "secrets.json")
    made = store.secret("mysql_learner7_cdc")
    monkeypatch.setenv("FRAUDLAB_SECRET_MYSQL_LEARNER7_CDC", "given")
    assert store.secret("mysql_learner7_cdc") == "given"
    assert json.loads((tmp_path / "secrets.json").read_text(encoding="utf-8")) == {"mysql_learner7_cdc": made}


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    SecretStore(tmp_path / "secrets.json").secret("x")
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_secrets_made_at_once_are_all_kept(tmp_path: Path) -> None:
    names = [f"name{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        made = dict(
            zip(names, pool.map(lambda name: SecretStore(tmp_path / "s.json").secret(name), names), strict=True)
        )
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == made


def test_sockets_lie_in_a_short_home() -> None:
    assert Layout(Path("/x")).sockets == Path("/x/run")


def test_sockets_of_a_long_home_lie_elsewhere_each_home_in_its_own_folder() -> None:
    homes = [Path("/", "d" * MAX_SOCKET_PATH, name) for name in ("one", "two")]
    one, two = (Layout(home).sockets for home in homes)
    assert one != two
    assert len(str(one)) + SOCKET_NAME <= MAX_SOCKET_PATH


def test_sockets_with_long_names_lie_in_a_home_that_is_shorter() -> None:
    layout = Layout(Path("/", "d" * (MAX_SOCKET_PATH - 40)))
    assert layout.sockets == layout.home / "run"
    assert layout.sockets_of(50).parent != layout.home
    assert len(str(layout.sockets_of(50))) + 50 <= MAX_SOCKET_PATH


def test_template_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        render("zookeeper.properties", port=1)


def test_everything_listens_on_loopback(tmp_path: Path) -> None:
    values = {
        "host": "127.0.0.1",
        "port": 1,
        "data": tmp_path,
        "partitions": 4,
        "controller_port": 2,
        "clients": "",
        "key": "",
        "certificate": "",
    }
    assert "clientPortAddress=127.0.0.1" in render("zookeeper.properties", **values)
    assert "listeners=CLIENTS://127.0.0.1:1,CONTROLLER://127.0.0.1:2" in render("kafka.properties", **values)


def test_flinks_configuration_is_written_whole(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, task_slots=5)
    flink.write_configuration(settings, Layout(tmp_path), SecretStore(tmp_path / "secrets.json"))
    written = (tmp_path / "flink" / "conf" / "config.yaml").read_text(encoding="utf-8")
    assert "taskmanager.numberOfTaskSlots: 5" in written
    assert f'execution.checkpointing.dir: "file://{tmp_path}/flink/state/checkpoints"' in written
    assert "--add-opens=java.base/java.lang=ALL-UNNAMED" in written
    assert "${" not in written


def test_flinks_state_lies_in_a_home_whose_name_has_a_space(tmp_path: Path) -> None:
    home = tmp_path / "a folder"
    flink.write_configuration(Settings(home=home), Layout(home), SecretStore(home / "secrets.json"))
    written = (home / "flink" / "conf" / "config.yaml").read_text(encoding="utf-8")
    assert f'execution.checkpointing.dir: "file://{home}/flink/state/checkpoints"\n' in written


def test_the_memory_of_a_class_grows_with_its_task_slots() -> None:
    """Eight learners' jobs failed over and over for want of direct memory, which was that of one pipeline."""
    usual, of_class = flink.memory_of(flink.USUAL_SLOTS), flink.memory_of(8 * 6)
    assert flink.memory_of(3) == usual == flink.TaskManagerMemory()
    assert "-XX:MaxDirectMemorySize=256m" in usual.jvm_options
    assert {"-Xmx1504m", "-XX:MaxDirectMemorySize=904m"} <= set(of_class.jvm_options)


def test_taskmanagers_jvm_limits_follow_from_the_parts() -> None:
    memory = flink.TaskManagerMemory(framework_heap=1, task_heap=2, framework_off_heap=4, task_off_heap=8, network=16)
    # heap 1 + 2, direct memory 4 + 8 + 16
    assert {"-Xmx3m", "-XX:MaxDirectMemorySize=28m"} <= set(memory.jvm_options)


def test_change_data_capture_finds_the_binlog_it_needs() -> None:
    names = ("basedir", "messages", "datadir", "tmpdir", "pid_file", "socket", "init_file", "user_line", "host", "port")
    written = render("my.cnf.conf", server_id=mysql.SERVER_ID, **dict.fromkeys(names, "x"))
    for line in ("binlog-format = ROW", "binlog-row-image = FULL", "gtid-mode = ON", "default-time-zone = '+00:00'"):
        assert line in written


def test_only_steps_that_were_done_have_a_time(tmp_path: Path) -> None:
    times = SetupTimes(tmp_path)
    with times.step("done"):
        pass
    with pytest.raises(OSError, match="no disk"), times.step("failed"):
        raise OSError("no disk")
    assert list(times.read()) == ["done"]
    times.clear()
    assert times.read() == {}
