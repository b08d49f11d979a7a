"""How a delivery fails, when it is tried again, and what goes over the wire."""

import random
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from email.utils import parseaddr
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudlab.services.notifier.activity import parse
from fraudlab.services.notifier.delivery import NotNowError, RefusedError, of_http, of_smtp, pause_s
from fraudlab.services.notifier.message import ListedPayment, Message, Recipient, compose
from fraudlab.services.notifier.senders import AppriseSender, Mail, MailSender, NtfySender, filled, mail_of, sender_for
from fraudlab.services.notifier.untrusted_text import mailbox, one_line
from tests.support.activity import ACTIVITY

ADA = Recipient(42, "Ada Lovelace", "ada@example.com", "+49 (30) 12-34")


def message(name: str = "Ada Lovelace", subject: str = "We stopped your account") -> Message:
    created_at = datetime(2026, 7, 1, 12, 2, 3, tzinfo=UTC)
    return Message("c0ffee", created_at, Recipient(42, name, "ada@example.com", ""), subject, "plain\n", "<p>rich</p>")


def test_pauses_double_up_to_the_longest() -> None:
    class NoLuck(random.Random):
        def random(self) -> float:
            return 0.0

    assert [pause_s(attempts, 60, NoLuck()) for attempts in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pause_s(10_000, 60, NoLuck()) == 60


def test_pauses_differ_by_up_to_a_quarter() -> None:
    pauses = [pause_s(4, 60, random.Random(seed)) for seed in range(200)]
    assert 6 <= min(pauses) < 6.2  # 8 s less a quarter
    assert 7.8 < max(pauses) <= 8


@pytest.mark.parametrize("code", [500, 550, 552, 554])
def test_an_smtp_refusal_for_good_is_one(code: int) -> None:
    assert isinstance(of_smtp(code, b"no such user", "x"), RefusedError)


@pytest.mark.parametrize(
    ("code", "away"), [(421, True), (530, True), (535, True), (450, False), (451, False), (452, False)]
)
def test_an_smtp_refusal_for_now_is_one(code: int, away: bool) -> None:
    failure = of_smtp(code, b"later\r\nplease \xff", "the server")
    assert isinstance(failure, NotNowError)
    assert failure.server_away is away
    assert str(failure) == f"the server: {code} later please \ufffd"


@pytest.mark.parametrize("code", [400, 403, 404, 410, 413, 422])
def test_an_http_refusal_for_good_is_one(code: int) -> None:
    assert isinstance(of_http(code, "", "x"), RefusedError)


@pytest.mark.parametrize("code", [401, 408, 429, 500, 502, 503, 504, 302])
def test_an_http_refusal_for_now_is_one(code: int) -> None:
    assert isinstance(of_http(code, "", "x"), NotNowError)


def test_a_mail_has_text_and_html_and_the_id_that_it_was_claimed_with() -> None:
    mail = message_from_bytes(
        mail_of(message(), "The Lab Bank <bank@lab.example>", "ada@example.com").content, policy=default
    )
    assert mail["Message-ID"] == "<c0ffee@lab.example>"
    assert (mail["From"], mail["To"]) == ("The Lab Bank <bank@lab.example>", "Ada Lovelace <ada@example.com>")
    assert mail["Date"].datetime == datetime(2026, 7, 1, 12, 2, 3, tzinfo=UTC)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


HEADERS = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
ENCODED_LINE_END = "=?utf-8?q?a=0D=0ABcc=3A_other@example.org?="
NASTY = [
    ENCODED_LINE_END,
    "=?utf-8?q?=0D=0A=0D=0A<h1>Pay here</h1>?=",
    "=?utf-8?B?YQ0KQmNjOiBvdGhlckBleGFtcGxlLm9yZw==?=",
    "=?us-ascii?Q?a?= =?utf-8?q?b?=",
    "Ada\r\nBcc: thief@example.com",
    "Ada\r\n\r\n<h1>",
    "Ada\nX: y",
    "Ada\r\n =?utf-8?q?folded?=",
    "Ada\x00",
    "Ada\u2028Bcc: thief@example.com",
    "\u202eevil\u202c",
    "\u200fA\u200bd\ufeffa\u00ad",
    '"><x',
    "Ada, thief@example.com",
    "Ada <thief@example.com>",
    '\\" <thief@example.com>',
    "(comment)",
    "Ada:;",
    "é" * 120,
    "\ud800",
]


class Seen(NamedTuple):
    """A mail as mail programs show it."""

    headers: set[str]
    to: str
    name: str
    subject: str
    text: str


def seen(mail: Mail) -> Seen:
    """What is shown of a mail, by a parser that decodes names, and by one that leaves that to its caller."""
    modern, raw = message_from_bytes(mail.content, policy=default), message_from_bytes(mail.content)
    assert len(modern.keys()) == len(set(modern.keys()))
    assert modern.keys() == raw.keys()
    head, _, _ = mail.content.partition(b"\r\n\r\n")
    assert all(len(line) <= 78 for line in head.split(b"\r\n"))
    (to,), body = modern["To"].addresses, modern.get_body(("plain",))
    assert body is not None
    name, address = parseaddr(raw["To"])
    assert to.addr_spec == address
    text = str(body.get_content()).replace("\r\n", "\n")
    return Seen(set(modern.keys()), address, decoded(name), decoded(raw["Subject"]), text)


def decoded(header: str) -> str:
    return str(make_header(decode_header(header.replace("\r\n", ""))))


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_mail_01_a_name_is_shown_as_typed_and_makes_no_header(name: str) -> None:
    """mail-01, mail-02: an encoded word in a name was decoded before it was written, line ends and all."""
    shown = seen(mail_of(message(name), "bank@lab.example", "ada@example.com"))
    assert shown == (HEADERS, "ada@example.com", one_line(name), "We stopped your account", "plain\n")


@settings(derandomize=True, deadline=None)
@given(
    first=st.text(max_size=40) | st.sampled_from(NASTY),
    last=st.text(max_size=40) | st.sampled_from(NASTY),
    merchant=st.text(max_size=40) | st.sampled_from(NASTY),
    channel=st.sampled_from(["email", "push"]),
)
def test_mail_02_no_field_steers_a_message(first: str, last: str, merchant: str, channel: str) -> None:
    """mail-01, mail-02, through the templates: names, the merchant, and an encoded word that is split over two fields."""
    activity = parse(ACTIVITY | {"user_first_name": first, "user_last_name": last})
    payment = ListedPayment(datetime(2026, 7, 1, 12, tzinfo=UTC), Decimal(1), "EUR", "DE", merchant)
    composed = compose(channel, activity, [payment], "DE", "c0ffee", datetime(2026, 7, 1, 12, tzinfo=UTC))
    typed = f"{composed.subject}{composed.recipient.name}"
    assert not any(
        unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in typed if one not in "\u200c\u200d"
    )
    shown = seen(mail_of(composed, "bank@lab.example", "ada@example.com"))
    assert shown == (HEADERS, "ada@example.com", composed.recipient.name, composed.subject, composed.text)


def test_an_address_that_is_none_is_refused_before_it_is_sent() -> None:
    with pytest.raises(RefusedError, match="no usable e-mail address"):
        mail_of(message(), "bank@lab.example", "ada@example.com\r\nBcc: thief@example.com")


@pytest.mark.parametrize("address", ["a@b..com", "a@.b.com", "a@b.com.", "a@b", "@b.com", ".a@b.com", "a@b_c.com"])
def test_an_address_that_only_looks_like_one_is_refused(address: str) -> None:
    with pytest.raises(RefusedError, match="no usable e-mail address"):
        mail_of(message(), "bank@lab.example", address)


@settings(derandomize=True, deadline=None)
@given(
    address=st.from_regex(r"[^@]{1,6}@[^@]{1,8}", fullmatch=True)
    | st.text("ab.é😀-_!'\ud800\ufeff@\u2028", min_size=3, max_size=12),
    name=st.text(max_size=20),
)
def test_whatever_address_and_name_there_are_it_is_a_mail_to_that_address_or_refused(address: str, name: str) -> None:
    try:
        mail = mail_of(message(name), "bank@lab.example", address)
    except RefusedError:
        return
    assert mail.recipient == mailbox(address)
    if mail.recipient.isascii():
        assert seen(mail)[:3] == (HEADERS, mail.recipient, one_line(name))


def test_placeholders_are_the_recipients_and_cannot_leave_their_place() -> None:
    assert filled("pover://x@{user_id}?to={email}&p={phone}", ADA) == "pover://x@42?to=ada%40example.com&p=%2B49301234"
    nasty = Recipient(42, "", "a&to=thief@example.com#", "")
    assert filled("x://h?to={email}", nasty) == "x://h?to=a%26to%3Dthief%40example.com%23"
    assert filled("{other} {0}", ADA) == "{other} {0}"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("mailto://127.0.0.1:11025?to={email}", MailSender),
        ("mailtos://user:p%40ss@smtp.example.com?from=Lab%20<lab@example.com>", MailSender),
        ("mailtos://user:pass@smtp.example.com:465?mode=ssl", MailSender),
        ("ntfy://127.0.0.1:18025/user-{user_id}", NtfySender),
        ("ntfys://tk_secret@ntfy.example.com/my-topic", NtfySender),
        ("pover://user@token", AppriseSender),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", AppriseSender),
        ("json://127.0.0.1/{user_id}", AppriseSender),
    ],
)
def test_a_url_says_how_to_send(url: str, kind: type) -> None:
    sender = sender_for(url, 1)
    assert type(sender) is kind
    sender.close()


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mailto://", "mailto://h?mode=ssl", "mailtos://h?mode=insecure", "ntfy://h/two/topics", "ntfy://h/a b", "http://x y", "mailto://h?from=lab@example..com"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_when_the_service_starts(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|mode|host"):
        sender_for(url, 1)
