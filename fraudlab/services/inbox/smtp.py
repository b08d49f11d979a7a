"""The inbox's mail server: takes mail for anybody and puts it into the store."""

import asyncio
import email
import logging
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import HeaderParser
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from fraudlab.services.inbox.store import NotStoredError, Store

MAX_MAIL_BYTES = 2**20


async def serve(store: Store, host: str, port: int) -> asyncio.Server:
    """Starts the server. Raises OSError where the port is taken."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: SMTP(
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


class _Handler:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """aiosmtpd calls this for each mail; its return value is the reply. What cannot be stored now has to be sent again."""
        try:
            with self._store.delivery():
                self._add(envelope)
        except NotStoredError as error:
            return "452 4.3.1 The disk is full; try again later" if error.full else "451 4.3.0 Try again later"
        return "250 OK"

    def _add(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        mail: Any = email.message_from_bytes(content, policy=default)
        head, _, _ = content.replace(b"\r\n", b"\n").partition(b"\n\n")
        headers = head.decode("utf-8", "replace")
        fields = HeaderParser().parsestr(headers)
        for recipient in envelope.rcpt_tos:
            self._store.add(
                "email",
                _header(fields, "Message-ID") or f"none-{hash(content)}",
                recipient,
                addressee=_header(fields, "To"),
                sender=_header(fields, "From") or str(envelope.mail_from or ""),
                title=_header(fields, "Subject"),
                text=_body(mail, "plain"),
                html=_body(mail, "html"),
                headers=headers,
            )


def _header(fields: Message, name: str) -> str:
    """A header's text. `email.policy.default` would put spaces between the parts of a long encoded name."""
    value = " ".join(str(fields[name] or "").split())
    try:
        return str(make_header(decode_header(value))).strip()
    except (MessageError, ValueError, LookupError):  # what only looks encoded
        return value


def _body(mail: EmailMessage, kind: str) -> str:
    try:
        part = mail.get_body((kind,))
        return str(part.get_content()) if part else ""
    except (LookupError, ValueError, AttributeError) as error:
        return f"This part cannot be shown: {error}"
