"""Another user of this machine listens on a port of 127.0.0.1, and the owner's browser comes there. It brings no key to our pages.

Browsers send a cookie to every port of its host. Nor does a host name of its own help: on another port of it a page loads itself anew, and
the browser takes that for a request of the same site. What has a cookie has it below a path that nobody can guess.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Browser, BrowserContext, Page, expect

from fraudlab import pages
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import open_notebooks
from tests.e2e.conftest import PATIENCE_MS, visit
from tests.support.nobody import as_nobody, needs_root
from tests.support.waiting import patient

pytestmark = pytest.mark.slow

KEYLESS = {"session"}
"""The dashboard's cookie: on loopback it holds the theme, and the page has no log-in."""
PATHS = ("/", "/lab", "/lab/tree/00-start-here.ipynb", "/api/kernels", "/jobs/overview")
VISITS = """async ([other, paths]) => {
  for (const path of paths) {
    await fetch(other + path, {credentials: "include", mode: "no-cors"}).catch(() => null);
    const frame = document.createElement("iframe");
    const loaded = new Promise((done) => { frame.onload = frame.onerror = done; });
    frame.src = other + path;
    document.body.append(frame);
    await Promise.race([loaded, new Promise((done) => setTimeout(done, 300))]);
  }
}"""
SEIZE = """async (jupyter) => {
  const answers = [];
  for (const [method, path] of [["GET", "/api/contents"], ["POST", "/api/kernels"], ["POST", "/api/terminals"]]) {
    answers.push(await fetch(jupyter + path, {method, credentials: "include"}).then((one) => one.status, () => "blocked"));
  }
  answers.push(await new Promise((done) => {
    const socket = new WebSocket(jupyter.replace("http", "ws") + "/api/kernels/x/channels");
    socket.onopen = () => done("open");
    socket.onerror = () => done("blocked");
  }));
  return answers;
}"""


WORD = "said-by-a-notebook"


class Thief(ThreadingHTTPServer):
    """A web server on a port of its own, which notes the cookies that it is sent."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Site)
        self.cookies: list[tuple[str, str]] = []
        self.asked = 0


class Site(BaseHTTPRequestHandler):
    server: Thief

    def do_GET(self) -> None:
        self.server.asked += 1
        self.server.cookies += [(self.path, cookie) for cookie in self.headers.get_all("Cookie") or []]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title><body>")

    def log_message(self, format: str, *values: object) -> None:
        """Nothing is said."""


@pytest.fixture
def thief() -> Iterator[Thief]:
    server = Thief()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def owner(browser: Browser, settings: Settings, jupyterlab: str) -> Iterator[BrowserContext]:
    """A browser in which all our pages are open, JupyterLab with a notebook that runs."""
    with closing(browser.new_context()) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = visit(context).page
        page.goto(pages.address(settings, "flink"))
        page.wait_for_url("**/#/overview")
        visit(context).page.goto(settings.dashboard_url)
        visit(context).page.goto(settings.inbox_page)
        lab = visit(context).page
        lab.goto(jupyterlab)
        expect(lab.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=patient(90_000))
        yield context


def names(thief: Thief) -> set[str]:
    return {one.partition("=")[0].strip() for _, cookies in thief.cookies for one in cookies.split(";")}


def test_no_key_to_our_pages_is_sent_to_another_port(owner: BrowserContext, thief: Thief) -> None:
    other = f"http://{LOOPBACK}:{thief.server_port}"
    for page in list(owner.pages):
        page.evaluate(VISITS, [other, PATHS])
    page = visit(owner).page
    for path in PATHS:
        page.goto(other + path)
        page.reload()
    page.evaluate(VISITS, [other, PATHS])
    assert thief.asked > 2 * len(PATHS)
    assert names(thief) <= KEYLESS
    assert [cookie for cookie in owner.cookies() if cookie["name"].startswith("username-")], "JupyterLab has a cookie"


def test_a_page_on_another_port_cannot_use_jupyterlab(owner: BrowserContext, thief: Thief, jupyterlab: str) -> None:
    """Not even where it knows the path, as by a look over the shoulder."""
    page = visit(owner).page
    page.goto(f"http://{LOOPBACK}:{thief.server_port}/")
    known = jupyterlab.partition("/lab/")[0]
    for address in (f"http://{LOOPBACK}:{urlsplit(jupyterlab).port}", known):
        answers = page.evaluate(SEIZE, address)
        assert not {200, 201, "open"} & set(answers), answers


def test_flinks_page_is_known_at_its_address_and_without_a_cookie(owner: BrowserContext, settings: Settings) -> None:
    page: Page = visit(owner).page
    page.goto(settings.flink_page)
    page.wait_for_url("**/#/overview")
    expect(page.get_by_text("Available Task Slots").first).to_be_visible()
    assert not [cookie for cookie in owner.cookies() if "flink" in cookie["name"]]


def overheard(addresses: list[str]) -> bool:
    """Whether a kernel tells what it prints to those who subscribe at one of the addresses."""
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.subscribe(b"")
        listener.linger = 0
        for address in addresses:
            listener.connect(address)
        until = time.monotonic() + 4
        while (left := until - time.monotonic()) > 0:
            if listener.poll(int(left * 1000)) and any(WORD.encode() in piece for piece in listener.recv_multipart()):
                return True
    return False


@needs_root
def test_another_user_hears_nothing_of_what_a_notebook_runs_and_prints(
    owner: BrowserContext, settings: Settings
) -> None:
    """Over TCP a kernel sends its output to everybody who connects, and `lab.flink_page()` prints the token of Flink's page."""
    assert owner.pages
    notebooks = open_notebooks(Layout(settings.home).home)
    (kernel,) = [one for one in notebooks if "ipykernel_launcher" in one.cmdline()]
    (connection,) = [Path(argument) for argument in kernel.cmdline() if argument.endswith(".json")]
    addresses = [f"tcp://{LOOPBACK}:{port}" for port in ports.of_process(kernel.pid)]
    addresses += [f"ipc://{socket}" for socket in connection.parent.glob("kernel-*") if socket.is_socket()]
    assert addresses
    client = BlockingKernelClient()
    client.load_connection_file(str(connection))
    client.start_channels()
    try:
        client.execute(f"import time\nfor _ in range(60):\n    print({WORD!r}, flush=True)\n    time.sleep(0.2)")
        assert overheard(addresses), "the owner hears it"
        assert as_nobody(lambda: overheard(addresses)) is False
    finally:
        client.stop_channels()
