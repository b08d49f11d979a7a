"""The watcher: stops Kafka before the disk is full, and restarts a service that runs but stays unhealthy.

supervisord restarts what ends. It does not see a JobManager that runs without a leader, or a broker that does not answer. The watcher
checks each service, as `fraudlab status` does, and ends one that has been unhealthy for a minute; supervisord then restarts it.
It runs under supervisord itself: `python -m fraudlab.stack.watcher`.
"""

import contextlib
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psutil

from fraudlab.settings import Settings
from fraudlab.stack import flink, kafka, space
from fraudlab.stack.layout import Layout
from fraudlab.stack.program import Program, Service

log = logging.getLogger("fraudlab.watcher")

NAME = "watcher"
MEASURE_EVERY_S = 1.0
ASK_EVERY_S = 10.0
PATIENCE_S = 60.0
"""How long a service must be unhealthy without a break before it is restarted. Each restart that does not help doubles it."""
MOST_PATIENCE_S = 960.0
START_PATIENCE_S = 180.0
"""How long a process that was never healthy may still be starting."""
KEPT, TOLD_FOR_S = 5, 3600


Processes = Mapping[str, Mapping[str, Any]]
"""What supervisord knows of each program, by name: `pid` (0: none), `start`, `now`, …"""


def program(settings: Settings) -> Program:
    """The watcher, as a program of the supervisor: it is stopped first, so that it does not mistake a shutdown for a fault."""
    return Program(
        name=NAME,
        command=[sys.executable, "-m", "fraudlab.stack.watcher"],
        environment={"PYTHONUNBUFFERED": "1", **settings.environment()},
        priority=900,
    )


@dataclass(frozen=True)
class Look:
    """The state of a service at one moment. `pid` is 0 if it does not run; `held`: its process is stopped by a signal (SIGSTOP)."""

    name: str
    pid: int
    uptime_s: float
    problem: str | None
    held: bool = False


@dataclass
class _Record:
    """What is known of one service's process."""

    pid: int = 0
    was_healthy: bool = False
    unhealthy_since: float | None = None
    patience_s: float = PATIENCE_S


@dataclass
class RestartPolicy:
    """Decides which services are restarted. `needs` says on which others each one depends."""

    needs: Mapping[str, Sequence[str]]
    _records: dict[str, _Record] = field(default_factory=dict)
    _last: float = 0.0

    def restarts(self, now: float, looks: Sequence[Look], *, full: bool) -> dict[str, str]:
        """The services to restart now, each with the reason. `now` is in seconds of a monotonic clock; `full`: whether the disk is full.

        A service is left alone while it starts, while its process is held, while what it needs is unhealthy, while the disk is full, and
        after the watcher itself did not run for a while: then the machine slept, or is too busy for a judgement.
        """
        delayed = now - self._last > 3 * ASK_EVERY_S
        self._last = now
        unhealthy = {one.name for one in looks if one.problem is not None or not one.pid}
        found = {}
        for one in looks:
            record = self._records.setdefault(one.name, _Record())
            if one.pid != record.pid:
                record.pid, record.was_healthy, record.unhealthy_since = one.pid, False, None
            if one.problem is None and one.pid:
                record.was_healthy, record.unhealthy_since, record.patience_s = True, None, PATIENCE_S
                continue
            starting = not record.was_healthy and one.uptime_s < START_PATIENCE_S
            waits = any(need in unhealthy for need in self.needs.get(one.name, ()))
            if not one.pid or one.held or starting or waits or full or delayed:
                record.unhealthy_since = None
                continue
            if record.unhealthy_since is None:
                record.unhealthy_since = now
            if now - record.unhealthy_since >= record.patience_s:
                found[one.name] = f"unhealthy for {now - record.unhealthy_since:.0f} s: {one.problem}"
                record.unhealthy_since, record.patience_s = None, min(2 * record.patience_s, MOST_PATIENCE_S)
        return found


class Watcher:
    """Checks the disk every second and the services every ten seconds, and acts by sending signals to their processes.

    Args:
        settings: Of the stack.
        services: By name.
        processes: Asks supervisord. Raises OSError where it does not answer.
    """

    def __init__(self, settings: Settings, services: Mapping[str, Service], processes: Callable[[], Processes]) -> None:
        self._settings, self._services, self._processes = settings, services, processes
        self._layout = Layout(settings.home)
        needs = {name: flink.NEEDS.get(name.partition("-")[0], ()) for name in services}
        self._policy = RestartPolicy(needs)
        self._ending: dict[int, tuple[str, float]] = {}
        self._stopped_kafka = 0

    def run(self, ended: threading.Event) -> None:
        """Watch until `ended`. After any other error it tries again: supervisord may be ending, or the disk is full."""
        next_ask = time.monotonic()
        while not ended.wait(MEASURE_EVERY_S):
            with contextlib.suppress(OSError):
                lack = space.measure(self._layout.home).lacks(self._settings.disk_reserve_mib)
                if lack is not None:
                    self._stop_kafka(self._processes(), lack)
                self._kill_what_does_not_end()
                if time.monotonic() >= next_ask:
                    next_ask = time.monotonic() + ASK_EVERY_S
                    self._restart(self._processes(), full=lack is not None)

    def _stop_kafka(self, known: Processes, lack: str) -> None:
        """Once for each process, and only the broker itself: supervisord starts its launcher again, which waits for free space."""
        pid = int(known.get(kafka.NAME, {}).get("pid", 0))
        if pid and pid != self._stopped_kafka and is_java(pid):
            self._stopped_kafka = pid
            log.warning("stopping Kafka before the disk is full: %s", lack)
            remember(self._layout, kafka.NAME, f"stopped before the disk is full: {lack}")
            _signal(pid, signal.SIGTERM)

    def _restart(self, known: Processes, *, full: bool) -> None:
        with ThreadPoolExecutor(len(self._services)) as pool:
            looks = list(pool.map(lambda name: self._look(name, known.get(name, {})), self._services))
        for name, reason in self._policy.restarts(time.monotonic(), looks, full=full).items():
            pid = next(one.pid for one in looks if one.name == name)
            log.warning("restarting %s: %s", name, reason)
            remember(self._layout, name, f"restarted: {reason}")
            _signal(pid, signal.SIGTERM)
            patience_s = self._services[name].program.stop_wait_s
            self._ending[pid] = (name, time.monotonic() + patience_s)

    def _look(self, name: str, process: Mapping[str, Any]) -> Look:
        pid = int(process.get("pid", 0))
        if not pid:
            return Look(name, 0, 0, "does not run")
        return Look(name, pid, process["now"] - process["start"], self._services[name].problem(), _is_held(pid))

    def _kill_what_does_not_end(self) -> None:
        for pid, (name, deadline) in list(self._ending.items()):
            if not psutil.pid_exists(pid):
                del self._ending[pid]
            elif time.monotonic() > deadline:
                log.warning("killing %s, which does not end", name)
                _signal(pid, signal.SIGKILL)
                del self._ending[pid]


def is_java(pid: int) -> bool:
    """Whether a launcher has already become its program, if that is a JVM."""
    try:
        return psutil.Process(pid).name() == "java"
    except psutil.Error:
        return False


def is_launcher(pid: int) -> bool:
    """Whether it is still the shell that becomes the program once the disk has free space."""
    try:
        return psutil.Process(pid).name() in ("sh", "dash", "bash", "busybox")
    except psutil.Error:
        return False


def _is_held(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP))
    except psutil.Error:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).send_signal(number)


def remember(layout: Layout, name: str, what: str) -> None:
    """Record what was done, for `fraudlab status`. On a full disk it is only in the log."""
    events = [*recent(layout, float("inf")), (name, what, time.time())]
    with contextlib.suppress(OSError):
        fresh = layout.restarts.with_suffix(".new")
        fresh.write_text(json.dumps(events[-KEPT:]), encoding="utf-8")
        fresh.replace(layout.restarts)


def recent(layout: Layout, for_s: float = TOLD_FOR_S) -> list[tuple[str, str, float]]:
    """What the watcher did recently: the service, what and why, and when (seconds since the epoch)."""
    try:
        events = json.loads(layout.restarts.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [(name, what, at) for name, what, at in events if time.time() - at <= for_s]
