"""sec-06: an open mail fetches nothing, connects to nobody and looks up no name, whatever markup it has; in a real Chromium."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.provision.system import chromium
from tests.e2e.conftest import PATIENCE_MS
from tests.e2e.test_inbox import came, mail
from tests.support.fetching import MARKUP, markup
from tests.support.inbox import running_inbox
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
A_MAIL = 12
"""Pieces of markup in one mail."""
OUTSIDE = "outside.test"
PRECONNECT = """url => {
  const link = document.createElement('link');
  Object.assign(link, {rel: 'preconnect', href: url});
  document.head.append(link);
}"""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with running_inbox(tmp_path_factory.mktemp("inbox")) as (settings, _):
        yield settings


@contextmanager
def persons_browser(log: Path) -> Iterator[Page]:
    """A page of a Chromium as a person has it, that writes down each name it looks up and each host it connects to.

    Chromium follows `preconnect` and `dns-prefetch` only with a profile and without an option that playwright gives it.
    """
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            log.parent / "profile",
            executable_path=chromium(),
            args=[*sandbox, f"--log-net-log={log}", "--net-log-capture-mode=Everything"],
            ignore_default_args=["--disable-background-networking"],
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
        context.close()


def reached(log: Path) -> set[str]:
    """The hosts outside of this test that Chromium had anything to do with."""
    return set(re.findall(r"[\w.-]*outside\.test", log.read_text(encoding="utf-8", errors="replace")))


def open_mail(page: Page, title: str) -> None:
    page.get_by_role("button", name=title).click()
    expect(page.get_by_role("region", name="The open mail").get_by_role("heading")).to_have_text(title)
    expect(page.frame_locator("iframe[title='The mail as HTML']").get_by_text("Dear customer")).to_be_attached()


def test_sec_06_no_markup_of_a_mail_fetches_connects_or_looks_up_a_name(inbox: Settings, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    with closing(socket.create_server((LOOPBACK, 0), backlog=100)) as spy:
        spy.setblocking(False)
        outside = f"http://{LOOPBACK}:{spy.getsockname()[1]}"
        with persons_browser(log) as page:
            page.goto(inbox.inbox_page)
            for first in range(0, len(MARKUP), A_MAIL):
                html = "".join(
                    markup(MARKUP[one], url)
                    for one in range(first, min(first + A_MAIL, len(MARKUP)))
                    for url in (f"{outside}/{one}", f"https://v{one}.{OUTSIDE}/x")
                )
                mail(inbox, f"From {first}.", f"<p>Dear customer</p>{html}")
                open_mail(page, f"From {first}.")
            page.wait_for_load_state("networkidle")
            heard = came(spy)
            # Both would notice it:
            page.evaluate(PRECONNECT, outside)
            eventually(lambda: came(spy), "a connection is noticed")
            page.evaluate(PRECONNECT, f"https://control.{OUTSIDE}")
            with page.expect_event("requestfailed"):
                page.evaluate("url => { new Image().src = url }", f"https://later.{OUTSIDE}")
        assert reached(log) == {f"control.{OUTSIDE}", f"later.{OUTSIDE}"}
        assert not heard


def test_sec_06_a_link_is_text(inbox: Settings, tmp_path: Path) -> None:
    """To point at a link, or to press a button of the mouse on it, makes a browser look up and connect to where it leads."""
    log = tmp_path / "net.json"
    with persons_browser(log) as page:
        page.goto(inbox.inbox_page)
        mail(
            inbox,
            "A link.",
            f"<p>Dear customer</p><a href='https://link.{OUTSIDE}/' ping='https://ping.{OUTSIDE}/'>Click here</a>",
        )
        open_mail(page, "A link.")
        link = page.frame_locator("iframe[title='The mail as HTML']").get_by_text("Click here")
        link.hover()
        link.click(button="middle")
        link.click()
        page.wait_for_load_state("networkidle")
        expect(link).to_be_visible()
    assert reached(log) == set()
