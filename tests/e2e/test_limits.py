"""What a stranger may send has limits in bytes (sec-04, sec-05): inbox, dashboard and the guard of Flink's page run without a stack."""

import smtplib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fraudlab.services.inbox.smtp import MAX_MAIL_BYTES, MAX_RECIPIENTS
from fraudlab.services.inbox.store import MIB
from fraudlab.services.request_limit import MAX_BODY_BYTES, MAX_MESSAGE_BYTES
from fraudlab.settings import LOOPBACK, Settings
from tests.e2e.conftest import visit
from tests.support.inbox import messages, running_dashboard, running_flink_page, running_inbox
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow

STORE_MIB = 16
ALLOWED_MIB = 40
"""How much more memory a process may take while something far too large is sent to it."""
LARGE_MIB = 300
UNFINISHED_MAILS = 400
REQUESTED_PAGES = 300
PIECE = b"x" * 65_536


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, int]]:
    with running_inbox(tmp_path_factory.mktemp("inbox"), inbox_store_mib=STORE_MIB) as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, int]]:
    with running_dashboard(tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, int]]:
    with running_flink_page(tmp_path_factory.mktemp("guard")) as running:
        yield running


def port_of(settings: Settings, service: str) -> int:
    return {
        "inbox": settings.inbox_http_port,
        "dashboard": settings.dashboard_port,
        "guard": settings.flink_page_port,
    }[service]


def peak_mib(process_id: int) -> int:
    """The most memory that the process has had so far."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def letter(number: int, size: int = MAX_MAIL_BYTES - 1000) -> bytes:
    lines = b"<p>" + b"large " * 160 + b"\r\n"
    head = f"Subject: Mail {number}\r\nMessage-ID: <{number}@lab>\r\nContent-Type: text/html\r\n\r\n".encode()
    return head + lines * (size // len(lines))


def on_disk(settings: Settings) -> int:
    return sum(path.stat().st_size for path in (settings.home / "inbox").glob("messages.sqlite*"))


def test_sec_04_of_300_recipients_100_are_taken_and_the_content_is_kept_once(inbox: tuple[Settings, int]) -> None:
    settings, _ = inbox
    before = on_disk(settings)
    everybody = [f"user-{number}@lab.example" for number in range(300)]
    with smtplib.SMTP(LOOPBACK, settings.inbox_smtp_port, timeout=patient(30)) as client:
        refused = client.sendmail("bank@lab.example", everybody, letter(0))
    assert list(refused) == everybody[MAX_RECIPIENTS:]
    assert {(code, text[:5]) for code, text in refused.values()} == {(452, b"4.5.3")}
    assert on_disk(settings) - before < 6 * MIB, "the file and its write-ahead log"
    with smtplib.SMTP(LOOPBACK, settings.inbox_smtp_port, timeout=patient(30)) as client:
        assert client.sendmail("bank@lab.example", everybody[100:200], letter(0)) == {}
    assert len(messages(settings, everybody[150])) == 1


def test_sec_04_a_full_store_keeps_to_its_bytes_and_to_everybodys_newest_mail_and_the_page_stays_quick(
    inbox: tuple[Settings, int], browser: Browser
) -> None:
    settings, process_id = inbox
    before = peak_mib(process_id)
    flood = [f"flood-{number}@lab.example" for number in range(MAX_RECIPIENTS)]
    slowest = 0.0
    with smtplib.SMTP(LOOPBACK, settings.inbox_smtp_port, timeout=patient(30)) as client:
        client.sendmail("bank@lab.example", ["ada@lab.example"], letter(1, 2000))
        for number in range(2, 2 + 2 * STORE_MIB):
            client.sendmail("bank@lab.example", flood, letter(number))
            started = time.monotonic()
            httpx.get(f"{settings.inbox_url}/v1/health", trust_env=False, timeout=patient(30)).raise_for_status()
            slowest = max(slowest, time.monotonic() - started)
    assert on_disk(settings) < (STORE_MIB + 8) * MIB, "the file and its write-ahead log"
    assert [mail["title"] for mail in messages(settings, "ada@lab.example")] == ["Mail 1"], (
        "a flood for others leaves it"
    )
    assert slowest < patient(1)
    assert peak_mib(process_id) - before < 3 * ALLOWED_MIB
    with closing(browser.new_context()) as context:
        page = visit(context).page
        started = time.monotonic()
        page.goto(settings.inbox_page)
        expect(page.get_by_role("button", name=f"Mail {number}").first).to_be_visible()
        assert time.monotonic() - started < patient(5)


def test_sec_04_a_line_without_an_end_does_not_fill_the_memory(inbox: tuple[Settings, int]) -> None:
    settings, process_id = inbox
    before = peak_mib(process_id)
    with closing(socket.create_connection((LOOPBACK, settings.inbox_smtp_port), timeout=patient(30))) as client:
        client.sendall(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
        assert send(client, LARGE_MIB * MIB) < LARGE_MIB * MIB
    assert peak_mib(process_id) - before < ALLOWED_MIB


@pytest.mark.parametrize("line", [b"x" * 98 + b"\r\n", b"\r\n"], ids=["text", "lines without any"])
def test_sec_05_mails_that_never_end_do_not_fill_the_memory(inbox: tuple[Settings, int], line: bytes) -> None:
    """400 of nearly a megabyte each took 450 MB, and kept them; of two bytes a line, one takes 50."""
    settings, process_id = inbox
    before = peak_mib(process_id)
    content = line * ((MAX_MAIL_BYTES - 1000) // len(line))
    with ExitStack() as held:
        for _ in range(UNFINISHED_MAILS if len(line) > 2 else UNFINISHED_MAILS // 100):
            address = (LOOPBACK, settings.inbox_smtp_port)
            client = held.enter_context(socket.create_connection(address, timeout=patient(60)))
            with suppress(ConnectionError):
                client.sendall(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + content)
        with smtplib.SMTP(LOOPBACK, settings.inbox_smtp_port, timeout=patient(60)) as honest:
            assert honest.sendmail("bank@lab.example", ["unfinished@lab.example"], letter(0)) == {}
    assert peak_mib(process_id) - before < 3 * ALLOWED_MIB


def send(client: socket.socket, size: int, chunked: bool = False) -> int:
    """Sends so many bytes, or as many as the server takes; gives how many."""
    piece = b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    sent = 0
    try:
        while sent < size:
            client.sendall(piece)
            sent += len(PIECE)
    except OSError:
        pass
    return sent


def status(client: socket.socket) -> int:
    """The status of the answer; 0 where the connection was reset before it could be read."""
    try:
        answer = client.recv(4096)
    except OSError:
        return 0
    return int(answer.split()[1]) if answer else 0


PATHS = ("/user-1", "/", "/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/nothing-of-this-name")


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("service", ["inbox", "dashboard"])
def test_sec_05_a_body_of_300_mb_is_read_no_further_than_the_limit(
    request: pytest.FixtureRequest, service: str, path: str, chunked: bool
) -> None:
    settings, process_id = request.getfixturevalue(service)
    port = port_of(settings, service)
    before = peak_mib(process_id)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {LARGE_MIB * MIB}"
    with closing(socket.create_connection((LOOPBACK, port), timeout=patient(30))) as client:
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\n{length}\r\n\r\n".encode())
        if not chunked:
            assert status(client) == 413, "answered before anything of the body has come"
        sent = send(client, LARGE_MIB * MIB, chunked)
        assert sent < 32 * MIB, "what the sockets' buffers take; then the connection ends"
    assert peak_mib(process_id) - before < ALLOWED_MIB


@pytest.mark.parametrize("service", ["inbox", "dashboard", "guard"])
def test_sec_05_headers_without_an_end_are_refused(request: pytest.FixtureRequest, service: str) -> None:
    settings, process_id = request.getfixturevalue(service)
    port = port_of(settings, service)
    before = peak_mib(process_id)
    with closing(socket.create_connection((LOOPBACK, port), timeout=patient(30))) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nX-Large: ".encode())
        assert send(client, LARGE_MIB * MIB) < 32 * MIB
    assert peak_mib(process_id) - before < ALLOWED_MIB


def test_sec_05_the_guard_reads_no_body(guard: tuple[Settings, int]) -> None:
    settings, process_id = guard
    before = peak_mib(process_id)
    with closing(socket.create_connection((LOOPBACK, settings.flink_page_port), timeout=patient(30))) as client:
        length = f"Content-Length: {LARGE_MIB * MIB}"
        client.sendall(f"POST /jars/upload HTTP/1.1\r\nHost: {LOOPBACK}\r\n{length}\r\n\r\n".encode())
        assert status(client) == 401, "answered before anything of the body has come"
        send(client, LARGE_MIB * MIB)
    assert peak_mib(process_id) - before < ALLOWED_MIB


def exchange(client: ClientConnection, message: str) -> None:
    client.send(message)
    client.recv(timeout=patient(10))


@pytest.mark.parametrize("service", ["inbox", "dashboard"])
def test_sec_05_a_large_websocket_message_ends_the_connection(request: pytest.FixtureRequest, service: str) -> None:
    settings, process_id = request.getfixturevalue(service)
    port = port_of(settings, service)
    before = peak_mib(process_id)
    address = f"ws://{LOOPBACK}:{port}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with connect(address, proxy=None) as client:
        client.recv(timeout=patient(10))
        with pytest.raises(ConnectionClosed) as closed:
            exchange(client, "4" + "x" * (2 * MAX_MESSAGE_BYTES))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009, "message too big"
    assert peak_mib(process_id) - before < ALLOWED_MIB


def test_sec_05_what_is_as_large_as_allowed_is_taken(inbox: tuple[Settings, int]) -> None:
    settings, _ = inbox
    text = "x" * 4000
    answer = httpx.post(f"{settings.inbox_url}/user-9", content=text, trust_env=False)
    assert answer.json()["message"] == text
    answer = httpx.post(f"{settings.inbox_url}/user-9?message=x", content="x" * MAX_BODY_BYTES, trust_env=False)
    assert answer.status_code == 200


def opened(url: str) -> int:
    return httpx.get(url, trust_env=False, timeout=patient(30)).status_code


@pytest.mark.parametrize("service", ["inbox", "dashboard"])
def test_pages_that_no_browser_opens_do_not_fill_the_memory(
    request: pytest.FixtureRequest, service: str, browser: Browser
) -> None:
    """How many are refused depends on the machine's speed: tests/unit/test_open_pages.py has the rule."""
    settings, process_id = request.getfixturevalue(service)
    address = f"http://{LOOPBACK}:{port_of(settings, service)}"
    with closing(browser.new_context()) as context:
        page = visit(context).page
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        answers = [opened(f"{address}{path}") for path in ("/", "/nothing/here") * (REQUESTED_PAGES // 2)]
        assert answers.count(200) > 0
        assert set(answers) <= {200, 404, 503}
        assert peak_mib(process_id) < 700
        eventually(lambda: opened(address) == 200, "there is room again")
        page.get_by_role("heading", level=1).click()
        assert page.evaluate("window.socket.connected"), "the open page stays open"


def test_a_number_beyond_64_bits_is_a_bad_request(inbox: tuple[Settings, int]) -> None:
    settings, _ = inbox
    far = 2**63
    for path in (f"/api/messages?since={far}", f"/api/messages?after={far}", f"/api/messages/{far}/html"):
        assert httpx.get(f"{settings.inbox_url}{path}", trust_env=False).status_code == 422


def test_nobody_writes_to_the_log_through_a_page(dashboard: tuple[Settings, int], browser: Browser) -> None:
    settings, _ = dashboard
    with closing(browser.new_context()) as context:
        page = visit(context).page
        page.goto(settings.dashboard_url)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        send = "text => window.socket.emit('log', {client_id: window.clientId, level: 'error', message: text})"
        page.evaluate(send, "planted by a page")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert "planted by a page" not in (settings.home / "output.log").read_text(encoding="utf-8")
