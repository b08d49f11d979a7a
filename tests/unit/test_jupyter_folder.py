"""JupyterLab is in a folder with a secret name. To whoever asks for anything outside of it, it does not tell the name."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from fraudlab.course import commands
from fraudlab.course.commands import JUPYTER_CONFIG
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.second_stack import free_ports
from tests.support.waiting import eventually, patient

SECRET = "a-folder-that-nobody-knows"


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[httpx.Client]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    environment = os.environ | {
        "JUPYTER_CONFIG_PATH": str(JUPYTER_CONFIG),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_TOKEN": "token",
        "FRAUDLAB_JUPYTER_FOLDER": f"/{SECRET}/",
    }
    server = subprocess.Popen(command, cwd=tmp_path, env=environment)
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as client:

        def answers() -> bool:
            try:
                return client.get(f"/{SECRET}/api").status_code == 200
            except httpx.HTTPError:
                return False

        try:
            eventually(answers, "JupyterLab answers")
            yield client
        finally:
            server.terminate()
            server.wait()


def test_sec_01_jupyterlab_tells_nobody_the_name_of_its_folder(jupyter: httpx.Client) -> None:
    for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
        for path in (
            "/",
            "/lab",
            "/login",
            "/api",
            "/x?next=/",
            "/favicon.ico",
            "//",
            f"/{SECRET[:-1]}/",
            "/static/style/style.min.css",
        ):
            answer = jupyter.request(method, path)
            assert answer.status_code == 404, (method, path)
            assert SECRET not in f"{answer.headers}{answer.text}", (method, path)
    assert jupyter.get(f"/{SECRET}/api/contents").status_code == 403
    assert jupyter.get(f"/{SECRET}/api/contents?token=token").status_code == 200


@pytest.fixture
def kernels(tmp_path: Path) -> Iterator[httpx.Client]:
    """A server with the options of our JupyterLabs. Its runtime folder has a short path, as kernels' sockets need it."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.port={port}"]
    command += commands.server_options(Settings())
    with tempfile.TemporaryDirectory() as runtime:
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(tmp_path),
            "JUPYTER_RUNTIME_DIR": runtime,
            "JUPYTER_TOKEN": "key",
        }
        server = subprocess.Popen(command, cwd=tmp_path, env=environment)
        try:
            with httpx.Client(
                base_url=f"http://{LOOPBACK}:{port}/api", headers={"Authorization": "token key"}, trust_env=False
            ) as client:
                eventually(lambda: answer_of(client, "/status") == 200, "the server answers")
                yield client
        finally:
            server.terminate()
            server.wait()


def answer_of(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.HTTPError:
        return 0


async def asked(address: str, kinds: Sequence[tuple[str, str]]) -> list[str]:
    """The kinds of a kernel's replies to requests, of which the last one must get one."""
    request = HTTPRequest(address, headers={"Authorization": "token key"})
    connection = await websocket_connect(request)
    for number, (channel, kind) in enumerate(kinds):
        header = {
            "msg_id": f"request {number}",
            "session": "test",
            "username": "",
            "msg_type": f"{kind}_request",
            "version": "5.3",
        }
        arguments = {"seq": 1, "type": "request", "command": "initialize", "arguments": {}}
        message = {"channel": channel, "header": header, "parent_header": {}, "metadata": {}, "content": arguments}
        await connection.write_message(json.dumps(message))
    replies: list[str] = []
    while True:
        said = await asyncio.wait_for(connection.read_message(), patient(60))
        assert said is not None
        message = json.loads(said)
        kind = message["header"]["msg_type"]
        if kind.endswith("_reply"):
            replies.append(kind.removesuffix("_reply"))
            if message["parent_header"]["msg_id"] == f"request {len(kinds) - 1}":
                break
    connection.close()
    return replies


def test_sec_01_no_kernel_starts_a_debugger_which_would_obey_other_users(kernels: httpx.Client) -> None:
    """JupyterLab's debugger listens on a TCP port and asks nobody for a key: another user ran programs as the owner."""
    id = kernels.post("/kernels", json={"name": "python3"}).raise_for_status().json()["id"]
    address = f"{str(kernels.base_url).replace('http', 'ws')}kernels/{id}/channels"
    requests = [("shell", "kernel_info"), ("control", "debug"), ("control", "kernel_info")]
    replies = asyncio.run(asked(address, requests))
    assert set(replies) == {"kernel_info"}
    debuggers = [one for one in psutil.process_iter() if "debugpy" in " ".join(name_of(one)) and own(one)]
    assert not debuggers
    off = json.loads((commands.LAB_CONFIG / "labconfig" / "page_config.json").read_text(encoding="utf-8"))
    assert off["disabledExtensions"]["@jupyterlab/debugger-extension"], "nobody sees a button that does nothing"


def own(process: psutil.Process) -> bool:
    """Whether a process descends from this one."""
    with suppress(psutil.Error):
        return os.getpid() in [one.pid for one in process.parents()]
    return False


def name_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []
