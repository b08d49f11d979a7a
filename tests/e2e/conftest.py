"""A real browser: Debian's Chromium, driven by playwright."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from fraudlab.course.workspace import Workspace
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.ports import is_free
from fraudlab.stack.provision.system import chromium
from fraudlab.stack.second_stack import free_ports
from tests.support.home import outside_pytest, read_until
from tests.support.lab import drop
from tests.support.waiting import eventually, patient

FIRST_LAB = "00"
PATIENCE_MS = patient(30_000)
"""How long a page may take, on a machine that does a lot else."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window, closed before other tests: as long as playwright runs, its thread can run no other event loop."""
    # Its sandbox needs user namespaces, which root, and so most containers, cannot have.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page, everything that it asked for, and what its console complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str | None]:
        """The machines that it asked."""
        return {urlsplit(url).hostname for url in self.requests if not url.startswith(("data:", "blob:"))}


def visit(context: BrowserContext) -> Visit:
    """A new page of a context, watched from its first request on."""
    seen = Visit(context.new_page())
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("websocket", lambda socket: seen.requests.append(socket.url))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    return seen


@pytest.fixture
def watched(browser: Browser) -> Iterator[Visit]:
    """An empty page."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    yield visit(context)
    context.close()


@pytest.fixture(scope="module")
def jupyterlab(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where JupyterLab serves a learner of its own, by `fraudlab lab`."""
    (port,) = free_ports(1)
    own = settings.model_copy(
        update={"learner": "browser", "work": tmp_path_factory.mktemp("work"), "jupyter_port": port}
    )
    command = [str(Path(sys.executable).with_name("fraudlab")), "lab", FIRST_LAB, "--no-browser"]
    with subprocess.Popen(
        command,
        env=outside_pytest() | own.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            line = read_until(process, "token=")
            eventually(lambda: not is_free(LOOPBACK, port), "JupyterLab serves")
            yield line.split()[1]
        finally:
            process.terminate()
            Workspace(own).cancel()
            drop(own)


@pytest.fixture
def dashboard(watched: Visit, settings: Settings) -> Page:
    """The dashboard of the running system, when it has read what there is."""
    watched.page.goto(settings.dashboard_url)
    watched.page.locator(".waiting").wait_for(state="hidden")
    return watched.page
