"""A bundle: what goes into its file, and that the set-up takes everything from there and refuses what is damaged."""

import hashlib
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from fraudlab.errors import UserError
from fraudlab.stack.provision import bundle, jars, machine, pack, paths, system
from fraudlab.stack.provision.progress import Ticker
from fraudlab.stack.provision.uv import Uv, requirements


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a bundle that was unpacked here."""
    folder = tmp_path / "a #1 folder" / "bundle"
    for part in (bundle.wheels(folder), bundle.python(folder), bundle.libraries(folder)):
        part.mkdir(parents=True)
    bundle.stamp(folder).write_text(bundle.digest(), encoding="utf-8")
    monkeypatch.setattr(bundle, "FOLDER", folder)
    return folder


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of empty locks in place of the real ones."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    for name in (*bundle.LOCKS, "jars"):
        (folder / f"{name}.lock").touch()
    monkeypatch.setattr(paths, "REQUIREMENTS", folder)
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git(folder: Path, *arguments: str) -> None:
    named = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True)


# --- the file


def test_the_file_holds_the_last_commit_and_what_was_fetched_and_ends_with_the_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q")
    (repository / "run.sh").write_text("true\n", encoding="utf-8")
    (repository / "run.sh").chmod(0o775)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "one")
    (repository / "later.txt").touch()
    monkeypatch.setattr(pack, "REPOSITORY", repository)
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"wheel")
    wheel.chmod(0o600)

    pack.write([("wheels/a.whl", wheel)], tmp_path / "out.tar", Ticker())

    with tarfile.open(tmp_path / "out.tar") as tar:
        members = {member.name: member for member in tar}
        assert [*members] == [
            "fraudlab",
            "fraudlab/run.sh",
            "fraudlab/bundle/wheels/a.whl",
            "fraudlab/bundle/complete-for",
        ]
        assert oct(members["fraudlab/run.sh"].mode) == "0o755"
        assert oct(members["fraudlab/bundle/wheels/a.whl"].mode) == "0o644"
        stamp = tar.extractfile("fraudlab/bundle/complete-for")
        assert stamp is not None
        assert stamp.read().decode() == bundle.digest()
    assert not (tmp_path / "out.tar.unfinished").exists()


def test_the_file_names_no_account_of_this_machine() -> None:
    member = tarfile.TarInfo("a")
    member.uid, member.gid, member.uname, member.gname = 1000, 1001, "anna", "users"
    packed = pack._of_nobody(member)
    assert (packed.uid, packed.gid, packed.uname, packed.gname) == (0, 0, "", "")


def test_a_folder_that_is_no_clone_cannot_be_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match=r"cannot be packed:\n.*not a git repository"):
        pack.write([], tmp_path / "out.tar", Ticker())
    assert not (tmp_path / "out.tar").exists()


def test_a_bundle_is_not_packed_again(unpacked: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="itself unpacked from a bundle"):
        pack.pack(tmp_path, with_python=True)


def test_packages_of_an_earlier_version_and_damaged_ones_are_removed(tmp_path: Path, locks: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, content in (("a.whl", b"a"), ("b.tar.gz", b"b"), ("damaged.whl", b"a?"), ("old.whl", b"old")):
        (folder / name).write_bytes(content)
    (locks / "run.lock").write_text(f"a==1 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(b'a')}\n")
    (locks / "java.lock").write_text(f"b-c.d==2 \\\n    --hash=sha256:{sha256(b'b')}\n")
    pack.remove_unlocked(folder)
    assert {file.name for file in folder.iterdir()} == {"a.whl", "b.tar.gz"}
    assert pack.locked_packages() == {"a", "b-c.d"}


def test_packages_are_for_the_oldest_glibc_that_the_stack_supports() -> None:
    glibc = [tuple(map(int, name.split("_")[1:3])) for name in pack.PLATFORMS if name.startswith("manylinux_")]
    assert max(glibc) == machine.GLIBC
    assert {"manylinux2014_x86_64", "manylinux1_x86_64"} < {*pack.PLATFORMS}


def test_a_library_says_which_glibc_it_needs() -> None:
    assert pack.newest_glibc(b"\0GLIBC_2.4\0GLIBC_2.33\0GLIBC_2.14\0") == (2, 33)
    assert pack.newest_glibc(b"\0GLIBC_PRIVATE\0") == (0, 0)


# --- the set-up


def test_a_whole_bundle_is_accepted(unpacked: Path) -> None:
    bundle.require_whole()


def test_a_bundle_that_was_only_partly_unpacked_is_refused(unpacked: Path) -> None:
    bundle.stamp(unpacked).unlink()
    with pytest.raises(UserError, match="incomplete, or belongs to another version"):
        bundle.require_whole()


def test_a_bundle_of_other_locks_is_refused(unpacked: Path, locks: Path) -> None:
    with pytest.raises(UserError, match="incomplete, or belongs to another version"):
        bundle.require_whole()


def test_packages_and_python_come_from_the_bundle(unpacked: Path, tmp_path: Path) -> None:
    options = requirements(["run"])
    assert options[:2] == ["--no-index", "--find-links"]
    assert options[2].startswith("file:///")
    assert options[2].endswith("/a%20%231%20folder/bundle/wheels")
    environment = Uv(tmp_path, print).environment
    assert (environment["UV_OFFLINE"], environment["UV_PYTHON_CACHE_DIR"]) == ("1", str(bundle.python(unpacked)))


def test_without_a_bundle_packages_come_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "FOLDER", tmp_path / "bundle")
    assert requirements(["run"])[0] == "--require-hashes"


def make_uv(wheels: Path) -> bytes:
    wheel = wheels / "uv-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-1.data/scripts/uvx", "another")
        archive.writestr("uv-1.data/scripts/uv", "the program")
    return wheel.read_bytes()


def test_uv_comes_out_of_its_wheel(unpacked: Path, locks: Path, tmp_path: Path) -> None:
    (locks / "uv.lock").write_text(
        f"uv==1 --hash=sha256:{sha256(make_uv(bundle.wheels(unpacked)))}\n", encoding="utf-8"
    )
    uv = Uv(tmp_path / "home", print)
    uv.bring()
    assert uv.program.read_text(encoding="utf-8") == "the program"
    assert uv.program.stat().st_mode & 0o111 == 0o111


def test_a_uv_that_is_not_the_locked_one_is_refused(unpacked: Path, locks: Path, tmp_path: Path) -> None:
    make_uv(bundle.wheels(unpacked))
    (locks / "uv.lock").write_text(f"uv==1 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    uv = Uv(tmp_path / "home", print)
    with pytest.raises(UserError, match="no undamaged uv"):
        uv.bring()
    assert not uv.program.exists()


def test_a_bundle_without_uv_is_refused(unpacked: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no undamaged uv"):
        bundle.unpack_uv(tmp_path / "uv")


def lock_one_jar(locks: Path, content: bytes) -> jars.Jar:
    jar = jars.Jar("kafka", "org.example:thing:1", len(content), sha256(content))
    (locks / "jars.lock").write_text(f"{jar.folder} {jar.coordinates} {jar.size} {jar.sha256}\n", encoding="utf-8")
    return jar


def test_jars_come_from_the_bundle(unpacked: Path, locks: Path, tmp_path: Path) -> None:
    jar = lock_one_jar(locks, b"jar")
    jar.place(unpacked).parent.mkdir(parents=True)
    jar.place(unpacked).write_bytes(b"jar")
    jars.fetch_here(tmp_path)
    assert jar.place(tmp_path).read_bytes() == b"jar"
    assert jars.are_complete(tmp_path)


def test_a_damaged_jar_in_the_bundle_is_refused(unpacked: Path, locks: Path, tmp_path: Path) -> None:
    jar = lock_one_jar(locks, b"jar")
    jar.place(unpacked).parent.mkdir(parents=True)
    jar.place(unpacked).write_bytes(b"j?r")
    with pytest.raises(UserError, match="not the file that was locked"):
        jars.fetch_here(tmp_path)
    assert not jar.place(tmp_path).exists()
    assert jar.place(unpacked).exists()


def test_missing_libraries_come_from_the_bundle(
    unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in system.LIBRARIES.values():
        (bundle.libraries(unpacked) / file).write_bytes(b"library")
    inside = str(system.libraries(tmp_path))
    monkeypatch.setattr(system, "loads", lambda library: library.startswith(inside) and Path(library).exists())
    system.bring_libraries(tmp_path, print)
    assert system.missing_libraries(tmp_path) == []


def test_with_a_bundle_nobody_waits_for_apt(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert not system.can_unpack_debs()
    monkeypatch.setattr(bundle, "FOLDER", unpacked / "none")
    assert system.can_unpack_debs()


def test_a_failure_with_a_bundle_does_not_blame_the_network(unpacked: Path, tmp_path: Path) -> None:
    uv = Uv(tmp_path, print)
    uv.program.parent.mkdir(parents=True)
    uv.program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    uv.program.chmod(0o755)
    with pytest.raises(UserError) as caught:
        uv.run("pip", "install")
    assert "Unpack the bundle again" in caught.value.advice
