"""TCP ports: who holds one, and does it answer."""

import http.client
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from fraudlab.settings import ANYWHERE, LOOPBACK


@dataclass(frozen=True)
class Holder:
    """The process that holds a port; `pid` is None where the system does not tell (another user's process).

    `closing`: no process holds it, but a connection that was closed within the last minute (TIME_WAIT).
    """

    pid: int | None
    name: str = ""
    command: str = ""
    closing: bool = False

    def __str__(self) -> str:
        if self.closing:
            return "a connection that has just been closed"
        if self.pid is None:
            return "a process of another user (its number is not visible from here)"
        return f"process {self.pid}, {self.name} ({self.command})"

    def advice(self, setting: str) -> str:
        """What to do about it; `setting` is the variable that moves the port."""
        first = "Try again in a minute" if self.closing else "End that process"
        return f"{first}, or choose another port: `export {setting}=<port>`."


def answers(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """Whether something accepts connections."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> Holder:
    """Who holds a port that is not free: a listener, or else an outgoing connection that was given this port."""
    try:
        there = [one for one in psutil.net_connections(kind="tcp") if one.laddr and one.laddr.port == port]
    except psutil.AccessDenied:  # macOS: only one's own processes may be asked, one by one
        pids = [process.pid for process in psutil.process_iter() if _process_listens(process, port)]
        return next((_describe(pid) for pid in pids), Holder(None))
    # The server's end of a connection has the server's port, too, and may belong to a child: the listener comes first.
    there.sort(key=lambda one: one.status != psutil.CONN_LISTEN)
    closing = bool(there) and all(one.status == psutil.CONN_TIME_WAIT for one in there)
    return next((_describe(one.pid) for one in there if one.pid), Holder(None, closing=closing))


def is_own(port: int) -> bool:
    """Whether all that listens on a port belongs to the user who asks: another local user may take a port that is free."""
    tables = [table for name in ("tcp", "tcp6") if (table := Path("/proc/net", name)).exists()]
    if tables:
        return {uid for table in tables for uid in _listeners(table, port)} == {os.getuid()}
    pid = holder(port).pid
    try:
        return pid is not None and psutil.Process(pid).uids().real == os.getuid()
    except psutil.Error:
        return False


def _listeners(table: Path, port: int) -> Iterator[int]:
    """The user ids of the listeners in a table of Linux's sockets (proc_pid_net(5)): others' processes tell nothing else of themselves."""
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, _, _, _, uid, *_ = line.split()
        if state == "0A" and int(local.rpartition(":")[2], 16) == port:
            yield int(uid)


def of_process(pid: int) -> set[int]:
    """The ports that one of our own processes listens on; none where it has ended."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}


def is_connected(pid: int, port: int) -> bool:
    """Whether one of our own processes has a connection to a server's port."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port for one in connections)


def page_problem(host: str, port: int) -> str | None:
    """None where a page answers, whatever it says."""
    connection = http.client.HTTPConnection(LOOPBACK if host == ANYWHERE else host, port, timeout=3)
    try:
        connection.request("GET", "/favicon.ico")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        return f"its page on port {port} does not answer yet ({error})"
    finally:
        connection.close()
    return None


def _listens(connection: Any, port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and bool(connection.laddr) and connection.laddr.port == port


def _process_listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(_listens(connection, port) for connection in process.net_connections(kind="tcp"))
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False


def _describe(pid: int) -> Holder:
    try:
        process = psutil.Process(pid)
        program, *arguments = process.cmdline() or [process.name()]
        command = " ".join(" ".join([Path(program).name, *arguments]).split())
        return Holder(pid, process.name(), command if len(command) <= 100 else command[:97] + "...")
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return Holder(pid)
