"""Checks before anything starts: what was found and, where it does not do, what to do about it."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, REPOSITORY, Settings
from fraudlab.stack import embedding, home_folder, install, java, mysql, ports, space
from fraudlab.stack.layout import Layout
from fraudlab.stack.program import Program
from fraudlab.stack.provision import disk, machine, system
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.supervisord import marked_processes

NEEDED_MEMORY_MIB = 3_000
"""What the whole stack and a job or two take when they run."""
NEEDED_DISK_INSTALLED_MIB = 1_000
"""What the data may grow by; before the installation it is `disk.NEEDED_MIB`."""


@dataclass(frozen=True)
class Check:
    """One check: `found` says what was found; `advice` what to do, empty where all is well."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine(settings: Settings, programs: Sequence[Program] = ()) -> list[Check]:
    """All checks, with the ports of the programs that run beside the stack. None changes anything or needs the stack to run.

    In a container the image has what it needs, and memory and ports are those of the neighbours too: neither is looked at there.
    """
    layout = Layout(settings.home)
    if settings.in_container:
        return [_python(), _java(), _embedding(layout), _software(settings, with_mysql=False), _disk(layout)]
    return [
        _python(),
        _machine(),
        _java(),
        _embedding(layout),
        *_libraries(layout),
        *_own_mysqld(settings),
        _home(layout),
        _software(settings),
        _memory(layout),
        _disk(layout),
        *_ports(settings, programs),
    ]


def require_room(settings: Settings, programs: Sequence[Program], progress: Callable[[str], None]) -> None:
    """Before a start: raises UserError where disk or a port is lacking, and says where memory is short."""
    layout = Layout(settings.home)
    memory = _memory(layout)
    if not memory.ok:
        progress(f"memory: {memory.found}. {memory.advice}")
    if warning := space.measure(layout.home).warning:
        progress(f"{warning}. Free some space, or Kafka will be stopped.")
    lacking = next((check for check in (_disk(layout), *_ports(settings, programs)) if not check.ok), None)
    if lacking is not None:
        raise UserError(f"Not ready to start: {lacking.name}: {lacking.found}.", lacking.advice)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "Python",
        sys.version_info[:2] == (3, 11),
        f"version {version}",
        ""
        if sys.version_info[:2] == (3, 11)
        else "PyFlink 1.20 needs Python 3.11: `make setup PYTHON=<path of python3.11>`.",
    )


def _machine() -> Check:
    try:
        machine.require_supported()
    except UserError as error:
        return Check("machine", False, str(error), error.advice)
    return Check("machine", True, f"Linux on x86-64, glibc {'.'.join(map(str, machine.glibc() or ()))}")


def _java() -> Check:
    try:
        found = java.find()
    except UserError as error:
        return Check("Java", False, str(error), error.advice)
    return Check("Java", True, f"version {found.version} in {found.home}")


def _embedding(layout: Layout) -> Check:
    """Started, not looked for: the TaskManager needs it, and what it lacks shows only then."""
    try:
        problem = embedding.problem(layout)
    except UserError as error:  # no Java
        problem = str(error)
    if problem is None:
        return Check("Python inside Java", True, "starts")
    return Check("Python inside Java", False, problem, "`make setup` looks for a Python that has it, or brings one.")


def _home(layout: Layout) -> Check:
    try:
        home_folder.require_usable(layout.home, REPOSITORY)
    except UserError as error:
        return Check("home", False, str(error), error.advice)
    return Check("home", True, f"{layout.home} can hold a stack")


def _libraries(layout: Layout) -> list[Check]:
    lacking = system.missing_libraries(layout.home)
    return [
        Check(f"{file} (MySQL)", False, "does not load", "`make setup` brings it, or says with which command.")
        if name in lacking
        else Check(f"{file} (MySQL)", True, "loads")
        for name, file in system.LIBRARIES.items()
    ]


def _own_mysqld(settings: Settings) -> list[Check]:
    if settings.mysqld is None:
        return []
    try:
        return [Check("MySQL", True, f"version {mysql.require_usable(settings.mysqld)} in {settings.mysqld}")]
    except UserError as error:
        return [Check("MySQL", False, str(error), error.advice)]


def _software(settings: Settings, *, with_mysql: bool = True) -> Check:
    layout = Layout(settings.home)
    try:
        install.require_installed(layout, mysqld=settings.mysqld, with_mysql=with_mysql)
    except UserError as error:
        return Check("software", False, str(error), error.advice)
    return Check("software", True, f"complete under {layout.home}")


def _memory(layout: Layout) -> Check:
    own = 0
    for process in marked_processes(layout.home):
        with contextlib.suppress(psutil.NoSuchProcess):
            own += process.memory_info().rss
    mib = round((psutil.virtual_memory().available + own) / 2**20)
    ok = mib >= NEEDED_MEMORY_MIB
    advice = (
        "" if ok else f"The stack takes up to {NEEDED_MEMORY_MIB} MiB: close other programs, or expect it to be slow."
    )
    return Check("memory", ok, f"{mib} MiB available", advice)


def _disk(layout: Layout) -> Check:
    room = space.measure(layout.home)
    needed = NEEDED_DISK_INSTALLED_MIB if (layout.flink / "installed").exists() else disk.NEEDED_MIB
    if room.lacks(needed) is not None:
        advice = (
            f"At least {needed} MiB and {space.LEAST_INODES} inodes are needed: free some space, "
            "or point FRAUDLAB_HOME to a larger disk."
        )
        return Check("disk", False, f"{room.words} for {layout.home}", advice)
    advice = "" if room.warning is None else "Less than a tenth is free: free some space, or Kafka will be stopped."
    return Check("disk", True, f"{room.words} for {layout.home}", advice)


def _ports(settings: Settings, programs: Sequence[Program]) -> list[Check]:
    """Every port that a service or program listens on is free, or held by our own stack."""
    try:
        services = Stack(settings).services
    except (UserError, ModuleNotFoundError):
        return []
    own = {process.pid for process in marked_processes(Layout(settings.home).home)}
    checks = []
    listening = {name: service.ports for name, service in services.items()} | {one.name: one.ports for one in programs}
    for name, named_ports in listening.items():
        for port, setting in named_ports.items():
            checks.append(
                port_check(name, port, setting, None if ports.is_free(LOOPBACK, port) else ports.holder(port), own)
            )
    return checks


def port_check(service: str, port: int, setting: str, holder: ports.Holder | None, own: set[int]) -> Check:
    """The check of one port: `holder` is None where it is free; `own` are the process ids of our own stack."""
    label = f"port {port} ({service})"
    if holder is None:
        return Check(label, True, "free")
    if holder.pid in own:
        return Check(label, True, f"held by our own {service}, process {holder.pid}")
    return Check(label, False, f"held by {holder}", holder.advice(setting))
