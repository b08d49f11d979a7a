"""Hands a message to a server: e-mail over SMTP, push over ntfy's API, and whatever else Apprise knows. One URL each."""

import logging
import re
import smtplib
import ssl
import threading
import time
from email.charset import BASE64, QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime
from email.utils import quote as quote_phrase
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx

from fraudlab.same_origin import is_loopback
from fraudlab.services.notifier.delivery import NotNowError, RefusedError, of_http, of_smtp
from fraudlab.services.notifier.message import Message, Recipient
from fraudlab.services.notifier.untrusted_text import mailbox, one_line

IDLE_S = 5.0
"""A connection that was idle for longer is not trusted any more."""
SENDER = "The Lab Bank <bank@lab-bank.example>"
PLACEHOLDER = re.compile(r"\{(user_id|email|phone)\}")
WORDS = re.compile(r"[\w ]*", re.ASCII)
"""A name that needs no quotes before an address."""
UTF_8 = Charset("utf-8")
UTF_8.header_encoding, UTF_8.body_encoding = BASE64, QP
"""Said here, since Apprise changes the defaults of the whole process when it is imported."""
APPRISE_STATUS = re.compile(r"error=(\d{3})")


class Mail(NamedTuple):
    """An e-mail: the addresses of the envelope, and the content with its headers."""

    sender: str
    recipient: str
    content: bytes


class Sender(Protocol):
    """One connection to a server; for one thread."""

    def send(self, message: Message) -> None:
        """Returns when the server has taken the message. Raises RefusedError or NotNowError."""

    def close(self) -> None:
        """Ends the connection."""


def sender_for(url: str, timeout_s: float) -> Sender:
    """The sender of a URL: `mailto://` and `mailtos://` (TLS), `ntfy://` and `ntfys://`, or anything that Apprise takes.

    `{user_id}`, `{email}` and `{phone}` in it stand for the recipient's. `timeout_s` is how long a server may be silent.

    Raises:
        ValueError: It is no such URL.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in ("mailto", "mailtos"):
        return MailSender(url, timeout_s)
    if scheme in ("ntfy", "ntfys") and urlsplit(url).path.strip("/"):
        return NtfySender(url, timeout_s)
    return AppriseSender(url)


def filled(template: str, recipient: Recipient, *, encode: bool = True) -> str:
    """The placeholders filled in; `encode` for a URL. A phone number in one has digits and `+` only."""
    values = {
        "user_id": str(recipient.user_id),
        "email": recipient.email,
        "phone": re.sub(r"[^+\d]", "", recipient.phone_number),
    }
    return PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe="") if encode else values[found[1]], template)


class MailSender:
    """SMTP, in the form of URL that Apprise has: `mailtos://user:password@host:587?from=…&to={email}&mode=starttls`.

    Not through Apprise: it makes up a Message-ID of its own for each attempt and gives no reason when it fails. The connection
    is kept between messages. With TLS the server's certificate must be valid and for its name.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        # A `+` is one, as in every mailto: URL (RFC 6068), not the space of a web form.
        options = {name: values[-1] for name, values in parse_qs(parts.query.replace("+", "%2B")).items()}
        secure = parts.scheme.lower() == "mailtos"
        self._mode = options.get("mode", "starttls" if secure else "insecure")
        if self._mode not in ("insecure", "starttls", "ssl") or secure is (self._mode == "insecure"):
            raise ValueError("mailtos:// takes mode=starttls or mode=ssl, mailto:// neither")
        self._host = options.get("smtp") or parts.hostname or ""
        if not self._host:
            raise ValueError("no host in the URL")
        self._port = parts.port or {"insecure": 25, "starttls": 587, "ssl": 465}[self._mode]
        self._user, self._password = unquote(options.get("user") or parts.username or ""), unquote(parts.password or "")
        self._from, self._to = options.get("from") or SENDER, options.get("to") or "{email}"
        if mailbox(_split(self._from)[1]) is None:
            raise ValueError(f"no address after from= in the URL: {self._from!r}")
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context() if secure else None
        self._connection: smtplib.SMTP | None = None
        self._used_at = 0.0

    def send(self, message: Message) -> None:
        """See Sender."""
        mail = mail_of(message, self._from, filled(self._to, message.recipient, encode=False))
        options = () if mail.recipient.isascii() else ("SMTPUTF8", "BODY=8BITMIME")
        connection = self._connected()
        try:
            connection.sendmail(mail.sender, [mail.recipient], mail.content, options)
            self._used_at = time.monotonic()
        except smtplib.SMTPRecipientsRefused as error:
            self._reset()
            code, text = next(iter(error.recipients.values()))
            raise of_smtp(code, text, "the mail server refused the recipient") from error
        except smtplib.SMTPResponseException as error:
            self._reset()
            raise of_smtp(error.smtp_code, error.smtp_error, "the mail server refused the message") from error
        except smtplib.SMTPNotSupportedError as error:
            self._reset()
            raise RefusedError(f"the mail server cannot take it: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            # A relay may be silent about one recipient's domain only. Where it is gone, the next connection says so.
            reason = f"the mail server {self._host}:{self._port} did not answer about this message: {error}"
            raise NotNowError(reason, destination_away=True) from error
        except BaseException:
            self.close()  # nobody knows how far it came
            raise

    def close(self) -> None:
        """See Sender."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> smtplib.SMTP:
        if self._connection is not None and not self._is_alive(self._connection):
            self.close()
        if self._connection is None:
            try:
                self._connection = self._opened()
            except smtplib.SMTPResponseException as error:
                reason = str(of_smtp(error.smtp_code, error.smtp_error, "the mail server refused us"))
                raise NotNowError(reason, server_away=True) from error
            except (OSError, smtplib.SMTPException) as error:
                raise self._away(error) from error
        return self._connection

    def _opened(self) -> smtplib.SMTP:
        """A connection that is encrypted and logged in as the URL says. No message goes over one that is not."""
        # Without a name of its own smtplib asks the DNS for this machine's, each time.
        name = "localhost" if is_loopback(self._host) else None
        connection = (
            smtplib.SMTP_SSL(self._host, self._port, name, timeout=self._timeout_s, context=self._tls)
            if self._mode == "ssl"
            else smtplib.SMTP(self._host, self._port, name, timeout=self._timeout_s)
        )
        try:
            if self._mode == "starttls":
                connection.starttls(context=self._tls)
            connection.ehlo_or_helo_if_needed()
            if self._user:
                connection.login(self._user, self._password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _away(self, error: Exception) -> NotNowError:
        return NotNowError(f"no mail server at {self._host}:{self._port}: {error}", server_away=True)

    def _is_alive(self, connection: smtplib.SMTP) -> bool:
        if time.monotonic() - self._used_at < IDLE_S:
            return connection.sock is not None
        try:
            return connection.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def _reset(self) -> None:
        """After a refusal the connection is good for the next message, or it is given up."""
        try:
            if self._connection is not None:
                self._connection.rset()
                self._used_at = time.monotonic()
        except (OSError, smtplib.SMTPException):
            self.close()


def mail_of(message: Message, sender: str, to: str) -> Mail:
    """The e-mail as it goes over the wire: plain text and HTML.

    The headers are not left to `email.policy.SMTP`: it decodes what looks like an encoded word in a name, line ends included.

    Raises:
        RefusedError: The recipient's address is none.
    """
    address = mailbox(to)
    if address is None:
        raise RefusedError(f"the person has no usable e-mail address: {to!r:.100}")
    name, origin = _split(sender)
    origin = mailbox(origin) or origin
    mail = MIMEMultipart("alternative")
    mail["Subject"] = _encoded(one_line(message.subject))
    mail["From"] = _named(name, origin)
    mail["To"] = _named(one_line(message.recipient.name), address)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.message_id}@{origin.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    for text, kind in ((message.text, "plain"), (message.html, "html")):
        mail.attach(MIMEText(text, kind, UTF_8))  # type: ignore[arg-type] # the stub knows names of charsets only
    return Mail(origin, address, mail.as_bytes(policy=compat32.clone(linesep="\r\n")))


def _encoded(text: str) -> str:
    """A line for a header: as it is where a mail program leaves it so, and encoded otherwise (RFC 2047)."""
    return text if text.isascii() and "=?" not in text else Header(text, UTF_8).encode(linesep="")


def _named(name: str, address: str) -> str:
    """A name and an address for a header. A byte above 127 of an address goes as it is (RFC 6532), which is SMTPUTF8."""
    encoded = _encoded(name)
    phrase = encoded if encoded != name or WORDS.fullmatch(name) else f'"{quote_phrase(name)}"'
    return f"{phrase} <{address}>".lstrip().encode().decode("ascii", "surrogateescape")


def _split(sender: str) -> tuple[str, str]:
    name, _, address = sender.rpartition("<")
    return name.strip(), address.rstrip("> ")


class NtfySender:
    """ntfy's publish API as JSON: `ntfys://token@ntfy.sh/topic-{user_id}`, or `user:password@` instead of a token.

    Not through Apprise: it knows no `sequence_id`, with which ntfy 2.16 and later shows a message that comes twice once.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        scheme = "https" if parts.scheme.lower() == "ntfys" else "http"
        port = f":{parts.port}" if parts.port else ""
        self._server = f"{scheme}://{parts.hostname}{port}/"
        self._topic = unquote(parts.path.strip("/"))
        if not parts.hostname or not re.fullmatch(r"[-\w]{1,64}", PLACEHOLDER.sub("1", self._topic)):
            raise ValueError("ntfy:// is followed by a host and one topic of letters, digits, - and _")
        user, password = unquote(parts.username or ""), parts.password
        auth = httpx.BasicAuth(user, unquote(password)) if user and password else None
        headers = {"Authorization": f"Bearer {user}"} if user and not password else {}
        limits = httpx.Limits(keepalive_expiry=IDLE_S / 2)  # many servers hang up after 5 s
        self._client = httpx.Client(timeout=timeout_s, auth=auth, headers=headers, limits=limits, trust_env=False)

    def send(self, message: Message) -> None:
        """See Sender."""
        publication = {
            "topic": filled(self._topic, message.recipient, encode=False),
            "title": message.subject,
            "message": message.text.strip(),
            "priority": 4,
            "tags": ["rotating_light"],
            "sequence_id": message.message_id,
        }
        try:
            answer = self._client.post(self._server, json=publication)
        except httpx.HTTPError as error:
            raise NotNowError(f"no ntfy server at {self._server}: {error!r}", server_away=True) from error
        if not answer.is_success:
            raise of_http(answer.status_code, answer.text, "ntfy refused the message")

    def close(self) -> None:
        """See Sender."""
        self._client.close()


class AppriseSender:
    """Any other service, by its Apprise URL. Apprise says only whether it worked; the reason is taken from its log."""

    def __init__(self, url: str) -> None:
        import apprise  # here, since it takes 20 MiB and the default needs none of it

        self._apprise = apprise
        self._url = url
        if apprise.Apprise.instantiate(PLACEHOLDER.sub("1", url)) is None:
            raise ValueError("neither mailto://, mailtos://, ntfy:// nor any URL that Apprise knows")

    def send(self, message: Message) -> None:
        """See Sender."""
        with _Warnings("apprise") as warnings:
            service = self._apprise.Apprise.instantiate(filled(self._url, message.recipient))
            if service is None:
                raise RefusedError("with this person's data the URL is none that Apprise knows")
            text = self._apprise.NotifyFormat.TEXT  # so that a service with markup escapes it
            if service.notify(body=message.text.strip(), title=message.subject, body_format=text):
                return
        reason = "\n".join(warnings.lines)
        status = APPRISE_STATUS.search(reason)
        if status:
            raise of_http(int(status[1]), reason, "the push service refused the message")
        raise NotNowError(f"the push service did not take the message: {reason:.200}", server_away=True)

    def close(self) -> None:
        """See Sender."""
        # It has none that lasts.


class _Warnings(logging.Handler):
    """What this thread, and no other, logs to a logger while it is open."""

    def __init__(self, logger: str) -> None:
        super().__init__(logging.WARNING)
        self._logger, self._thread = logging.getLogger(logger), threading.get_ident()
        self.lines: list[str] = []

    def __enter__(self) -> "_Warnings":
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines.append(record.getMessage())
