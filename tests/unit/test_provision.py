"""The set-up before there is an environment: on what it runs, what it refuses, what it calls complete, what it tells the installers."""

import ast
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bootstrap
from fraudlab.errors import UserError
from fraudlab.settings import REPOSITORY
from fraudlab.stack import java, shell
from fraudlab.stack.provision import disk, jars, machine, network, own_packages, packages, python, set_up, system

OLDEST = (3, 9)
MODULES = [
    REPOSITORY / "fraudlab/errors.py",
    *(REPOSITORY / "fraudlab/stack/provision").glob("*.py"),
    *(
        REPOSITORY / "fraudlab/stack" / f"{name}.py"
        for name in ("home_folder", "home_lock", "java", "setup_times", "shell")
    ),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is set up yet. To start a program is a failure."""
    monkeypatch.setenv("FRAUDLAB_HOME", str(tmp_path))
    monkeypatch.setattr(shell, "settle", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
    monkeypatch.setattr(subprocess, "run", lambda command, **_: pytest.fail(f"{command} was started"))
    monkeypatch.setattr(system, "missing_libraries", lambda _: [])
    monkeypatch.setattr(set_up.SetUp, "_has_java", lambda _: True)
    return tmp_path


def complete(home: Path, kind: str) -> None:
    """As a finished set-up leaves it."""
    environment = packages.Environment(home)
    environment.python.parent.mkdir(parents=True, exist_ok=True)
    environment.python.touch()
    (home / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    own_packages.put_into(home / "venv", REPOSITORY)
    (home / "venv" / "complete-for").write_text(packages.digest(kind), encoding="utf-8")
    jars.stamp(home).parent.mkdir(exist_ok=True)
    jars.stamp(home).write_text(jars.digest(), encoding="utf-8")


def test_a_python_that_is_too_old_is_told_so() -> None:
    tree = ast.parse(Path(bootstrap.__file__).read_text(encoding="utf-8"), feature_version=(3, 4))
    first, second = tree.body[1:3]  # after the docstring
    assert isinstance(first, ast.Import)
    assert isinstance(second, ast.If)
    code = ast.unparse(second).replace("sys.version_info", "(3, 6)")
    with pytest.raises(SystemExit, match=r"needs 3\.9 or newer[\s\S]*make PYTHON=<path>"):
        exec(code, {"sys": sys})  # noqa: S102


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_set_up_uses_no_syntax_newer_than_python_3_9(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"), feature_version=OLDEST)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match)]
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert futures or not any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)), "X | None needs it"


def test_the_set_up_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; from fraudlab.stack.provision import set_up; print('pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_a_second_run_does_nothing(home: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    complete(home, kind)
    assert set_up.main() == 0
    assert capsys.readouterr().out == ""


def test_tests_need_more_than_the_plain_packages(home: Path) -> None:
    complete(home, "run")
    environment = packages.Environment(home)
    assert environment.is_ready("run")
    assert not environment.is_ready("dev")


def test_after_an_update_the_environment_is_not_ready(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(home, "dev")
    assert packages.Environment(home).is_ready("run")
    monkeypatch.setattr(packages, "digest", lambda kind: f"another {kind}")
    assert not packages.Environment(home).is_ready("run")


def test_an_interrupted_environment_is_not_ready(home: Path) -> None:
    complete(home, "dev")
    (home / "venv" / "complete-for").unlink()
    assert not packages.Environment(home).is_ready("dev")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(disk, "free_mib", lambda _: 100)
    assert set_up.main() == 1
    assert f"Only 100 MiB are free for {home}; 3000 MiB are needed." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system_name", "processor", "libc", "found"),
    [
        ("Linux", "aarch64", "glibc 2.36", "This machine is Linux on aarch64"),
        ("Darwin", "arm64", "glibc 2.36", "This machine is Darwin on arm64"),
        ("Darwin", "x86_64", "glibc 2.36", "This machine is Darwin on x86_64"),
        ("Linux", "x86_64", None, "This system has no glibc"),
        ("Linux", "x86_64", "glibc 2.17", "This system has glibc 2.17"),
    ],
)
def test_a_machine_that_cannot_run_it_is_told_before_anything_is_fetched(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system_name: str,
    processor: str,
    libc: str | None,
    found: str,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system_name)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    monkeypatch.setattr(os, "confstr", lambda _: libc)
    assert set_up.main() == 1
    said = capsys.readouterr().err
    assert found in said
    assert said.endswith("  sh containers/make-env.sh\n  docker compose up\n")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("libc", ["glibc 2.28", "glibc 2.41"])
def test_a_machine_that_can_run_it_is_let_in(monkeypatch: pytest.MonkeyPatch, libc: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    monkeypatch.setattr(os, "confstr", lambda _: libc)
    machine.require_supported()


def test_uv_gets_pips_settings_unless_it_has_its_own() -> None:
    listed = "global.index-url='https://a.example/simple'\ninstall.cert='/ca.pem'\n:env:.find-links='/one /two'\nglobal.timeout='9'\n"
    handed_over = network.completed({"UV_FIND_LINKS": "/three"}, listed)
    assert handed_over["UV_DEFAULT_INDEX"] == "https://a.example/simple"
    assert handed_over["SSL_CERT_FILE"] == handed_over["REQUESTS_CA_BUNDLE"] == "/ca.pem"
    assert handed_over["UV_FIND_LINKS"] == "/three"
    assert not [name for name in handed_over if "TIMEOUT" in name]


def test_proxies_and_certificates_reach_every_step() -> None:
    given = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "localhost", "SSL_CERT_FILE": "/company.pem"}
    for environment in (network.completed(given, ""), network.for_pip(given)):
        assert given.items() <= environment.items()
    assert network.completed(given, "")["REQUESTS_CA_BUNDLE"] == "/company.pem"
    assert network.for_pip(given)["PIP_CERT"] == "/company.pem"


def test_an_index_that_only_uv_knows_is_pips_too() -> None:
    assert network.for_pip({"UV_INDEX_URL": "https://b.example/simple"})["PIP_INDEX_URL"] == "https://b.example/simple"
    both = {"UV_INDEX_URL": "https://b.example", "PIP_INDEX_URL": "https://c.example"}
    assert network.for_pip(both)["PIP_INDEX_URL"] == "https://c.example"


def managers(monkeypatch: pytest.MonkeyPatch, *present: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in present else None)


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "sudo apt-get update && sudo apt-get install -y --no-install-recommends libaio1t64 libnuma1"),
        ("dnf", "sudo dnf install -y libaio numactl-libs"),
        ("zypper", "sudo zypper --non-interactive install libaio1 libnuma1"),
        ("pacman", "sudo pacman -S --needed --noconfirm libaio numactl"),
    ],
)
def test_without_a_password_one_command_to_copy_is_named(
    monkeypatch: pytest.MonkeyPatch, manager: str, command: str
) -> None:
    managers(monkeypatch, manager, "apt-cache")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["apt-cache", "policy"]
        candidate = "1.0" if command[2] in ("libaio1t64", "libnuma1") else "(none)"
        return subprocess.CompletedProcess(command, 0, stdout=f"  Candidate: {candidate}\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UserError, match=r"This machine lacks libaio, libnuma\.") as refusal:
        system.install(["libaio", "libnuma"], print)
    assert refusal.value.advice == f"Run this, then the command again:\n  {command}"


def test_without_a_package_manager_containers_are_offered_and_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    managers(monkeypatch)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: pytest.fail(f"{command} was started"))
    with pytest.raises(UserError, match=r"This machine lacks libnuma\.") as refusal:
        system.install(["libnuma"], print)
    assert "docker compose up" in refusal.value.advice


def test_renamed_libaio_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = tmp_path / "root" / "usr" / "lib" / "x86_64-linux-gnu" / "libaio.so.1t64"
    renamed.parent.mkdir(parents=True)
    renamed.touch()
    monkeypatch.setattr(system, "loads", lambda _: False)
    system._link_renamed_libaio(tmp_path / "home", tmp_path / "root")
    assert (tmp_path / "home" / "lib" / "libaio.so.1").resolve() == renamed


def test_a_python_of_another_version_is_not_taken(tmp_path: Path) -> None:
    other = tmp_path / "python3.11"
    other.write_text(
        '#!/bin/sh\necho \'{"version": [3, 13, 1], "executable": "x", "name": "", "library": "/a"}\'\n',
        encoding="utf-8",
    )
    other.chmod(0o755)
    assert python.probe(other) is None


def test_what_is_no_python_is_not_taken(tmp_path: Path) -> None:
    broken = tmp_path / "python3.11"
    broken.write_text("#!/bin/sh\necho no module named ssl >&2; exit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    assert python.probe(broken) is None
    assert python.probe(tmp_path / "nothing") is None


def test_the_python_that_runs_this_is_whole() -> None:
    found = python.probe(Path(sys.executable))
    assert found is not None
    assert found.library is not None
    assert system.loads(str(found.library))


def test_a_virtual_environment_is_not_made_of_another(tmp_path: Path) -> None:
    """With ours activated, `python3.11` is its own, and would be removed while it makes the environment again."""
    made = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    found = python.probe(made / "bin" / "python3.11")
    assert found is not None
    assert found.program == Path(sys.base_prefix, "bin", "python3.11")


def test_a_python_without_its_library_is_completed_before_another_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "candidates", lambda _: [Path("/usr/bin/python3.11")])
    monkeypatch.setattr(python, "probe", lambda program: python.Python(program, "3.11.2", None))
    monkeypatch.setattr(system, "bring_libpython", lambda home, name: home / "lib" / name)
    uv: Any = None  # is not asked
    found = python.bring(tmp_path, uv, print)
    assert found == python.Python(Path("/usr/bin/python3.11"), "3.11.2", tmp_path / "lib" / "libpython3.11.so.1.0")


def test_a_library_that_was_unpacked_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "unpack_debs", lambda *_: pytest.fail("apt was called"))
    library = system.libraries(tmp_path) / "libpython3.11.so.1.0"
    library.parent.mkdir()
    library.touch()
    assert system.bring_libpython(tmp_path, library.name) == library


def test_the_java_that_was_brought_is_found_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = java.brought(tmp_path)
    (brought / "bin").mkdir(parents=True)
    (brought / "bin" / "java").touch()
    (brought / "release").write_text('JAVA_VERSION="17.0.9"\n', encoding="utf-8")
    java.find.cache_clear()
    monkeypatch.setattr(java, "_candidates", list)
    assert java.find(tmp_path) == java.Java(brought, 17)
    java.find.cache_clear()
    with pytest.raises(UserError, match="No Java of version 17 to 21 was found"):
        java.find(tmp_path / "elsewhere")


def lock_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> jars.Jar:
    jar = jars.Jar("kafka", "org.example:thing:1.0", len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(jars, "locked", lambda: [jar])
    return jar


def test_a_jar_that_arrives_damaged_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = lock_of(tmp_path, monkeypatch, b"whole")
    arrivals = [b"cut sh", b"whole"]

    def resolve(_: Any, coordinates: str) -> Path:
        assert coordinates == jar.coordinates
        (tmp_path / "cache.jar").write_bytes(arrivals.pop(0))
        return tmp_path / "cache.jar"

    monkeypatch.setattr(jars, "_resolve", resolve)
    jars.fetch_here(tmp_path)
    assert jar.place(tmp_path).read_bytes() == b"whole"
    assert jars.are_complete(tmp_path)


def test_a_jar_that_is_not_the_locked_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = lock_of(tmp_path, monkeypatch, b"whole")

    def resolve(_: Any, __: str) -> Path:
        (tmp_path / "cache.jar").write_bytes(b"evil")
        return tmp_path / "cache.jar"

    monkeypatch.setattr(jars, "_resolve", resolve)
    with pytest.raises(UserError, match=r"org\.example:thing:1\.0 is not the file that was locked"):
        jars.fetch_here(tmp_path)
    assert not jar.place(tmp_path).exists()
    assert not jars.are_complete(tmp_path)


def test_a_jar_that_the_lock_no_longer_names_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = lock_of(tmp_path, monkeypatch, b"whole")
    jar.place(tmp_path).parent.mkdir(parents=True)
    jar.place(tmp_path).write_bytes(b"whole")
    old = jar.place(tmp_path).with_name("thing-0.9.jar")
    old.touch()
    jars.fetch_here(tmp_path)
    assert not old.exists()


def test_the_lock_of_the_jars_names_what_is_declared() -> None:
    import tomllib

    declared = tomllib.loads((REPOSITORY / "requirements/jars.toml").read_text(encoding="utf-8"))
    locked = {(jar.folder, jar.coordinates) for jar in jars.locked()}
    assert {(folder, one) for folder, group in declared.items() for one in group["jars"]} <= locked
    single = {jar for jar in locked if not declared[jar[0]]["transitive"]}
    assert len(single) == sum(len(group["jars"]) for group in declared.values() if not group["transitive"])


@pytest.mark.parametrize("is_named", [False, True])
def test_make_finds_its_programs_in_a_folder_with_an_odd_name(tmp_path: Path, is_named: bool) -> None:
    """Case unix-01."""
    folder = tmp_path / "ä b%20#c'd\"e\\f$g`h`"
    program = folder / ".fraudlab" / "venv" / "bin" / "fraudlab"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "fraudlab $1 of %s\\n" "$(readlink -f "$FRAUDLAB_HOME")"\n', encoding="utf-8")
    program.chmod(0o700)
    shutil.copy(REPOSITORY / "Makefile", folder)
    environment = {name: value for name, value in os.environ.items() if name != "FRAUDLAB_HOME"}
    environment |= {"FRAUDLAB_HOME": f"{folder}/.fraudlab"} if is_named else {}
    done = subprocess.run(
        ["make", "-s", "stop"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fraudlab down of {folder}/.fraudlab\n"
    assert done.stderr == ""
