"""JupyterLab is in a folder with a secret name. To whoever asks for anything outside of it, it does not tell the name."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fraudlab.course.commands import JUPYTER_CONFIG
from fraudlab.settings import LOOPBACK
from fraudlab.stack.second_stack import free_ports
from tests.support.waiting import eventually

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
