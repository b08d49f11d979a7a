"""Class data sharing: which archive a JVM uses or writes, tried with the Java of this machine."""

import subprocess
from pathlib import Path

import pytest

from fraudlab.stack import java
from fraudlab.stack.class_sharing import SharedClasses, adopt


def classes(folder: Path, jar: Path) -> SharedClasses:
    return SharedClasses(folder, "program", str(jar))


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    file = tmp_path / "some.jar"
    file.write_bytes(b"PK")
    return file


def run(options: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [str(java.find().executable), *options, "-Xlog:cds", "-version"]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_the_first_jvm_writes_an_archive_and_the_second_one_uses_it(tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    shared = SharedClasses(folder, "program", "")
    shared.prepare()
    assert "SharedArchiveFile" not in " ".join(shared.options)
    assert shared.stop_wait_s(10) > 10
    run(shared.options)
    (fresh,) = folder.glob("program-*")
    assert fresh.suffix != ".jsa", "it is not used before it is known to be whole"
    adopt(folder)
    assert shared.stop_wait_s(10) == 10
    (archive,) = folder.glob("program-*.jsa")
    assert f"Opened archive {archive}." in run(shared.options).stdout


def test_half_an_archive_is_thrown_away_and_written_again(tmp_path: Path, jar: Path) -> None:
    shared = classes(tmp_path, jar)
    (written,) = [one.removeprefix("-XX:ArchiveClassesAtExit=") for one in shared.options if "AtExit" in one]
    Path(written).write_bytes(bytes(4096))  # the JVM was killed: it writes the head last
    adopt(tmp_path)
    assert not shared.is_there
    assert list(tmp_path.glob("program-*")) == []
    assert any("AtExit" in one for one in shared.options)


def test_other_jars_have_another_archive_and_the_old_one_goes(tmp_path: Path, jar: Path) -> None:
    folder = tmp_path / "classes"
    before = classes(folder, jar)
    before.prepare()
    (fresh,) = [one.removeprefix("-XX:ArchiveClassesAtExit=") for one in before.options if "AtExit" in one]
    Path(fresh).write_bytes(b"archive")
    adopt(folder)
    assert before.is_there
    jar.write_bytes(b"PK another version")
    after = classes(folder, jar)
    assert not after.is_there
    after.prepare()
    assert list(folder.glob("program-*")) == []


def test_in_a_container_nothing_is_written_at_the_end(tmp_path: Path, jar: Path) -> None:
    shared = SharedClasses(tmp_path / "classes", "program", str(jar), enabled=False)
    shared.prepare()
    assert shared.options == []
    assert shared.stop_wait_s(10) == 10
    assert not (tmp_path / "classes").exists()
