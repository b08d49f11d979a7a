"""Down and up again after the worst: supervisord itself was killed, and a stranger has taken a port meanwhile."""

import os
import signal
import socket

import pytest

from fraudlab.settings import LOOPBACK
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import marked_processes
from tests.support.home import fraudlab
from tests.support.lab import Lab, assert_exact


def test_after_a_killed_supervisor_down_leaves_no_process_and_up_refuses_a_strangers_port(lab: Lab) -> None:
    lab.fraud_is_caught()
    layout = Layout(lab.settings.home)
    os.kill(int((layout.supervisor / "supervisord.pid").read_text(encoding="utf-8")), signal.SIGKILL)
    assert len(marked_processes(layout.home)) > 5, "what it had started goes on"

    fraudlab(print, "down")
    assert marked_processes(layout.home) == []

    said: list[str] = []
    with (
        socket.create_server((LOOPBACK, lab.settings.kafka_port)),
        pytest.raises(AssertionError, match="ended with 1"),
    ):
        fraudlab(said.append, "up")
    refusal = " ".join(said)
    assert f"port {lab.settings.kafka_port} (kafka): held by process {os.getpid()}" in refusal
    assert "export FRAUDLAB_KAFKA_PORT=<port>" in refusal
    assert marked_processes(layout.home) == [], "nothing was started"

    fraudlab(print, "up")
    lab.fraud_is_caught()
    assert_exact(lab.settings)
