"""Speaks with supervisord, the process from PyPI's `supervisor` that keeps all programs of one home running."""

import contextlib
import hashlib
import os
import re
import resource
import shlex
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from fraudlab.clients.waiting import answered, until
from fraudlab.errors import UserError
from fraudlab.stack import shell, space
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program
from fraudlab.stack.secret_store import write_private

MARKER = "FRAUDLAB_SUPERVISED"
"""In the environment of supervisord, of all that it starts, and of banks: the home it belongs to. Ends orphans, never a shell."""
NOTEBOOK_PROGRAMS = ("jupyterlab", "ipykernel_launcher")
"""Modules that run as processes of the learner; they may hold unsaved work."""

PROGRAMS, PID_FILE, LOGS = "programs", "supervisord.pid", "../logs"
"""As supervisord finds them from its own folder."""

ALIVE = {"STARTING", "RUNNING", "BACKOFF", "STOPPING"}
LOG_BYTES = 10 * 1024 * 1024
LOG_BACKUPS = 2
START_ATTEMPTS = 30
"""How often a program that cannot start is tried again, with growing pauses, before supervisord gives up on it."""

BARE_PYTHON = (sys.executable, "-I", "-S")
"""Starts in 20 ms, and knows the standard library only."""

STOP_PATIENCE_S = 60
"""How long programs of equal priority may take to end; supervisord kills each after its own `stop_wait_s`."""


class Supervisord:
    """The supervisord of one home. Its socket and configuration are for nobody but the owner."""

    def __init__(self, layout: Layout, reserve_mib: int) -> None:
        self._layout, self._reserve_mib = layout, reserve_mib
        self._config = layout.supervisor / "supervisord.conf"
        self._programs = layout.supervisor / PROGRAMS
        self._pid_file = layout.supervisor / PID_FILE

    def is_running(self) -> bool:
        """Whether it answers on its socket."""
        try:
            self._call("getState")
        except OSError:
            return False
        return True

    def start(self) -> None:
        """Start it with no programs; it outlives the caller. Raises UserError where it does not answer."""
        layout = self._layout
        for folder in (layout.supervisor, layout.logs, self._programs):
            private_folder(folder)
        for left_over in self._programs.iterdir():
            left_over.unlink()
        layout.make_sockets_folder()
        write_private(self._config, daemon_config(layout, self._socket))
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", self._config.name],
            env={**os.environ, **shell.repairs(layout.home), MARKER: str(layout.home)},
            cwd=layout.supervisor,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not until(self.is_running, 10 if done.returncode == 0 else 0, 0.05):
            raise UserError(
                f"supervisord, which runs the services, did not start: {done.stdout.strip()}",
                f"Its log is {layout.logs / 'supervisord.log'}. Run `fraudlab down`, then this command again.",
            )

    def put(self, program: Program) -> None:
        """Add a program, or replace it where its definition has changed, and start it where it does not run."""
        script = launcher(program, self._layout, self._reserve_mib)
        config = program_config(program, hashlib.sha256(script.encode()).hexdigest())
        write_private(self._programs / f"{program.name}.sh", script)
        write_private(self._programs / f"{program.name}.conf", config)
        added, changed, _ = self._call("reloadConfig")[0]
        if program.name in changed:
            self._remove_group(program.name)
        if program.name in added or program.name in changed:
            self._call("addProcessGroup", program.name)
        with _ignoring(Faults.ALREADY_STARTED):
            self._call("startProcess", program.name, False)

    def remove(self, name: str) -> None:
        """Stop a program and forget it; harmless where there is none."""
        for suffix in ("conf", "sh"):
            (self._programs / f"{name}.{suffix}").unlink(missing_ok=True)
        removed = self._call("reloadConfig")[0][2]
        if name in removed:
            self._remove_group(name)

    def processes(self) -> list[dict[str, Any]]:
        """What supervisord knows of each program: `name`, `statename`, `pid` (0: none), `start`, `now`, …"""
        found: list[dict[str, Any]] = self._call("getAllProcessInfo")
        return found

    def process(self, name: str) -> dict[str, Any]:
        """As `processes`, for one program. Raises UserError where there is none of this name."""
        try:
            found: dict[str, Any] = self._call("getProcessInfo", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.BAD_NAME:
                raise
            known = ", ".join(one["name"] for one in self.processes()) or "none"
            raise UserError(f"There is no program {name!r}.", f"Programs: {known}.") from fault
        return found

    def stop_all(self) -> None:
        """Stop the programs, those of equal priority together and those with the highest first."""
        waves: dict[int, list[str]] = {}
        for config in self._call("getAllConfigInfo"):
            waves.setdefault(config["group_prio"], []).append(config["name"])
        for priority in sorted(waves, reverse=True):
            for name in waves[priority]:
                with _ignoring(Faults.NOT_RUNNING):
                    self._call("stopProcess", name, False)
            self._wait_stopped(waves[priority])

    def shut_down(self) -> None:
        """Stop all programs, then supervisord itself; where it does not answer, end it by its number."""
        process = self._process()
        with contextlib.suppress(OSError, xmlrpc.client.ProtocolError):
            self.stop_all()
            self._call("shutdown")
        if process is None:
            return
        try:
            process.wait(timeout=10)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int(self._pid_file.read_text(encoding="utf-8")))
            return process if process.environ().get(MARKER) == str(self._layout.home) else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def _wait_stopped(self, names: list[str]) -> None:
        def stopped() -> bool:
            return not any(one["name"] in names and one["statename"] in ALIVE for one in self.processes())

        until(stopped, STOP_PATIENCE_S, 0.05)  # whoever calls ends what is left, by its number

    def _remove_group(self, name: str) -> None:
        with _ignoring(Faults.NOT_RUNNING):
            self._call("stopProcess", name, True)
        answered(lambda: self._call("removeProcessGroup", name), xmlrpc.client.Fault, 10, 0.05)

    @property
    def _socket(self) -> Path:
        return self._layout.sockets / "supervisor.sock"

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()


def daemon_config(layout: Layout, socket: Path) -> str:
    """supervisord's own configuration, for the folder `layout.supervisor`, in which it runs.

    Its syntax cannot express every path: `#` and `;` begin comments, `%` is expanded, a space ends a pattern. So all files are
    named from that folder; only sockets may be in the temporary one.
    """
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 8192 if most_files == resource.RLIM_INFINITY else min(8192, most_files)
    named = os.path.relpath(socket, layout.supervisor) if socket.is_relative_to(layout.home) else str(socket)
    lines = [
        "[supervisord]",
        f"logfile = {LOGS}/supervisord.log",
        "logfile_maxbytes = 1MB",
        "logfile_backups = 1",
        f"pidfile = {PID_FILE}",
        f"childlogdir = {LOGS}",
        f"minfds = {files}",
        "umask = 077",
        *(["user = root"] if os.geteuid() == 0 else []),
        "[unix_http_server]",
        f"file = {named.replace('%', '%%')}",
        "chmod = 0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "[include]",
        f"files = {PROGRAMS}/*.conf",
    ]
    return "\n".join(lines) + "\n"


def program_config(program: Program, version: str) -> str:
    """The section of supervisord's configuration for one program, which its launcher starts.

    Another `version` of the launcher makes supervisord see a change. Raises ValueError for a name that the configuration cannot express.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", program.name):
        raise ValueError(f"{program.name!r} is no program name: letters, digits, '-', '_' and '.' only")
    lines = [
        f"[program:{program.name}]",
        f"command = /bin/sh {PROGRAMS}/{program.name}.sh {version}",
        f"priority = {program.priority}",
        "autostart = false",
        "autorestart = true",
        "startsecs = 1",
        f"startretries = {START_ATTEMPTS}",
        f"stopwaitsecs = {program.stop_wait_s}",
        "stopasgroup = true",
        "killasgroup = true",
        "redirect_stderr = true",
        f"stdout_logfile = {LOGS}/{program.name}.log",
        f"stdout_logfile_maxbytes = {LOG_BYTES}",
        f"stdout_logfile_backups = {LOG_BACKUPS}",
    ]
    return "\n".join(lines) + "\n"


def launcher(program: Program, layout: Layout, reserve_mib: int) -> str:
    """The shell script that waits for free disk space, and then becomes the program. A shell's quotes can hold every character."""
    environment = {**program.environment, MARKER: str(layout.home)}
    room = (*BARE_PYTHON, str(Path(space.__file__)), str(layout.home), str(reserve_mib))
    lines = [
        f"cd {shlex.quote(str(program.directory or layout.home))} || exit 1",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(environment.items())),
        *(f"{shlex.join(command)} || exit 1" for command in (room, *program.before)),
        f"exec {shlex.join(program.command)}",
    ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _ignoring(fault_code: int) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != fault_code:
            raise


def marked_processes(home: Path) -> list[psutil.Process]:
    """The living processes that a home's supervisord started, itself included, and banks; not the caller and its parents."""
    return _others(lambda process: process.environ().get(MARKER) == str(home))


def open_notebooks(home: Path) -> list[psutil.Process]:
    """JupyterLab and its kernels that work with a home's stack; not the caller and its parents."""
    return _others(
        lambda process: module(process) in NOTEBOOK_PROGRAMS and process.environ().get("FRAUDLAB_HOME") == str(home)
    )


def _others(fits: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    own = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and fits(process) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def module(process: psutil.Process) -> str:
    """What a process runs: the module after Python's `-m`, otherwise the program's file name. Raises psutil's errors."""
    words = process.cmdline() or [process.name()]
    return words[words.index("-m") + 1] if "-m" in words[:-1] else Path(words[0]).name


def end_processes(processes: list[psutil.Process], patience_s: float) -> None:
    """Ask processes to end (SIGTERM), and after `patience_s` kill those that have not."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
