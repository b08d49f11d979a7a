"""Notebooks' kernels: what they show while they wait, and when they end. Each holds 570 MB, of which a JVM is most."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from jupyter_client.manager import KernelManager

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.second_stack import free_ports
from tests.support.home import outside_pytest, read_until
from tests.support.lab import drop, learner_lab
from tests.support.waiting import eventually, patient


def shown(code: str, environment: dict[str, str]) -> list[str]:
    """What a notebook's kernel shows while it runs a cell, in order; `clear` where it clears what it has shown."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, **environment})
    client = manager.client()
    client.start_channels()
    said: list[str] = []

    def note(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "clear_output":
            said.append("clear")
        elif "text/plain" in content.get("data", {}):
            said.append(content["data"]["text/plain"])

    try:
        client.wait_for_ready(timeout=patient(60))
        reply = client.execute_interactive(code, timeout=patient(120), output_hook=note)
        assert reply["content"]["status"] == "ok", reply["content"]
        return said
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_catching_up_shows_what_is_done(settings: Settings, tmp_path: Path) -> None:
    """Up to a minute goes by: a learner must see that something happens, and that it comes nearer to its end."""
    with learner_lab(settings, "hurried") as lab:
        own = lab.settings.model_copy(update={"work": tmp_path})
        said = shown("from fraudlab.course import lab\nlab.catch_up('02')", own.environment())
    steps = [line for line in said if line != "clear"]
    assert [("Emptying" in steps[0]), ("Lab 00 of 01" in steps[1]), ("Lab 01 of 01" in steps[2])] == [True] * 3, steps
    assert "Ready for Lab 02" in steps[-1]
    assert said.count("clear") == len(steps), "each takes the place of the one before"


@pytest.mark.slow
def test_a_kernel_that_nobody_uses_ends(settings: Settings, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    own = settings.model_copy(
        update={"learner": "idle", "work": tmp_path / "work", "jupyter_port": port, "kernel_idle_s": 2}
    )
    command = [str(Path(sys.executable).with_name("fraudlab")), "lab", "00", "--no-browser"]
    with subprocess.Popen(
        command, env=outside_pytest() | own.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            address = urlsplit(read_until(process, "token=").split()[1])
            folder, token = address.path.split("/")[1], parse_qs(address.query)["token"][0]
            with httpx.Client(
                base_url=f"http://{LOOPBACK}:{port}/{folder}/api/",
                headers={"Authorization": f"token {token}"},
                trust_env=False,
                timeout=patient(30),
            ) as jupyter:
                eventually(lambda: answers(jupyter), "JupyterLab is ready")
                jupyter.post("kernels").raise_for_status()
                eventually(lambda: jupyter.get("kernels").json() == [], "the kernel has ended")
        finally:
            process.terminate()
            drop(own)


def answers(jupyter: httpx.Client) -> bool:
    try:
        return jupyter.get("kernels").is_success
    except httpx.TransportError:
        return False
