"""The stack as a whole. Install, start, wait until it is ready, look, stop, wipe: with services as processes, or in containers."""

import contextlib
import os
import shutil
import signal as signals
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, REPOSITORY, Settings
from fraudlab.stack import (
    class_sharing,
    container_control,
    flink,
    flink_page,
    home_folder,
    install,
    kafka,
    mysql,
    ports,
    space,
    watch,
    zookeeper,
)
from fraudlab.stack.home_lock import HomeLock
from fraudlab.stack.layout import Layout
from fraudlab.stack.program import Program, Service
from fraudlab.stack.secret_store import SecretStore
from fraudlab.stack.supervisord import Supervisord, end_processes, marked_processes, module, open_notebooks

__all__ = ["Program", "ServiceStatus", "Stack"]

Progress = Callable[[str], None]
Problem = Callable[[], str | None]

POLL_S = 0.1
START_DEADLINE_S = 180
NEIGHBOURS_DEADLINE_S = 600
"""Containers may start in any order, also while images are still fetched."""
SAY_EVERY_S = 5
"""So often it is said what is waited for."""
DEATHS_TO_REPORT = 3
"""A service that ends this often while it is waited for is reported instead of waited for."""
LOG_LINES_TO_REPORT = 20
NEIGHBOUR = "NEIGHBOUR"
"""The state of a service in a container of its own."""
WRITING_CLASSES = "this first time Kafka and Flink also write down their classes, so that the next start is quicker"
ORPHAN_PATIENCE_S = 15


@dataclass(frozen=True)
class ServiceStatus:
    """How a program is: `state` as supervisord names it (`RUNNING`, `BACKOFF`, `FATAL`, …), `ABSENT`, or `NEIGHBOUR` in a container of
    its own, of which size and age are not known here.

    `pid` is None and the figures are 0 where it does not run. `resident_mib` counts its process tree. `problem` is
    None if it is ready, otherwise what is missing.
    """

    name: str
    state: str
    pid: int | None
    resident_mib: int
    uptime_s: int
    problem: str | None

    @property
    def healthy(self) -> bool:
        return self.problem is None


class Stack:
    """MySQL, ZooKeeper, Kafka and Flink of one home, with whatever other programs are added.

    `Stack(settings)` makes the one that the settings ask for, as `pathlib.Path` does. `progress` gets one line for each step. All methods
    raise UserError, which says what to do next.
    """

    with_mysql: bool
    """Whether MySQL is among what is installed."""
    start_deadline_s: float
    """How long the services may take until they are ready."""

    def __new__(cls, settings: Settings, progress: Progress = lambda line: None) -> "Stack":
        """A `ContainerStack` or a `NativeStack`."""
        kind = (ContainerStack if settings.in_container else NativeStack) if cls is Stack else cls
        return super().__new__(kind)

    def __init__(self, settings: Settings, progress: Progress = lambda line: None) -> None:
        self.settings = settings
        self.layout = Layout(settings.home)
        self.secrets = SecretStore(self.layout.secrets)
        self.alone = HomeLock(self.layout.home)
        self._progress = progress
        self._supervisord = Supervisord(self.layout, settings.disk_reserve_mib)

    @cached_property
    def services(self) -> dict[str, Service]:
        """The services of the stack by name."""
        settings, layout = self.settings, self.layout
        services = (
            mysql.service(settings, layout, self.secrets),
            zookeeper.service(settings, layout, self.secrets),
            kafka.service(settings, layout, self.secrets),
            flink.jobmanager(settings, layout),
            *flink.taskmanagers(settings, layout),
            flink_page.service(settings),
        )
        return {service.program.name: service for service in services}

    def prepared(self, name: str) -> Program:
        """A program of the stack with all that must lie there before it starts."""
        if name.startswith((flink.JOBMANAGER, flink.TASKMANAGER)):
            # a JobManager that starts alone is in a container: the others, in theirs, wait for it
            flink.write_configuration(self.settings, self.layout, self.secrets, renew=name == flink.JOBMANAGER)
        service = self.services[name]
        service.prepare()
        return service.program

    def install(self, progress: Progress | None = None) -> None:
        """Lay out what is missing. The second time there is nothing to do."""
        say = progress or self._progress
        if not install.is_begun(self.layout):
            home_folder.require_usable(self.layout.home, REPOSITORY)
        with self.alone(say):
            install.install(self.layout, say, mysqld=self.settings.mysqld, with_mysql=self.with_mysql)
        self.__dict__.pop("services", None)  # their class paths name the jars

    def start(self, extra_programs: Sequence[Program] = (), progress: Progress | None = None) -> None:
        """Start what does not run and wait until all of it is ready; `extra_programs` are started after that.

        Interrupted, it leaves a stack that `stop` stops and a further `start` completes.
        """
        say = progress or self._progress
        install.require_installed(self.layout, mysqld=self.settings.mysqld, with_mysql=self.with_mysql)
        with self.alone(say):
            self.require_own_ports()
            to_start = self._services_to_start(say)
            for name in to_start:
                self._require_free_ports(name, self.services[name].ports)
            renew = {flink.JOBMANAGER, flink.TASKMANAGER} <= set(to_start)
            flink.write_configuration(self.settings, self.layout, self.secrets, renew=renew)
            self._start_and_wait(to_start, say)
            self._watch_over_services()
            for program in extra_programs:
                self._supervisord.put(program)
                say(f"{program.name} started")

    def processes(self) -> dict[str, dict[str, Any]]:
        """What supervisord knows of each program, by name. Raises OSError where it does not answer."""
        return {one["name"]: one for one in self._supervisord.processes()}

    def add_program(self, program: Program) -> None:
        """Start a program under the running supervisor; one of the same name is replaced where it differs."""
        self._require_running()
        if not any(one["name"] == program.name and one["pid"] for one in self._supervisord.processes()):
            self._require_free_ports(program.name, program.ports)
        self._supervisord.put(program)

    def remove_program(self, name: str) -> None:
        """Stop an added program and forget it; harmless where there is none of this name."""
        self._require_running()
        self._supervisord.remove(name)

    def stop(self, progress: Progress | None = None) -> None:
        """Stop everything and leave no process behind, also where supervisord itself was killed."""
        say = progress or self._progress
        with self.alone(say):
            if self._supervisord.is_running():
                say("stopping all programs" + (f"; {WRITING_CLASSES}" if self._writes_classes else ""))
            self._supervisord.shut_down()
            self._end_orphans(say)
            class_sharing.adopt(self.layout.class_archives)
            say(self._stopped())

    def _stopped(self) -> str:
        """What is left of this home after a stop, in words."""
        notebooks = open_notebooks(self.layout.home)
        if not notebooks:
            return "stopped: no process is left"
        resident = sum(_resident_mib(process.pid, with_children=False) for process in notebooks)
        numbers = ", ".join(str(process.pid) for process in notebooks)
        return (
            f"stopped, but JupyterLab or notebooks are still open: {len(notebooks)} processes ({numbers}) of {resident} MiB. "
            "Press Ctrl-C twice in JupyterLab's terminal to end them"
        )

    @property
    def _writes_classes(self) -> bool:
        return any(one.program.stop_wait_s == class_sharing.WRITING_S for one in self.services.values())

    def is_running(self) -> bool:
        """Whether the supervisor runs (not: whether all services do)."""
        return self._supervisord.is_running()

    def require_own_ports(self) -> None:
        """Raises UserError where the stack runs on other ports than these settings say, as another terminal started it."""
        raise NotImplementedError

    def status(self, programs: Sequence[Program] = ()) -> list[ServiceStatus]:
        """How each service and added program is, the stack's own first. Asks all at once; takes 3 s at most.

        Of the added ones those in `programs` are asked; of the others it is known whether they run.
        """
        self.require_own_ports()
        known = {one["name"]: one for one in self._supervisord.processes()} if self.is_running() else {}
        names = [*self.services, *(name for name in known if name not in self.services)]
        problems = {name: service.problem for name, service in self.services.items()}
        problems |= {program.name: program.problem for program in programs if program.problem is not None}
        with ThreadPoolExecutor(len(names)) as pool:
            return list(pool.map(lambda name: self._status(name, known.get(name), problems.get(name)), names))

    def wait_for_program(self, program: Program, deadline_s: float = START_DEADLINE_S) -> None:
        """Wait until an added program is ready. Raises UserError after `deadline_s`, or when it keeps ending."""
        if program.problem is not None:
            self._wait(program.name, program.problem, time.monotonic() + deadline_s, threading.Event(), self._progress)

    def wait_healthy(self, deadline_s: float = START_DEADLINE_S, names: Sequence[str] = ()) -> None:
        """Wait until the services (all of the stack, or those named) are ready. Raises UserError after `deadline_s`."""
        self._require_services()
        deadline = time.monotonic() + deadline_s
        given_up = threading.Event()
        self._on_each(
            lambda name: self._wait(name, self.services[name].problem, deadline, given_up, self._progress),
            names or list(self.services),
            given_up,
        )

    def logs(self, name: str, lines: int = 100) -> list[str]:
        """The last lines of a program's log (`supervisord` has one as well). Raises UserError where there is none."""
        with self.log_file(name).open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]

    def log_file(self, name: str) -> Path:
        """Where a program's log lies. Raises UserError where there is none."""
        path = self.layout.logs / f"{name}.log"
        known = sorted(log.stem for log in self.layout.logs.glob("*.log"))
        if name not in known:
            raise UserError(f"There is no log of {name!r}.", f"Logs: {', '.join(known) or 'none yet'}.")
        return path

    def kill(self, name: str, signal: int = signals.SIGKILL) -> int:
        """Send a signal to a program's main process, for labs and fault tests, and give the process id that got it."""
        self._require_running()
        pid = int(self._supervisord.process(name)["pid"])
        if not pid:
            raise UserError(f"{name} is not running, so no signal can be sent.", "`fraudlab status` shows what runs.")
        os.kill(pid, signal)
        return pid

    def mysql_root_password(self) -> str:
        """The password of MySQL's administrator `root`, who can connect from this machine only."""
        return self.secrets.secret("mysql_root")

    def client_environment(self) -> dict[str, str]:
        """What PyFlink clients of this stack need in their environment (FLINK_HOME, FLINK_CONF_DIR)."""
        return flink.client_environment(self.layout)

    def _ensure_supervisord(self, say: Progress) -> None:
        if self._supervisord.is_running():
            return
        self._supervisord.shut_down()
        self._end_orphans(say)
        self._supervisord.start()

    def _end_orphans(self, say: Progress) -> None:
        orphans = marked_processes(self.layout.home)
        if orphans:
            say(f"ending what was left behind: {_named(orphans)}")
            end_processes(orphans, ORPHAN_PATIENCE_S)
        survivors = marked_processes(self.layout.home)
        if survivors:
            raise UserError(
                f"These processes did not end: {', '.join(str(one.pid) for one in survivors)}.",
                "They hang in the kernel (a disk that does not answer?); only a restart of the machine ends them.",
            )

    def _services_to_start(self, say: Progress) -> list[str]:
        """The services that `start` has to start; the supervisor, which starts them, runs then."""
        raise NotImplementedError

    def _watch_over_services(self) -> None:
        """Has what does not stay healthy restarted."""
        raise NotImplementedError

    def _require_services(self) -> None:
        """Raises UserError where nobody has started the services."""
        raise NotImplementedError

    def problem_now(self, pid: int, problem: str | None) -> str | None:
        """The problem of a program as it is said: what keeps it from being started comes first."""
        raise NotImplementedError

    def reset(self, progress: Progress | None = None) -> None:
        """Stop everything and wipe all data: database, topics, jobs and their state. Programs and passwords stay."""
        raise NotImplementedError

    def _require_free_ports(self, name: str, listening: Mapping[int, str]) -> None:
        for port, setting in listening.items():
            if not ports.is_free(LOOPBACK, port):
                holder = ports.holder(port)
                raise UserError(f"Port {port}, which {name} needs, is held by {holder}.", holder.advice(setting))

    def _start_and_wait(self, to_start: Sequence[str], say: Progress) -> None:
        deadline = time.monotonic() + self.start_deadline_s
        given_up = threading.Event()

        def start(name: str) -> None:
            began = time.monotonic()
            service = self.services[name]
            if name in to_start:
                service.prepare()
                self._supervisord.put(service.program)
            waited = self._wait(name, service.problem, deadline, given_up, say)
            took = time.monotonic() - began
            say(f"{name} is ready ({took:.1f} s)" if waited or name in to_start else f"{name} is ready already")

        self._on_each(start, list(self.services), given_up)

    def _on_each(self, act: Callable[[str], object], names: Sequence[str], given_up: threading.Event) -> None:
        """Act on all services at once. The first failure (Ctrl-C too) makes the others give up, and is raised."""
        with ThreadPoolExecutor(len(names)) as pool:
            acts = [pool.submit(act, name) for name in names]
            try:
                for done in as_completed(acts):
                    done.result()
            except BaseException:
                given_up.set()
                raise

    def _wait(self, name: str, ask: Problem, deadline: float, given_up: threading.Event, say: Progress) -> bool:
        """Wait until a program is ready, and say every few seconds what is missing. Returns whether anything was.

        Raises UserError when it keeps dying, is given up, or the deadline has passed.
        """
        deaths, last_pid = 0, 0
        waited, next_word = False, time.monotonic() + SAY_EVERY_S
        while not given_up.wait(POLL_S):
            pid, state = self._process(name)
            deaths += int(last_pid != 0 and pid != last_pid)
            last_pid = pid
            if state == "FATAL" or deaths >= DEATHS_TO_REPORT:
                raise self._death(name, f"{name} keeps crashing on startup.")
            problem = self.problem_now(pid, ask() if pid or state == NEIGHBOUR else f"is {state.lower()}")
            if problem is None:
                return waited
            if time.monotonic() > deadline:
                raise self._death(name, f"{name} did not become ready in time: {problem}.")
            waited = True
            if time.monotonic() > next_word:
                next_word = time.monotonic() + SAY_EVERY_S
                say(f"waiting for {name}: {problem}")

        raise UserError(f"Gave up waiting for {name}.", "`fraudlab up` begins again.")

    def _process(self, name: str) -> tuple[int, str]:
        """A program's process id (0: none), or what stands for it, and its state as `ServiceStatus` has it."""
        process = self._supervisord.process(name)
        return int(process["pid"]), str(process["statename"])

    def _death(self, name: str, what: str) -> UserError:
        with contextlib.suppress(UserError):
            what += " The end of its log:\n" + "\n".join(self.logs(name, LOG_LINES_TO_REPORT))
        return UserError(
            what,
            f"`fraudlab logs {name}` shows more, `fraudlab doctor` looks for causes, `fraudlab down` stops everything.",
        )

    def _status(self, name: str, process: dict[str, object] | None, ask: Problem | None) -> ServiceStatus:
        if process is None or not process["pid"]:
            state = "ABSENT" if process is None else str(process["statename"])
            return ServiceStatus(
                name, state, None, 0, 0, self.problem_now(0, "does not run") if process else "does not run"
            )
        pid = int(str(process["pid"]))
        uptime_s = int(str(process["now"])) - int(str(process["start"]))
        problem = self.problem_now(pid, None if ask is None else ask())
        return ServiceStatus(name, str(process["statename"]), pid, _resident_mib(pid), uptime_s, problem)

    def _require_running(self) -> None:
        if not self._supervisord.is_running():
            raise UserError("The stack is not running.", "Start it with `fraudlab up`.")
        self.require_own_ports()


class NativeStack(Stack):
    """All of it as processes under one supervisor."""

    with_mysql = True
    start_deadline_s = START_DEADLINE_S

    def require_own_ports(self) -> None:
        if not self.is_running():
            return
        pid = int(self.processes().get(mysql.NAME, {}).get("pid", 0))
        found = ports.of_process(pid) if pid else set()
        wanted = self.services[mysql.NAME].ports
        if found and not found & wanted.keys():
            raise UserError(
                f"The stack of this home runs on other ports than asked for: MySQL on {min(found)} instead of {min(wanted)}.",
                "Set FRAUDLAB_PORT_BASE or FRAUDLAB_MYSQL_PORT as it was for the start, or end the stack with `fraudlab down`.",
            )

    def reset(self, progress: Progress | None = None) -> None:
        self.stop(progress)
        for folder in (
            self.layout.mysql_data,
            self.layout.kafka_data,
            self.layout.kafka_kept,
            self.layout.zookeeper_data,
            self.layout.flink_state,
            self.layout.flink_keys,
            self.layout.flink / "tmp",
            self.layout.inbox,
        ):
            if folder.exists():
                shutil.rmtree(folder)
        say = progress or self._progress
        say("data of MySQL, Kafka, ZooKeeper, Flink and the inbox wiped")

    def problem_now(self, pid: int, problem: str | None) -> str | None:
        """If a program is not started because the disk is full, that is its problem."""
        if pid and not watch.is_launcher(pid):
            return problem
        return space.keeps_from_starting(self.layout.home, self.settings.disk_reserve_mib) or problem

    def _services_to_start(self, say: Progress) -> list[str]:
        self._ensure_supervisord(say)
        states = {one["name"]: one["statename"] for one in self._supervisord.processes()}
        return [name for name in self.services if states.get(name) not in ("STARTING", "RUNNING")]

    def _watch_over_services(self) -> None:
        # without what is a learner's own: another learner's start must not replace a program of the stack
        own = {name: Settings.model_fields[name].default for name in ("learner", "work")}
        self._supervisord.put(watch.program(self.settings.model_copy(update=own)))

    def _require_services(self) -> None:
        self._require_running()


class ContainerStack(Stack):
    """The services in containers of their own, which Docker starts and watches over; other programs under a supervisor in this one."""

    with_mysql = False
    start_deadline_s = NEIGHBOURS_DEADLINE_S

    def add_program(self, program: Program) -> None:
        self._ensure_supervisord(self._progress)  # it has nothing else to do
        super().add_program(program)

    def remove_program(self, name: str) -> None:
        if self.is_running():
            super().remove_program(name)

    def require_own_ports(self) -> None:
        """Each container has its own."""

    def log_file(self, name: str) -> Path:
        if name in self.services:
            raise UserError(
                f"{name} runs in a container of its own, and Docker keeps its log.",
                f"`docker compose logs {name}`, outside, shows it.",
            )
        return super().log_file(name)

    def kill(self, name: str, signal: int = signals.SIGKILL) -> int:
        return container_control.kill(name) if name in self.services else super().kill(name, signal)

    def reset(self, progress: Progress | None = None) -> None:
        raise UserError(
            "The data is in volumes of other containers, so it cannot be wiped from this one.",
            "`docker compose down --volumes`, outside, wipes it all. In a notebook, `lab.reset()` wipes what is yours.",
        )

    def problem_now(self, pid: int, problem: str | None) -> str | None:
        return problem

    def _services_to_start(self, say: Progress) -> list[str]:
        return []

    def _watch_over_services(self) -> None:
        """Docker does."""

    def _require_services(self) -> None:
        """Docker starts them."""

    def _process(self, name: str) -> tuple[int, str]:
        return (container_control.life(name), NEIGHBOUR) if name in self.services else super()._process(name)

    def _death(self, name: str, what: str) -> UserError:
        if name in self.services:
            return UserError(what, f"`docker compose logs {name}`, outside, shows why.")
        return super()._death(name, what)

    def _status(self, name: str, process: dict[str, object] | None, ask: Problem | None) -> ServiceStatus:
        if name in self.services:
            return ServiceStatus(name, NEIGHBOUR, container_control.life(name), 0, 0, self.services[name].problem())
        return super()._status(name, process, ask)


def _named(processes: Sequence[psutil.Process]) -> str:
    words = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words.append(f"{module(process)} (process {process.pid})")
    return ", ".join(words) or "processes that have just ended"


def _resident_mib(pid: int, *, with_children: bool = True) -> int:
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *(root.children(recursive=True) if with_children else ())]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return round(total / 2**20)
