"""The senders against real servers on this machine: SMTP with TLS and log-in, and a push service behind Apprise."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import orjson
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from fraudlab.services.notifier.delivery import NotNowError, RefusedError
from fraudlab.services.notifier.message import Message, Recipient
from fraudlab.services.notifier.senders import AppriseSender, MailSender
from fraudlab.stack.second_stack import free_ports

TIMEOUT_S = 10.0


def message(message_id: str = "c0ffee", email: str = "ada@example.com", name: str = "Ada Lovelace") -> Message:
    recipient = Recipient(42, name, email, "")
    return Message(message_id, datetime(2026, 7, 1, tzinfo=UTC), recipient, "Stopped", "plain\n", "<p>rich</p>")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file with a certificate for a name, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("certificates")

    def made(name: str) -> Path:
        file = folder / f"{name}.pem"
        if not file.exists():
            subprocess.run(
                [
                    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                    *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
                    *("-keyout", str(file), "-out", str(folder / "certificate")),
                ],
                check=True,
                capture_output=True,
            )
            file.write_bytes(file.read_bytes() + (folder / "certificate").read_bytes())
        return file

    return made


class MailHost:
    """A mail server, and what it was given; it lets in `me` with the password `self.password`."""

    def __init__(self, **options: Any) -> None:
        self.taken: list[tuple[str, bool, bool]] = []
        """Of each mail: its content, whether it came encrypted, and whether its sender was logged in."""
        self.recipients: list[str] = []
        self.log_ins: list[bytes] = []
        self.password = b"secret"
        (self.port,) = free_ports(1)
        self.controller = Controller(
            self, hostname="127.0.0.1", port=self.port, authenticator=self._authenticate, **options
        )

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd calls this for each mail."""
        assert isinstance(envelope.content, bytes)
        assert server.transport is not None
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        self.recipients += envelope.rcpt_tos
        self.taken.append((envelope.content.decode(), encrypted, bool(session.authenticated)))
        return "250 OK"

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.log_ins.append(given.password)
        return AuthResult(success=(given.login, given.password) == (b"me", self.password), handled=False)


@pytest.fixture
def host() -> Iterator[Callable[..., MailHost]]:
    """Starts a mail server with these options of aiosmtpd."""
    with ExitStack() as stack:

        def started(**options: Any) -> MailHost:
            host = MailHost(**options)
            host.controller.start()
            stack.callback(host.controller.stop)
            return host

        yield started


def options_of(mode: str, certificate: Path) -> dict[str, Any]:
    """aiosmtpd's options for a server that offers STARTTLS or speaks TLS from the start, which it does not see itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return {"tls_context": context} if mode == "starttls" else {"ssl_context": context, "auth_require_tls": False}


def test_mail_03_a_plus_in_a_url_is_one(host: Callable[..., MailHost]) -> None:
    """mail-03: `+` was read as a space, and each mail was a dead letter."""
    server = host()
    url = f"mailto://localhost:{server.port}?from=bank+lab@x.example&to=me+{{user_id}}@x.example"
    with closing(MailSender(url, TIMEOUT_S)) as sender:
        sender.send(message())
    assert server.recipients == ["me+42@x.example"]
    assert "From: <bank+lab@x.example>" in server.taken[0][0]


def test_mail_04_an_international_domain_reaches_a_server_without_smtputf8(host: Callable[..., MailHost]) -> None:
    """mail-04: the domain goes as every server takes it; only a local part with other letters needs SMTPUTF8."""
    server = host(enable_SMTPUTF8=False)
    with closing(MailSender(f"mailto://localhost:{server.port}", TIMEOUT_S)) as sender:
        sender.send(message(email="info@bücher.example"))
        assert server.recipients == ["info@xn--bcher-kva.example"]
        with pytest.raises(RefusedError, match="SMTPUTF8"):
            sender.send(message(email="jörg@bücher.example"))
        sender.send(message("next"))
    assert server.recipients == ["info@xn--bcher-kva.example", "ada@example.com"]


def test_an_international_local_part_reaches_a_server_with_smtputf8(host: Callable[..., MailHost]) -> None:
    server = host(enable_SMTPUTF8=True)
    with closing(MailSender(f"mailto://localhost:{server.port}", TIMEOUT_S)) as sender:
        sender.send(message(email="jörg@bücher.example", name="Jörg"))
    assert server.recipients == ["jörg@xn--bcher-kva.example"]
    assert "To: =?utf-8?b?SsO2cmc=?= <jörg@xn--bcher-kva.example>" in server.taken[0][0]


@pytest.mark.parametrize("mode", ["starttls", "ssl"])
def test_mail_goes_encrypted_and_logged_in_over_one_connection(
    mode: str, host: Callable[..., MailHost], certificate: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = certificate("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine))
    server = host(**options_of(mode, mine))
    with closing(MailSender(f"mailtos://me:secret@localhost:{server.port}?mode={mode}", TIMEOUT_S)) as sender:
        for number in ("first", "second"):
            sender.send(message(number))
    assert [(encrypted, logged_in) for _, encrypted, logged_in in server.taken] == [(True, True)] * 2
    assert ["<first@" in server.taken[0][0], "<second@" in server.taken[1][0]] == [True, True]
    assert server.log_ins == [b"secret"]


@pytest.mark.parametrize("mode", ["starttls", "ssl"])
@pytest.mark.parametrize(("name", "trusted"), [("localhost", False), ("elsewhere.example", True)])
def test_a_certificate_that_is_not_trusted_or_not_for_this_name_gets_neither_password_nor_mail(
    mode: str,
    name: str,
    trusted: bool,
    host: Callable[..., MailHost],
    certificate: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(name if trusted else "somebody.example")))
    server = host(**options_of(mode, certificate(name)))
    with closing(MailSender(f"mailtos://me:secret@localhost:{server.port}?mode={mode}", TIMEOUT_S)) as sender:
        refused_for_now(sender, "certificate verify failed")
    assert (server.taken, server.log_ins) == ([], [])


def test_a_server_without_starttls_gets_no_mail_at_all(host: Callable[..., MailHost]) -> None:
    server = host()
    with closing(MailSender(f"mailtos://localhost:{server.port}", TIMEOUT_S)) as sender:
        refused_for_now(sender, "STARTTLS")
    assert server.taken == []


def test_a_server_that_has_no_log_in_gets_no_mail_at_all(host: Callable[..., MailHost]) -> None:
    server = host()  # it offers AUTH only over TLS
    with closing(MailSender(f"mailto://me:secret@localhost:{server.port}", TIMEOUT_S)) as sender:
        refused_for_now(sender, "AUTH")
    assert server.taken == []


def test_a_refused_log_in_is_the_operators_to_put_right_and_then_the_message_is_sent(
    host: Callable[..., MailHost],
) -> None:
    server = host(auth_require_tls=False)
    server.password = b"another"
    with closing(MailSender(f"mailto://me:secret@localhost:{server.port}", TIMEOUT_S)) as sender:
        refused_for_now(sender, "535")
        assert server.taken == []
        server.password = b"secret"
        sender.send(message())
    assert [logged_in for _, _, logged_in in server.taken] == [True]


def refused_for_now(sender: MailSender, why: str) -> None:
    """Two messages stay with us: the second does not go over what the first left behind."""
    for number in ("first", "second"):
        with pytest.raises(NotNowError, match=why) as failure:
            sender.send(message(number))
        assert failure.value.server_away


class Hook(BaseHTTPRequestHandler):
    """A service that takes notifications; it answers with `status`."""

    status = 200
    taken: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        """http.server calls this for each."""
        self.taken.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"path": self.path})
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    monkeypatch.setattr(Hook, "taken", [])
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_any_other_service_gets_the_message_through_apprise(hook: HTTPServer) -> None:
    AppriseSender(f"json://127.0.0.1:{hook.server_port}/bank/{{user_id}}").send(message())
    (taken,) = Hook.taken
    assert (taken["path"], taken["title"], taken["message"]) == ("/bank/42", "Stopped", "plain")


def test_markup_in_a_name_is_text_for_a_service_that_shows_html(hook: HTTPServer) -> None:
    """mail-02's kind: Apprise hands on a text as markup unless it is told that it is none."""
    one = replace(message(), text="<a href='https://evil.example'>pay here</a>")
    AppriseSender(f"json://127.0.0.1:{hook.server_port}/?format=html").send(one)
    (taken,) = Hook.taken
    assert "<a" not in taken["message"]
    assert "&lt;a" in taken["message"]


@pytest.mark.parametrize(
    ("status", "kind"), [(500, NotNowError), (503, NotNowError), (429, NotNowError), (404, RefusedError)]
)
def test_the_status_behind_apprise_decides_whether_it_is_tried_again(
    hook: HTTPServer, status: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hook, "status", status)
    with pytest.raises(kind, match=str(status)):
        AppriseSender(f"json://127.0.0.1:{hook.server_port}/").send(message())
    assert len(Hook.taken) == 1


def test_a_service_behind_apprise_that_is_down_is_tried_again() -> None:
    (port,) = free_ports(1)
    with pytest.raises(NotNowError, match="did not take the message") as failure:
        AppriseSender(f"json://127.0.0.1:{port}/").send(message())
    assert failure.value.server_away
