"""The inbox's mail server: takes mail for anybody and puts it into the store."""

import asyncio
import codecs
import email
import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import HeaderParser
from email.policy import EmailPolicy
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from fraudlab.services.inbox.store import NotStoredError, Store, storable

MAX_MAIL_BYTES = 2**20
MAX_RECIPIENTS = 100
"""Of one mail: what RFC 5321 asks every server to take, at least."""
UNFINISHED_BYTES = 2**25
"""Of memory, for all mails together that have begun and are not stored yet."""
LINE_BYTES = 100
"""What a line takes beside its text: aiosmtpd keeps each as an object until the mail ends."""
DEADLINE_S = 60.0
"""How long a mail's content, or the next command, may take."""
DECODED = 8_192
"""Characters of a header of which the text is looked for. Python's decoder takes half an hour for one of a megabyte, and nothing else runs
meanwhile."""
PARSED = 500
"""Characters of a header that says what a part is (`Content-Type`). Python's parser takes an hour for one of a megabyte."""


SLOW_CHARSETS = {"punycode"}
"""Of Python's decoders, those that take time with the square of the length: minutes for a megabyte. Mail does not use them."""


class _Policy(EmailPolicy):
    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """A header's name and its beginning."""
        name, value = super().header_source_parse(sourcelines)
        return name, value[:PARSED]


POLICY = _Policy()
_readers = ThreadPoolExecutor(2, "mail")
"""Threads of their own: the page must not wait for mails that take long to read."""


async def serve(store: Store, host: str, port: int) -> asyncio.Server:
    """Starts the server. Raises OSError where the port is taken."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    loop, unfinished = asyncio.get_running_loop(), _Unfinished()
    return await loop.create_server(
        lambda: _Connection(
            _Handler(store),
            unfinished,
            hostname="inbox.localhost",
            ident="the lab's inbox",
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            timeout=DEADLINE_S,
            loop=loop,
        ),
        host,
        port,
    )


class _Unfinished:
    """The connections with a mail that has begun and not ended, and the bytes of memory that each holds."""

    def __init__(self) -> None:
        self._held: dict[_Connection, int] = {}
        self._total = 0

    def add(self, connection: "_Connection", size: int) -> None:
        """Counts bytes of a connection's mail. When all together are too many, the oldest mail is refused: a real one ends at once."""
        self._held[connection] = self._held.get(connection, 0) + size
        self._total += size
        while self._total > UNFINISHED_BYTES:
            oldest = next(iter(self._held))
            self.remove(oldest)
            oldest.end("4.3.1 Too much mail at once; try again later")

    def remove(self, connection: "_Connection") -> int:
        """Forgets a connection's mail. Returns how much it held; 0 where there was none."""
        held = self._held.pop(connection, 0)
        self._total -= held
        return held


class _Connection(SMTP):
    """A client's connection. aiosmtpd would keep a line in memory for as long as its end doesn't come, and each mail."""

    def __init__(self, handler: "_Handler", unfinished: _Unfinished, **options: Any) -> None:
        super().__init__(handler, **options)
        self._unfinished, self._line_bytes = unfinished, 0

    def data_received(self, data: bytes) -> None:
        """Ends the connection of a client whose line is longer than a whole mail may be."""
        end = data.rfind(b"\r\n")
        self._line_bytes = self._line_bytes + len(data) if end < 0 else len(data) - end
        if self._line_bytes <= MAX_MAIL_BYTES:
            super().data_received(data)
            self._unfinished.add(self, _held(data))
        elif self.transport is not None:
            self.transport.close()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """Takes a mail's content, or lets go of it at once: a cycle of references would keep it until Python looks for such."""
        try:
            await super().smtp_DATA(arg)
        except asyncio.CancelledError as ended:
            traceback.clear_frames(ended.__traceback__)
            raise

    def connection_lost(self, error: Exception | None) -> None:
        """Called when the connection has ended, whoever has ended it."""
        self._unfinished.remove(self)
        super().connection_lost(error)

    def end(self, why: str) -> None:
        """Ends the connection, whatever it was about to do; a client sends such a mail again."""
        if self.transport is not None:
            transport = cast(asyncio.Transport, self.transport)
            transport.write(f"421 {why}\r\n".encode())
            transport.abort()  # not when the client has read all: it may never do that

    def _create_envelope(self) -> Envelope:
        """aiosmtpd does this when a mail has ended, as it does at the beginning. The next one may have come with it."""
        if self._unfinished.remove(self) and (ahead := bytes(self._reader._buffer)):  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else tells
            self._unfinished.add(self, _held(ahead))
        return super()._create_envelope()

    def _timeout_cb(self) -> None:
        self.end("4.4.2 This takes too long")


def _held(data: bytes) -> int:
    return len(data) + LINE_BYTES * data.count(b"\n")


class _Handler:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """aiosmtpd calls this for each recipient; its return value is the reply."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients; send the mail to the others afterwards"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options += options
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd calls this for each mail; its return value is the reply. What cannot be stored now has to be sent again."""
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        sender = str(envelope.mail_from or "")
        fields = await asyncio.get_running_loop().run_in_executor(_readers, _read, content, sender)
        try:
            with self._store.delivery():
                self._store.add("email", fields.pop("message_id"), *envelope.rcpt_tos, **fields)
        except NotStoredError as error:
            return "452 4.3.1 The disk is full; try again later" if error.full else "451 4.3.0 Try again later"
        return "250 OK"


def _read(content: bytes, sender: str) -> dict[str, str]:
    """What the store keeps of a mail. Takes seconds for some mails."""
    head, _, _ = content.replace(b"\r\n", b"\n").partition(b"\n\n")
    headers = head.decode("utf-8", "replace")
    fields = HeaderParser().parsestr(headers)
    try:
        mail: Any = email.message_from_bytes(content, policy=POLICY)
        text, html = _body(mail, "plain"), _body(mail, "html")
    except Exception as error:  # Python's parser raises whatever it stumbles over
        text, html = f"This mail cannot be shown: {error}", ""
    found = {
        "message_id": _header(fields, "Message-ID") or f"none-{hash(content)}",
        "addressee": _header(fields, "To"),
        "sender": _header(fields, "From") or sender,
        "title": _header(fields, "Subject"),
        "text": text,
        "html": html,
        "headers": headers,
    }
    return {name: storable(value) for name, value in found.items()}


def _header(fields: Message, name: str) -> str:
    """A header's text. `email.policy.default` would put spaces between the parts of a long encoded name."""
    value = " ".join(str(fields[name] or "")[:DECODED].split())
    try:
        return str(make_header(decode_header(value))).strip()
    except (MessageError, ValueError, LookupError):  # what only looks encoded
        return value


def _body(mail: EmailMessage, kind: str) -> str:
    try:
        part = mail.get_body((kind,))
        charset = part.get_content_charset() if part else None
        if charset and codecs.lookup(charset).name in SLOW_CHARSETS:
            raise LookupError(f"{charset} is not for mail")
        return str(part.get_content()) if part else ""
    except (LookupError, ValueError, AttributeError) as error:
        return f"This part cannot be shown: {error}"
