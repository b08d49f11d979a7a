"""Homes and shells that are not as usual: what is refused, what is put right, and what is written for other programs to read."""

import contextlib
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudlab.errors import UserError
from fraudlab.settings import REPOSITORY, Settings
from fraudlab.stack import doctor, flink, home_folder, kafka, mysql, shell, zookeeper
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.provision import own_packages
from fraudlab.stack.secret_store import SecretStore
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.templating import option_file_text

ODD = "ä b%20 #c ;'d\"e\\f$g`h`"
"""A name of a folder in which every letter means something to some program. A home may not have the `;` and the backslash."""
HOME = ODD.replace(" ;", "").replace("\\", "")


# Which shells


@pytest.mark.parametrize(
    ("environment", "repaired"),
    [
        ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, {"LC_ALL": "C.UTF-8"}),
        ({"LC_CTYPE": "UTF-8"}, {}),  # Python puts this one right by itself, as it does with none at all
        ({}, {}),
        ({"LC_ALL": "C.UTF-8"}, {}),
    ],
    ids=lambda value: " ".join(f"{name}={text}" for name, text in value.items()) or "nothing",
)
def test_a_process_has_utf8_from_every_shell(environment: dict[str, str], repaired: dict[str, str]) -> None:
    """Case unix-01: a JVM that this process starts must get a locale that encodes every name of a file."""
    code = (
        "import os; from pathlib import Path; from fraudlab.stack import shell; changes = shell.repairs(Path('/x'));"
        "print(changes, flush=True); os.environ.update(changes); os.execvp('locale', ['locale', 'charmap'])"
    )
    bare = {"PATH": os.environ["PATH"], "HOME": str(Path.home()), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=bare, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(repaired), "UTF-8"]


def test_without_any_utf8_locale_python_at_least_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shell, "is_utf8", lambda name: False)
    assert shell.repairs(tmp_path, {"LC_ALL": "C", "HOME": str(tmp_path)}) == {"PYTHONUTF8": "1"}


def test_a_utf8_locale_of_another_name_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "is_utf8", lambda name: name == "ja_JP.utf8")
    monkeypatch.setattr(shell, "_installed", lambda: ["C", "POSIX", "ja_JP.utf8"])
    assert shell.utf8_locale() == "ja_JP.utf8"


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "/nonexistent"}], ids=["none", "empty", "not there"])
def test_without_a_home_folder_the_user_s_own_is_taken(home: dict[str, str], tmp_path: Path) -> None:
    assert shell.repairs(tmp_path, {"LC_ALL": "C.UTF-8", **home}).get("HOME") == pwd.getpwuid(os.getuid()).pw_dir


def test_a_user_without_a_home_folder_gets_one_in_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    home = tmp_path / "home"
    assert shell.repairs(home, {})["HOME"] == str(home / "user")
    assert stat.S_IMODE((home / "user").stat().st_mode) == 0o700


def test_a_process_is_started_again_with_what_its_shell_lacked(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from pathlib import Path
from fraudlab.stack import shell
shell.settle([sys.executable, *sys.argv], Path({str(tmp_path)!r}))
print(os.environ["LC_ALL"], sys.argv[1:])
"""
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), "an argument"],
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "C.UTF-8 ['an argument']\n"


# The command


def an_environment(folder: Path) -> Path:
    """A virtual environment with this one's packages, and ours."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = (venv / "lib").glob("python3*/site-packages")
    packages.joinpath("ours.pth").write_text(next(path for path in sys.path if path.endswith("site-packages")) + "\n")
    own_packages.put_into(venv, REPOSITORY)
    return venv


@pytest.mark.parametrize("name", [HOME, "d" * 150], ids=["odd", "long"])
@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_CTYPE": "UTF-8"}, {}], ids=["C", "no such locale", "none"])
def test_the_commands_run_from_an_environment_in_every_folder_and_shell(
    tmp_path: Path, name: str, locale: dict[str, str]
) -> None:
    """Case unix-01: set up in UTF-8 and then run in C, no Python of the environment found our packages."""
    (tmp_path / name).mkdir()
    venv = an_environment(tmp_path / name)
    assert own_packages.are_in(venv, REPOSITORY)
    link = tmp_path / "fraudlab"
    link.symlink_to(venv / "bin" / "fraudlab")
    for command in (link, venv / "bin" / "data-generator"):
        done = subprocess.run(
            [str(command), "--help"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "FRAUDLAB_HOME": str(tmp_path / name), **locale},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Usage: " in done.stdout


def test_an_editable_install_gives_way_to_links(tmp_path: Path) -> None:
    venv = an_environment(tmp_path)
    (packages,) = (venv / "lib").glob("python3*/site-packages")
    old = packages / "__editable__.fraudlab-0.1.0.pth"
    old.write_text("/another/clone\n", encoding="utf-8")
    (packages / "fraudlab").unlink()
    assert not own_packages.are_in(venv, REPOSITORY)
    own_packages.put_into(venv, REPOSITORY)
    assert own_packages.are_in(venv, REPOSITORY)
    assert not old.exists()


# Which homes


def test_a_home_with_an_odd_name_can_hold_a_stack(tmp_path: Path) -> None:
    home_folder.require_usable(tmp_path / HOME / ".fraudlab", REPOSITORY)
    assert list(tmp_path.iterdir()) == []


def test_a_home_of_a_long_name_needs_no_sockets(tmp_path: Path) -> None:
    home = tmp_path / ("d" * 200)
    home.mkdir()
    home_folder.require_usable(home, REPOSITORY)


def somebody_elses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as it is for a user to whom it does not belong; what they may trust is the system's."""
    if os.getuid() == 0:
        os.chown(folder, 65_534, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 65_533)
    return folder


@pytest.mark.parametrize("inside", ["", "deeper", "not/there/yet"])
def test_a_home_in_somebody_elses_folder_is_refused(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else could put a `secrets.json` with known passwords there beforehand."""
    folder = tmp_path / "theirs"
    (folder / "deeper").mkdir(parents=True)
    home = somebody_elses(folder, monkeypatch) / inside
    with pytest.raises(UserError, match=r"belongs to another user, who could put files"):
        home_folder.require_usable(home, Path("/usr"))
    assert list(folder.iterdir()) == [folder / "deeper"]


def test_a_link_of_somebody_else_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    link = tmp_path / "link"
    link.symlink_to("mine")
    with pytest.raises(UserError, match="belongs to another user"):
        home_folder.require_usable(somebody_elses(link, monkeypatch) / ".fraudlab", Path("/usr"))


@pytest.mark.parametrize(
    ("mode", "inside", "taken"),
    [
        (0o777, "", False),
        (0o1777, "", False),
        (0o777, "home", False),
        (0o1777, "home", True),
        (0o755, "", True),
        (0o700, "home", True),
    ],
)
def test_a_home_that_others_can_write_to_is_refused(mode: int, inside: str, taken: bool, tmp_path: Path) -> None:
    """As in a temporary folder, a sticky bit above it is enough: nobody else can rename or replace what is ours there."""
    folder = tmp_path / "folder"
    (folder / "home").mkdir(parents=True)
    folder.chmod(mode)
    context = (
        contextlib.nullcontext() if taken else pytest.raises(UserError, match=f"Other users can write to {folder}")
    )
    with context:
        home_folder.require_usable(folder / inside, REPOSITORY)


def test_a_group_that_the_user_has_alone_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a umask of 002, which Ubuntu and Fedora have, every folder is writable for the user's own group."""
    tmp_path.chmod(0o775)
    group = tmp_path.stat().st_gid or 54_321
    os.chown(tmp_path, -1, group)
    monkeypatch.setattr(os, "getgid", lambda: group)
    home_folder.require_usable(tmp_path, REPOSITORY)
    other = pwd.struct_passwd(("other", "x", 54_322, group, "", "/", ""))
    monkeypatch.setattr(pwd, "getpwall", lambda: [other])
    with pytest.raises(UserError, match="Other users can write"):
        home_folder.require_usable(tmp_path, REPOSITORY)


@pytest.mark.parametrize("letter", [*home_folder.MISREAD, "\n", "\t"])
def test_a_path_that_programs_misread_is_refused(tmp_path: Path, letter: str) -> None:
    with pytest.raises(UserError, match=r"contains .*, which programs of the stack misread in a path"):
        home_folder.require_usable(tmp_path / f"a{letter}b", REPOSITORY)
    with pytest.raises(UserError, match="misread") as refusal:
        home_folder.require_usable(tmp_path, tmp_path / f"a{letter}b")
    assert refusal.value.advice.startswith("Rename the folder")


def test_a_path_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The path b'/.*/\\xe4' is not valid UTF-8"):
        home_folder.require_usable(tmp_path / "\udce4", REPOSITORY)


def test_an_accent_without_any_utf8_locale_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "is_utf8", lambda name: False)
    home_folder.require_usable(tmp_path, tmp_path)
    with pytest.raises(UserError, match="this machine has no UTF-8 locale"):
        home_folder.require_usable(tmp_path / "ä", REPOSITORY)


def test_a_home_that_nobody_may_write_to_is_refused() -> None:
    with pytest.raises(UserError, match=r"/proc cannot be written to"):
        home_folder.require_usable(Path("/proc/a/home"), REPOSITORY)


@pytest.fixture
def fat(tmp_path: Path) -> Iterator[Path]:
    """A folder on a FAT file system, as on a USB stick. By the kernel, or where that has none by a program."""
    image, folder = tmp_path / "fat.img", tmp_path / "fat"
    if os.geteuid() != 0 or not shutil.which("mkfs.vfat", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        pytest.skip("mounting a FAT file system needs root and dosfstools")
    with image.open("wb") as file:
        file.truncate(40 * 2**20)
    folder.mkdir()
    system = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    subprocess.run(["mkfs.vfat", str(image)], env=system, stdout=subprocess.DEVNULL, check=True)
    ways = (["mount", "-o", "loop", str(image), str(folder)], ["fusefat", "-o", "rw+", str(image), str(folder)])
    for way in ways:
        if shutil.which(way[0]) and subprocess.run(way, env=system, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("neither this kernel nor fusefat mounts a FAT file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_home_on_a_usb_stick_is_refused_in_one_sentence(fat: Path) -> None:
    """Case unix-02: by the doctor and by set-up alike, before anything is downloaded."""
    home = fat / "clone" / ".fraudlab"
    (check,) = [one for one in doctor.examine(Settings(home=home)) if one.name == "home"]
    assert not check.ok
    assert check.found.startswith(f"The file system of {fat} has no symbolic links")
    assert "FRAUDLAB_HOME" in check.advice
    for command in (["bootstrap.py"], ["-m", "fraudlab", "up"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env={**os.environ, "FRAUDLAB_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        what, advice = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        assert done.returncode == 1
        assert what.startswith(f"The file system of {fat}")
        assert what.endswith(" has no symbolic links (Function not implemented), and the stack needs them.")
        assert advice == f"Next: {check.advice}"
        assert {one.name for one in home.glob("*")} <= {".lock"}


@pytest.mark.parametrize("ability", ["symbolic links", "UNIX sockets"])
def test_a_usb_stick_lacks_each_of_these(fat: Path, ability: str) -> None:
    with pytest.raises(OSError, match=r"."):
        home_folder.ABILITIES[ability](fat)


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    command = ["mount", "-t", "tmpfs", "-o", f"{options},size=1m,mode=755", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_home_on_a_disk_that_runs_no_programs_is_refused(tmp_path: Path) -> None:
    """Like unix-02."""
    with (
        mounted(tmp_path, "noexec"),
        pytest.raises(UserError, match=r"has no executable files \(Permission denied\)"),
    ):
        home_folder.require_usable(tmp_path, REPOSITORY)


def test_every_command_refuses_a_disk_that_has_become_read_only_in_one_sentence(tmp_path: Path) -> None:
    """Like unix-02: it was a traceback, also for `down`."""
    sentence = f"{tmp_path} cannot be written to (Read-only file system)"
    with mounted(tmp_path, "ro"):
        stack = Stack(Settings(home=tmp_path))
        for act in (stack.install, stack.stop, stack.reset):
            with pytest.raises(UserError, match=re.escape(sentence)):
                act()


@pytest.mark.parametrize("ability", home_folder.ABILITIES)
def test_what_a_file_system_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ability: str) -> None:
    def cannot(folder: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setitem(home_folder.ABILITIES, ability, cannot)
    with pytest.raises(UserError, match=f"has no {ability} "):
        home_folder.require_usable(tmp_path, REPOSITORY)
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_private_was_not_before(tmp_path: Path) -> None:
    """Case sec-07: Flink unpickles its checkpoints, so nobody else may write where they are."""
    before = os.umask(0)
    try:
        old = tmp_path / "old"
        old.mkdir()
        for folder in (old, tmp_path / "a" / "new"):
            assert stat.S_IMODE(private_folder(folder).stat().st_mode) == 0o700
    finally:
        os.umask(before)


# What other programs read


@pytest.fixture(params=[HOME, "a%20b"], ids=["odd", "escape"])
def layout(tmp_path: Path, request: pytest.FixtureRequest) -> Layout:
    """A home with an odd name, in which the configurations of all services are written."""
    layout = Layout(tmp_path / request.param)
    settings = Settings(home=layout.home)
    layout.mysql_data.mkdir(parents=True)
    (layout.kafka_data).mkdir(parents=True)
    (layout.kafka_data / "meta.properties").touch()
    before = os.umask(0)
    try:
        secrets = SecretStore(layout.secrets)
        flink.write_configuration(settings, layout, secrets)
        services = (mysql.service(settings, layout, secrets), zookeeper.service(settings, layout, secrets))
        for service in (*services, kafka.service(settings, layout, secrets)):
            service.prepare()
    finally:
        os.umask(before)
    return layout


def test_data_is_for_its_owner_only_whatever_the_umask(layout: Layout) -> None:
    """Case sec-07."""
    data = (layout.mysql_data, layout.kafka_data, layout.zookeeper_data, layout.flink_state, layout.flink / "tmp")
    for folder in data:
        reachable = [one for one in (folder, *folder.parents) if one.is_relative_to(layout.home)]
        assert any(stat.S_IMODE(one.stat().st_mode) == 0o700 for one in reachable), folder


def test_java_and_flink_read_their_paths_as_they_are(layout: Layout) -> None:
    """Case unix-01. By Java's own reader and by Flink's, in a JVM that PyFlink starts from a shell without UTF-8."""
    installed = Layout(Settings().home).flink
    if not (installed / "installed").exists():
        pytest.skip("Flink is not set up")
    for name in ("lib", "opt"):
        (layout.flink / name).symlink_to(installed / name)
    shutil.copy(installed / "conf" / "log4j-cli.properties", layout.flink / "conf")
    done = subprocess.run(
        [sys.executable, "-c", READ_BY_JAVA, str(layout.home)],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "log.dirs": str(layout.kafka_data),
        "dataDir": str(layout.zookeeper_data),
        "execution.checkpointing.dir": str(layout.flink_state / "checkpoints"),
        "execution.checkpointing.savepoint-dir": str(layout.flink_state / "savepoints"),
        "high-availability.storageDir": str(layout.flink_state / "ha"),
        "io.tmp.dirs": str(layout.flink / "tmp"),
        "env.log.dir": str(layout.logs),
        "python.executable": sys.executable,
    }
    assert [path.name for path in layout.logs.iterdir()], "log4j did not find its settings, or not the folder of logs"


READ_BY_JAVA = """
import json, os, sys
from pathlib import Path
from fraudlab.stack import flink
from fraudlab.stack.layout import Layout
layout = Layout(Path(sys.argv[1]))
os.environ.update(flink.client_environment(layout))
from pyflink.java_gateway import get_gateway
jvm = get_gateway().jvm
def value(file, name):
    properties, stream = jvm.java.util.Properties(), jvm.java.io.FileInputStream(str(file))
    properties.load(stream)
    return properties.getProperty(name)
conf = jvm.org.apache.flink.configuration.GlobalConfiguration.loadConfiguration(str(layout.flink / "conf")).toMap()
places = ("execution.checkpointing.dir", "execution.checkpointing.savepoint-dir", "high-availability.storageDir")
texts = ("io.tmp.dirs", "env.log.dir", "python.executable")
print(json.dumps({
    "log.dirs": value(layout.kafka / "server.properties", "log.dirs"),
    "dataDir": value(layout.zookeeper / "zookeeper.properties", "dataDir"),
    **{name: jvm.org.apache.flink.core.fs.Path(conf.get(name)).getPath() for name in places},
    **{name: conf.get(name) for name in texts},
}))
"""


@pytest.mark.parametrize("text", [HOME, ODD, "a'b", "'a'", '"', "\\", "\\n", "a # b", 'a" # b', " "])
def test_mysql_reads_a_text_as_it_is(tmp_path: Path, text: str) -> None:
    """Case unix-01. By MySQL itself."""
    server = Layout(Settings().home).mysql_software / "bin" / "mysqld"
    if not server.exists():
        pytest.skip("MySQL is not set up")
    file = tmp_path / "my.cnf"
    file.write_text(f"[mysqld]\nplugin-dir = {option_file_text(text)}\n", encoding="utf-8")
    environment = {"LD_LIBRARY_PATH": str(Layout(Settings().home).libraries)}
    done = subprocess.run(
        [str(server), f"--defaults-file={file}", "--print-defaults"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip("\n").endswith(f"--plugin-dir={text} ")
