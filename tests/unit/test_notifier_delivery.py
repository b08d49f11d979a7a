"""How a delivery fails, when it is tried again, and what goes over the wire."""

import random
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP, default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudlab.services.notifier.clean import one_line
from fraudlab.services.notifier.delivery import NotNowError, RefusedError, of_http, of_smtp, pause_s
from fraudlab.services.notifier.message import Message, Recipient
from fraudlab.services.notifier.senders import AppriseSender, MailSender, NtfySender, filled, mail_of, sender_for

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
        mail_of(message(), "The Lab Bank <bank@lab.example>", "ada@example.com").as_bytes(), policy=default
    )
    assert mail["Message-ID"] == "<c0ffee@lab.example>"
    assert (mail["From"], mail["To"]) == ("The Lab Bank <bank@lab.example>", "Ada Lovelace <ada@example.com>")
    assert mail["Date"].datetime == datetime(2026, 7, 1, 12, 2, 3, tzinfo=UTC)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    "name", ["Ada\r\nBcc: thief@example.com", "Ada\nX: y", "Ada\x00", '"><x', "Ada, thief@example.com", "=?utf-8?q?x?="]
)
def test_no_name_makes_a_header_or_a_recipient(name: str) -> None:
    """`compose` cleans names; even one that came past it does no harm."""
    try:
        content = mail_of(message(name), "bank@lab.example", "ada@example.com").as_bytes()
    except RefusedError:
        return
    mail = message_from_bytes(content, policy=SMTP)
    assert mail.keys() == [
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    ]  # fmt: skip
    assert [one.addr_spec for one in mail["To"].addresses] == ["ada@example.com"]


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
        content = mail_of(message(one_line(name)), "bank@lab.example", address).as_bytes()
    except RefusedError:
        return
    (to,) = message_from_bytes(content, policy=SMTP)["To"].addresses
    assert to.addr_spec == address.strip()


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
