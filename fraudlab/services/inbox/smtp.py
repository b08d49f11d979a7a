"""The inbox's mail server: takes mail for anybody and puts it into the store."""

import asyncio
import codecs
import email
import logging
from concurrent.futures import ThreadPoolExecutor
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import HeaderParser
from email.policy import EmailPolicy
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from fraudlab.services.inbox.store import NotStoredError, Store, storable

MAX_MAIL_BYTES = 2**20
MAX_RECIPIENTS = 100
"""Of one mail: what RFC 5321 asks every server to take, at least."""
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
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: _Connection(
            _Handler(store),
            hostname="inbox.localhost",
            ident="the lab's inbox",
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            loop=loop,
        ),
        host,
        port,
    )


class _Connection(SMTP):
    """A client's connection. aiosmtpd would keep a line in memory for as long as its end doesn't come."""

    _unended = 0

    def data_received(self, data: bytes) -> None:
        """Ends the connection of a client whose line is longer than a whole mail may be."""
        end = data.rfind(b"\r\n")
        self._unended = self._unended + len(data) if end < 0 else len(data) - end
        if self._unended <= MAX_MAIL_BYTES:
            super().data_received(data)
        elif self.transport is not None:
            self.transport.close()


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
