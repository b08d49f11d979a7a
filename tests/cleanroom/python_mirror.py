"""Packs the Python 3.11 that runs this into a mirror from which uv installs it: for a clean room, where no real mirror can be reached.

Usage: python3.11 tests/cleanroom/python_mirror.py FOLDER. FOLDER is written again from scratch, unless it holds this Python already.

The real thing is python-build-standalone: relocatable, and without needs but glibc. So here, too, the archive holds the interpreter,
its shared library, the standard library, and each shared library that they load, found through paths relative to the file that loads
it (patchelf writes them). It has the name that the pinned uv asks for, which uv itself tells.

uv compares what it downloads with a SHA-256 that is built into it, from a mirror, too. So uv also needs FOLDER/downloads.json in
UV_PYTHON_DOWNLOADS_JSON_URL, which takes the place of its own list. Wherever FOLDER is then put:

    UV_PYTHON_INSTALL_MIRROR=file://FOLDER UV_PYTHON_DOWNLOADS_JSON_URL=file://FOLDER/downloads.json uv python install 3.11
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import unquote

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
WANTED = (3, 11)
LEFT_OUT = shutil.ignore_patterns(
    "site-packages", "dist-packages", "test", "tests", "idlelib", "turtledemo", "__pycache__", "*.a"
)
NEEDS_MORE = ("_tkinter", "nis", "_dbm", "_gdbm")
"""Modules whose libraries are not worth packing; nothing here imports them."""

PART_OF_GLIBC = re.compile(r"^(ld-linux|lib(c|m|dl|rt|pthread|util|resolv)\.so|linux-vdso)")
PLACEHOLDER = "/install"
"""The prefix that python-build-standalone was built with; uv replaces it in sysconfig's data when it installs."""


class PackingError(Exception):
    """Says what is missing, and what to do next."""


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    folder = Path(sys.argv[1]).resolve()
    try:
        archive = make(folder)
    except PackingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"  {archive.relative_to(folder)}, {archive.stat().st_size / 1e6:.0f} MB, is in {folder}.")
    return 0


def make(folder: Path) -> Path:
    """Write the mirror; gives its archive. Raises PackingError."""
    if sys.version_info[:2] != WANTED:
        raise PackingError(f"This is Python {sys.version.split()[0]}. Next: run this with python3.11.")
    library = shared_library()
    if shutil.which("patchelf") is None:
        raise PackingError("This machine lacks patchelf. Next: apt-get install patchelf")
    stamp = folder / "packed"
    recipe = hashlib.sha256(Path(__file__).read_bytes() + locked_uv().encode()).hexdigest()
    state = f"{sys.version} {library} {library.stat().st_mtime_ns} {recipe}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == state:
        return next(folder.glob("*/*.tar.gz"))
    if folder.exists():
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory() as temporary:
        url, entry = offered_by_uv(Path(temporary))
        archive = folder / url.split("/")[-2] / unquote(url.split("/")[-1])
        archive.parent.mkdir(parents=True)
        tree = Path(temporary) / "python"
        lay_out(tree, library)
        with tarfile.open(archive, "w:gz", compresslevel=6) as packed:
            packed.add(tree, "python", filter=owned_by_nobody)
    listed = {"url": url, "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(), **entry}
    downloads = {f"cpython-{entry['major']}.{entry['minor']}.{entry['patch']}-linux-x86_64-gnu": listed}
    (folder / "downloads.json").write_text(json.dumps(downloads, indent=1) + "\n", encoding="utf-8")
    stamp.write_text(state, encoding="utf-8")
    return archive


def shared_library() -> Path:
    """This Python's libpython3.11.so.1.0. Raises PackingError if it has none."""
    name = f"libpython{WANTED[0]}.{WANTED[1]}.so.1.0"
    folders = [Path(sysconfig.get_config_var("LIBDIR")), Path(sys.base_prefix) / "lib"]
    folders.append(folders[0] / (sysconfig.get_config_var("MULTIARCH") or ""))
    found = next((folder / name for folder in folders if (folder / name).exists()), None)
    if found is None:
        raise PackingError(
            f"{sys.executable} has no {name}. Next: install one that has (Debian 12: the package libpython3.11)."
        )
    return found


def locked_uv() -> str:
    """The lock's requirement of uv, with its hashes."""
    pattern = re.compile(r"^uv==\S+(?: \\\n +--hash=\S+)+", re.MULTILINE)
    found = (pattern.search(lock.read_text(encoding="utf-8")) for lock in sorted(REQUIREMENTS.glob("*.lock")))
    requirement = next((match[0] for match in found if match), None)
    if requirement is None:
        raise PackingError(f"No lock in {REQUIREMENTS} names uv. Next: make lock")
    return requirement


def offered_by_uv(temporary: Path) -> tuple[str, dict[str, object]]:
    """The address and the description, as in uv's own list, of the Python that the pinned uv installs when it is asked for 3.11.

    The address begins as uv wants it where a mirror takes its place; `uv python list` gives that of a faster copy, but the help says it.
    """
    requirement = temporary / "uv.txt"
    requirement.write_text(locked_uv() + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "--target", temporary / "uv", "-r", requirement], check=True)
    replaced = re.search(
        r"replace\s+`(\S+/python-build-standalone/\S+)`", asked(temporary, "help", "python", "install")
    )
    if replaced is None:
        raise PackingError(
            "The help of this uv does not say which address a mirror replaces. Next: see `uv help python install`."
        )
    offers = json.loads(asked(temporary, "python", "list", "--only-downloads", "--output-format", "json", "3.11"))
    offer = next(one for one in offers if one["implementation"] == "cpython" and one["variant"] == "default")
    build, name = offer["url"].split("/")[-2:]
    entry: dict[str, object] = {
        "name": "cpython",
        "arch": {"family": "x86_64", "variant": None},
        "os": "linux",
        "libc": "gnu",
        **offer["version_parts"],
        "prerelease": "",
        "variant": None,
        "build": build,
    }
    return f"{replaced[1]}/{build}/{name}", entry


def asked(temporary: Path, *arguments: str) -> str:
    """What uv answers, whatever this machine's settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    command = [str(temporary / "uv" / "bin" / "uv"), "--no-config", *arguments]
    return subprocess.run(command, capture_output=True, check=True, encoding="utf-8", env=environment).stdout


def lay_out(tree: Path, library: Path) -> None:
    """Copy this Python to `tree`, so that it works wherever `tree` is."""
    name = f"python{WANTED[0]}.{WANTED[1]}"
    programs, libraries = tree / "bin", tree / "lib"
    shutil.copytree(sysconfig.get_path("stdlib"), libraries / name, ignore=LEFT_OUT)
    (libraries / name / "site-packages").mkdir()
    programs.mkdir()
    shutil.copy2(Path(sysconfig.get_config_var("BINDIR")) / name, programs / name)
    for link in ("python3", "python"):
        (programs / link).symlink_to(name)
    shutil.copy2(library, libraries / library.name)
    (libraries / library.name.removesuffix(".1.0")).symlink_to(library.name)

    modules = libraries / name / "lib-dynload"
    for module in NEEDS_MORE:
        for file in modules.glob(f"{module}.*"):
            file.unlink()
    packed = {library.name}
    for loader in [programs / name, libraries / library.name, *sorted(modules.glob("*.so"))]:
        for needed, file in loaded_by(loader).items():
            if needed not in packed and not PART_OF_GLIBC.match(needed):
                shutil.copy2(file, libraries / needed)
                packed.add(needed)
    # `--force-rpath`: unlike a RUNPATH it also holds for the libraries that a library loads
    for file, path in [
        (programs / name, "$ORIGIN/../lib"),
        *((libraries / one, "$ORIGIN") for one in packed),
        *((module, "$ORIGIN/../..") for module in modules.glob("*.so")),
    ]:
        file.chmod(0o755)
        subprocess.run(["patchelf", "--force-rpath", "--set-rpath", path, file], check=True)

    prefix = sysconfig.get_config_var("prefix")
    for data in [*(libraries / name).glob("_sysconfigdata_*.py"), *(libraries / name).glob("config-*/Makefile")]:
        data.write_text(data.read_text(encoding="utf-8").replace(prefix, PLACEHOLDER), encoding="utf-8")


def loaded_by(file: Path) -> dict[str, Path]:
    """The shared libraries that the loader finds for a file, by name. Raises PackingError if one is missing."""
    listed = subprocess.run(["ldd", file], capture_output=True, encoding="utf-8", check=True).stdout
    found = re.findall(r"^\s*(\S+) => (\S+)", listed, re.MULTILINE)
    missing = [name for name, path in found if not path.startswith("/")]
    if missing:
        raise PackingError(
            f"{file.name} needs {', '.join(missing)}, which this machine lacks. Next: pack another Python 3.11."
        )
    return {name: Path(path) for name, path in found}


def owned_by_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    sys.exit(main())
