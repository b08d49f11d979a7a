"""A real browser: Debian's Chromium, driven by playwright."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from fraudlab.settings import Settings
from fraudlab.stack.provision.system import chromium
from tests.support.waiting import patient

PATIENCE_MS = patient(30_000)
"""How long a page may take, on a machine that does a lot else."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
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


@pytest.fixture
def dashboard(watched: Visit, settings: Settings) -> Page:
    """The dashboard of the running system, when it has read what there is."""
    watched.page.goto(settings.dashboard_url)
    watched.page.locator(".waiting").wait_for(state="hidden")
    return watched.page
