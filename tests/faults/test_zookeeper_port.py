"""Another program has ZooKeeper's port for a while: jobs that then complete no checkpoint are seen, and complete them again."""

import contextlib
import signal
import socketserver
import struct
import threading
from collections.abc import Iterator

import pytest

from fraudlab.settings import LOOPBACK
from fraudlab.stack import flink_jobs, watch
from fraudlab.stack.flink_jobs import OVERDUE_INTERVALS
from fraudlab.system import status
from tests.support import flink
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually
from tests.support.zookeeper import answer, frame

BACK_S = 300
"""A minute of patience with the JobManager and one with the TaskManager, their starts, and the start of the jobs."""
HEADER = struct.Struct(">iqi")
"""Of an answer: the request's number, the last transaction, and the error, 0 for none."""


class _Impostor(socketserver.BaseRequestHandler):
    """Opens a session for each client, and makes nonsense of its log-in."""

    server: "_Impostors"

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            if not answer(self.request):
                return
            self.request.sendall(frame(struct.pack(">iiq", 0, 30_000, 1) + frame(bytes(16)) + b"\0"))
            asked = answer(self.request)
            if asked:
                (number,) = struct.unpack(">i", asked[:4])
                self.request.sendall(frame(HEADER.pack(number, 1, 0) + frame(b"nonsense")))
                self.server.deceived.release()


class _Impostors(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, port: int) -> None:
        self.deceived = threading.Semaphore(0)
        super().__init__((LOOPBACK, port), _Impostor)


@contextlib.contextmanager
def impostor(port: int) -> Iterator[_Impostors]:
    """Takes ZooKeeper's port, as soon as it is free."""

    def taken() -> _Impostors | None:
        with contextlib.suppress(OSError):
            return _Impostors(port)
        return None

    with eventually(taken, "the port is taken", 5, 0.001) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.timeout(900)
def test_sec_05_jobs_complete_checkpoints_again_after_a_stranger_had_zookeepers_port(lab: Lab) -> None:
    """After one log-in that fails, ZooKeeper's client never tries again: JobManager and TaskManager run on without it."""
    lab.fraud_is_caught()
    eventually(lambda: not status(lab.settings).unhealthy, "all is well before")
    lab.stack.kill(watch.NAME, signal.SIGSTOP)  # what is seen without a restart comes first
    try:
        lab.stack.kill("zookeeper")
        with impostor(lab.settings.zookeeper_port) as server:
            for _ in ("JobManager", "TaskManager"):
                eventually(lambda: server.deceived.acquire(blocking=False), "both log in at the wrong ZooKeeper")
        eventually(lambda: lab.stack.services["zookeeper"].problem() is None, "ZooKeeper has its port again")
        overdue_s = OVERDUE_INTERVALS * lab.settings.checkpoint_interval_s + 60

        def troubles() -> list[str]:
            known = flink_jobs.status(lab.settings, [job.name for job in flink.jobs_of(lab.settings)])
            return [one.problem for one in known if one.problem and "has completed no checkpoint" in one.problem]

        eventually(lambda: len(troubles()) == 3, "it is said of each job", overdue_s, 1)
        eventually(lambda: "jobmanager" in status(lab.settings).unhealthy, "and of the JobManager")
    finally:
        lab.stack.kill(watch.NAME, signal.SIGCONT)
    eventually(lambda: not status(lab.settings).unhealthy, "all is well again", BACK_S, 1)
    flink.await_checkpoint(lab.settings)
    lab.fraud_is_caught()
    assert_exact(lab.settings)
