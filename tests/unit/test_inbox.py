"""The inbox: what is delivered twice is kept once, ntfy's API answers as ntfy does, and a mail cannot do harm."""

import asyncio
import base64
import contextlib
import multiprocessing
import re
import smtplib
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fraudlab.services.inbox import api, ntfy, smtp
from fraudlab.services.inbox.markup import harmless
from fraudlab.services.inbox.store import Store
from fraudlab.services.request_limit import RequestLimit
from fraudlab.settings import REPOSITORY
from tests.support.fetching import MARKUP, markup
from tests.support.waiting import eventually, patient


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "messages.sqlite")
    yield store
    store.close()


def ask(store: Store, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to the inbox's web server."""
    app = FastAPI()
    app.add_middleware(RequestLimit)
    app.include_router(api.router(store))
    app.include_router(ntfy.router(store))

    async def request() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inbox") as client:
            return await client.request(method, path, **options)

    return asyncio.run(request())


def mail(store: Store, *contents: bytes, to: tuple[str, ...] = ("ada@example.com",)) -> None:
    """Mails to the inbox's mail server, over the wire."""

    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            for content in contents:
                client.sendmail("bank@lab.example", to, content)

    async def deliver() -> None:
        server = await smtp.serve(store, "127.0.0.1", 0)
        await asyncio.to_thread(send, server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()

    asyncio.run(deliver())


def letter(message_id: str = "<1@lab.example>") -> bytes:
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = "Grüße", "bank@lab.example", "Ada 😀 <ada@example.com>"
    letter["Message-ID"] = message_id
    letter.set_content("plain ä\n")
    letter.add_alternative("<p>rich</p>", subtype="html")
    return letter.as_bytes()


def test_a_mail_is_kept_with_text_html_and_headers(store: Store) -> None:
    mail(store, letter())
    (kept,) = store.find()
    assert (kept.kind, kept.recipient, kept.title, kept.text.strip(), kept.html.strip(), kept.addressee) == (
        "email", "ada@example.com", "Grüße", "plain ä", "<p>rich</p>", "Ada 😀 <ada@example.com>",
    )  # fmt: skip
    assert "Message-ID: <1@lab.example>" in kept.headers
    assert abs(kept.received_ms - time.time() * 1000) < 60_000


def test_a_mail_that_comes_twice_is_shown_once_and_counted(store: Store) -> None:
    mail(store, letter("<1@x>"), letter("<2@x>"), letter("<1@x>"))
    assert [(one.message_id, one.deliveries) for one in store.find()] == [("<1@x>", 2), ("<2@x>", 1)]
    assert store.counts() == {"email": 2, "push": 0, "redelivered": 1}


def test_a_mail_to_two_is_two_messages(store: Store) -> None:
    mail(store, letter(), to=("ada@example.com", "grace@example.com"))
    assert [one.recipient for one in store.find()] == ["ada@example.com", "grace@example.com"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no headers at all",
        b"Subject: x\r\nContent-Type: text/plain; charset=nonsense\r\n\r\nbody \xff",
        b"Subject: =?utf-8?b?%%%?=\r\nFrom: <<<>>>\r\nTo: \x00\r\nMessage-ID: [\r\n\r\nx",
        b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p",
        b"Content-Type: text/plain; a*1*\r\n\r\nx",
        b"Date: yesterday\r\n\r\n" + (b"x" * 900 + b"\r\n") * 500,
        b"Subject: =?utf-7?Q?+2AA-?=\r\nMessage-ID: =?unicode_escape?Q?=5Cud800?=\r\n\r\nx",
        b"Content-Type: text/html; charset=utf-7\r\n\r\nhalf of a pair: +2AA-",
        b"Content-Type: text/plain; charset=nonsense\0\r\n\r\nx",
    ],
)
def test_a_broken_mail_is_taken_as_well_as_can_be(store: Store, content: bytes) -> None:
    mail(store, content)
    assert len(store.find()) == 1


SLOW = {
    "an encoded subject without an end": b"Subject: " + b"=?a?q?x" * 140_000 + b"\r\n\r\nx",
    "parameters without an end": b"Content-Type: text/plain; " + b"a=b; " * 200_000 + b"\r\n\r\nx",
    "an encoding without an end": b"Content-Transfer-Encoding: " + b"a@b, " * 200_000 + b"\r\n\r\nx",
    "such a part in a part": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; "
    + b"a=b; " * 200_000
    + b"\r\n\r\nx\r\n--b--\r\n",
    "a body in an encoding for names of hosts": b"Content-Type: text/plain; charset=PunyCode\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(b"x" * 340_000 + b"-" + b"a" * 340_000),
}


@pytest.mark.parametrize("content", SLOW.values(), ids=SLOW)
def test_sec_04_no_mail_of_a_megabyte_keeps_the_inbox_busy_for_minutes(content: bytes) -> None:
    """In a process of its own, which can be ended: Python's regular expressions cannot be interrupted."""
    reader = multiprocessing.get_context("fork").Process(target=smtp._read, args=(content, "mallory@example.com"))
    reader.start()
    reader.join(patient(10))
    is_done = reader.exitcode == 0
    reader.kill()
    assert is_done


@pytest.mark.parametrize("half", ["=?utf-7?Q?+2AA-?=", "=?unicode_escape?Q?=5Cud800?="])
def test_half_of_a_surrogate_pair_in_a_title_is_shown_as_a_question_mark(store: Store, half: str) -> None:
    assert ask(store, "POST", "/user-1", headers={"Title": half}).json()["title"] == "?"


def test_sec_04_an_encoded_title_of_64_kb_is_shown_as_it_is_and_at_once(store: Store) -> None:
    title = "=?a?q?x" * 9_000
    began = time.process_time()
    assert ask(store, "POST", "/user-1", headers={"Title": title}).json()["title"] == title
    assert time.process_time() - began < patient(1)


def test_sec_04_elements_within_elements_take_no_minute_to_clean() -> None:
    began = time.process_time()
    shown = harmless("<div>" * 200_000)
    assert time.process_time() - began < patient(5)
    assert "cut; /api/messages has all of it" in shown


def test_a_mail_that_is_too_large_is_refused_for_good(store: Store) -> None:
    with pytest.raises(smtplib.SMTPException, match="552"):
        mail(store, b"Subject: x\r\n\r\n" + b"x" * (smtp.MAX_MAIL_BYTES + 1))


BEGINNING = b"EHLO x\r\nMAIL FROM:<mallory@lab.example>\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n"


def served(store: Store, talk: Callable[[int], None]) -> None:
    """Talks to the inbox's mail server, at its port."""

    async def serve() -> None:
        server = await smtp.serve(store, "127.0.0.1", 0)
        await asyncio.to_thread(talk, server.sockets[0].getsockname()[1])
        server.close()
        await server.wait_closed()

    asyncio.run(serve())


def last_answer(client: socket.socket) -> bytes:
    """The last line that the server says before it ends the connection."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(4096):
            said += piece
    return said.splitlines()[-1]


@pytest.mark.parametrize("line", [b"x" * 98 + b"\r\n", b"\r\n"], ids=["text", "lines without any"])
def test_sec_05_the_oldest_of_too_many_unfinished_mails_are_refused_and_a_new_one_is_taken(
    store: Store, line: bytes
) -> None:
    content = line * (500_000 // len(line))
    held = len(content) + smtp.LINE_BYTES * content.count(b"\n")
    fit = smtp.UNFINISHED_BYTES // held

    def talk(port: int) -> None:
        with contextlib.ExitStack() as opened:
            clients = []
            for _ in range(fit + 3):
                client = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=patient(20)))
                client.sendall(BEGINNING + content)
                clients.append(client)
            assert {last_answer(client)[:9] for client in clients[:2]} == {b"421 4.3.1"}
            with smtplib.SMTP("127.0.0.1", port, timeout=patient(20)) as honest:
                assert honest.sendmail("bank@lab.example", ["ada@example.com"], letter()) == {}
            clients[-1].sendall(b"\r\n.\r\nQUIT\r\n")
            assert last_answer(clients[-1])[:3] == b"221", "the newest was kept, and has ended as usual"

    served(store, talk)
    assert store.counts()["email"] == 2


def test_sec_05_mails_that_have_ended_count_no_more(store: Store) -> None:
    lines = 100_000
    mail(store, *[b"x\r\n" * lines] * (smtp.UNFINISHED_BYTES // (smtp.LINE_BYTES * lines) + 1))


def test_sec_05_a_mail_that_does_not_end_is_refused_also_while_it_grows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "DEADLINE_S", 0.5)

    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=patient(20)) as client:
            client.sendall(BEGINNING)

            def grows() -> bool:
                try:
                    client.sendall(b"x\r\n")
                except OSError:
                    return False
                return True

            assert eventually(lambda: not grows(), "the connection is ended")

    served(store, talk)


def test_ntfys_json_is_published(store: Store) -> None:
    message = {
        "topic": "user-1",
        "title": "Ä",
        "message": "stopped",
        "priority": 4,
        "tags": ["rotating_light"],
        "sequence_id": "a1",
    }
    answer = ask(store, "POST", "/", json=message)
    assert answer.status_code == 200
    told = answer.json()
    assert told["event"] == "message"
    assert told["expires"] > told["time"]
    assert {name: told[name] for name in message} == message
    (kept,) = store.find()
    assert (kept.kind, kept.recipient, kept.message_id, kept.title, kept.text) == (
        "push",
        "user-1",
        "a1",
        "Ä",
        "stopped",
    )


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_ntfys_plain_form_is_published(store: Store, method: str) -> None:
    headers = [
        ("Title", "Überfall".encode()),
        ("X-Priority", "urgent"),
        ("ta", "warning, tada"),
        ("Click", "http://127.0.0.1/"),
    ]
    answer = ask(store, method, "/user-1?message=", content="gestoppt ✋".encode(), headers=headers).json()
    assert (answer["title"], answer["message"], answer["priority"]) == ("Überfall", "gestoppt ✋", 5)
    assert (answer["tags"], answer["click"]) == (["warning", "tada"], "http://127.0.0.1/")
    assert "sequence_id" not in answer


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("=?utf-8?b?w4RyZ2Vy?=", "Ärger"),
        ("=?utf-8?b?abcde?=", "=?utf-8?b?abcde?="),
        ("=?no-such-charset?q?x?=", "=?no-such-charset?q?x?="),
        ("=?", "=?"),
    ],
)
def test_an_encoded_title_is_decoded_or_left_as_it_is(store: Store, title: str, shown: str) -> None:
    answer = ask(store, "POST", "/a", content=b"x", headers={"Title": title})
    assert (answer.status_code, answer.json()["title"]) == (200, shown)


def test_a_push_with_the_same_sequence_id_is_shown_once(store: Store) -> None:
    for topic, sequence in (("a", "1"), ("a", "1"), ("a", "2"), ("b", "1")):
        ask(store, "POST", f"/{topic}", content="x", headers={"X-Sequence-ID": sequence})
    ask(store, "POST", "/a", content="without one")
    ask(store, "POST", "/a", content="without one")
    assert [one.deliveries for one in store.find()] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/no.dots", b"x", 400, 40009),
        ("/" + "x" * 65, b"x", 400, 40009),
        ("/", b"no json", 400, 40024),
        ("/", b"[]", 400, 40024),
        ("/", b'{"message": "no topic"}', 400, 40009),
        ("/", b'{"topic": "a", "priority": 9}', 400, 40007),
        ("/a?priority=many", b"x", 400, 40007),
        ("/a?priority=23", b"x", 400, 40007),
        ("/a?priority=0", b"x", 400, 40007),
        ("/", b'{"topic": "a", "tags": 5}', 400, 40024),
        ("/", b'{"topic": "a", "tags": [5]}', 400, 40024),
        ("/", b'{"topic": "a", "priority": "4"}', 400, 40024),
        ("/", b'{"topic": 5}', 400, 40024),
        ("/a", b"x" * 5000, 413, 41301),
        ("/a", b"x" * 50_000, 413, 41301),
    ],
)
def test_what_ntfy_refuses_is_refused_in_its_words(
    store: Store, path: str, body: bytes, status: int, code: int
) -> None:
    answer = ask(store, "POST", path, content=body)
    assert (answer.status_code, answer.json()["http"], answer.json()["code"]) == (status, status, code)
    assert answer.json()["error"]
    assert store.find() == []


def test_the_api_finds_by_person_time_and_number(store: Store) -> None:
    for number in range(4):
        store.add("push", str(number), f"user-{number % 2}", title="t", text="x")
    everything = ask(store, "GET", "/api/messages").json()
    assert everything["counts"] == {"email": 0, "push": 4, "redelivered": 0}
    assert [one["message_id"] for one in everything["messages"]] == ["0", "1", "2", "3"]
    last = everything["messages"][-1]

    def found(query: str) -> list[str]:
        return [one["message_id"] for one in ask(store, "GET", f"/api/messages?{query}").json()["messages"]]

    assert found("to=user-1") == ["1", "3"]
    assert found("to=user") == []
    assert found("kind=email") == []
    assert found(f"since={last['received_ms'] + 1}") == []
    assert found("since=0&limit=2") == ["0", "1"]
    assert found(f"after={everything['messages'][1]['number']}") == ["2", "3"]
    assert ask(store, "GET", "/api/messages?limit=1000000").status_code == 422


def test_a_large_answer_of_the_api_is_whole(store: Store) -> None:
    for number in range(2 * api.IN_MEMORY + 50):
        store.add("push", str(number), "a", title="t", text="x")
    for limit in (1, api.IN_MEMORY, 2 * api.IN_MEMORY + 1, 10_000):
        found = ask(store, "GET", f"/api/messages?limit={limit}").json()["messages"]
        assert [int(one["message_id"]) for one in found] == list(range(min(limit, 2 * api.IN_MEMORY + 50)))


def test_the_page_finds_by_a_part_of_a_name(store: Store) -> None:
    store.add("email", "1", "ada@example.com", title="t", text="Hello Ada LOVELACE")
    store.add("email", "2", "grace@example.com", title="t", text="Hello Grace")
    assert [one.message_id for one in store.latest("email", " lovelace", 10)] == ["1"]
    assert [one.message_id for one in store.latest("email", "GRACE@", 10)] == ["2"]
    assert [one.message_id for one in store.latest("email", "%", 10)] == []
    assert [one.message_id for one in store.latest("email", "", 1)] == ["2"]


def test_a_mails_html_runs_nothing_and_fetches_nothing(store: Store) -> None:
    number = store.add("email", "1", "ada@example.com", title="t", text="", html="<script>alert(1)</script>")
    answer = ask(store, "GET", f"/api/messages/{number}/html")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.text == "<!doctype html><meta charset=utf-8>"
    assert "sandbox;" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert ask(store, "GET", "/api/messages/999/html").status_code == 404


@pytest.mark.parametrize("template", MARKUP)
def test_sec_06_of_a_mails_markup_only_css_and_text_can_name_an_address(template: str) -> None:
    """CSS is what the policy of test_a_mails_html_runs_nothing_and_fetches_nothing is for."""
    left = harmless(markup(template, "https://outside.example/x"))
    left = re.sub(r"<style>[^<]*</style>|style=\"[^\"]*\"|face=\"[^\"]*\"", "", left)
    assert "outside.example" not in "".join(re.findall(r"<[^>]*>", left))


def test_the_banks_own_mail_keeps_its_looks(store: Store) -> None:
    html = (REPOSITORY / "fraudlab/services/notifier/templates/email.html").read_text(encoding="utf-8")
    kept = harmless(html)
    assert kept.count("<") > 0.8 * html.count("<")
    assert "font: 16px/1.5 system-ui" in kept
    assert 'scope="col"' in kept


def test_what_was_taken_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path / "messages.sqlite")
    first.add("push", "1", "a", title="t", text="x")
    second = Store(tmp_path / "messages.sqlite")  # the first was not closed, as after a kill
    assert [one.message_id for one in second.find()] == ["1"]
    first.close()
    second.close()


def test_only_the_newest_messages_are_kept_and_counted(tmp_path: Path) -> None:
    store = Store(tmp_path / "messages.sqlite", kept=500)
    for number in range(2100):
        store.add("email" if number % 3 else "push", str(number), "a", title="t", text="x")
        if number % 7 == 0:
            store.add("email" if number % 3 else "push", str(number), "a", title="t", text="x")
    kept = store.find(limit=10_000)
    assert [int(one.message_id) for one in kept] == list(range(1000, 2100)), "the older ones went with the 1,500th"
    emails = sum(one.kind == "email" for one in kept)
    again = sum(one.deliveries > 1 for one in kept)
    assert store.counts() == {"email": emails, "push": len(kept) - emails, "redelivered": again}
    counts = store.counts()
    store.close()
    reopened = Store(tmp_path / "messages.sqlite")
    assert reopened.counts() == counts
    reopened.close()


def test_a_file_of_an_earlier_version_keeps_its_messages(tmp_path: Path) -> None:
    path = tmp_path / "messages.sqlite"
    earlier = sqlite3.connect(path)
    columns = "kind, message_id, recipient, addressee, sender, title, text, html, headers"
    earlier.executescript(
        f"CREATE TABLE messages (number INTEGER PRIMARY KEY AUTOINCREMENT, {columns.replace(',', ' TEXT NOT NULL,')} TEXT NOT NULL, "
        "received_ms INTEGER NOT NULL, deliveries INTEGER NOT NULL DEFAULT 1, UNIQUE (kind, recipient, message_id));"
        "CREATE INDEX recipients ON messages (recipient); CREATE INDEX kinds ON messages (kind);"
    )
    values = (
        "email",
        "<1@x>",
        "ada@example.com",
        "Ada",
        "bank",
        "Stopped",
        "text " * 2000,
        "<p>rich</p>",
        "Subject: Stopped",
    )
    earlier.execute(
        f"INSERT INTO messages ({columns}, received_ms, deliveries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 5, 2)", values
    )
    earlier.commit()
    earlier.close()
    for _ in range(2):
        store = Store(path)
        (kept,) = store.find()
        assert (
            kept.kind,
            kept.message_id,
            kept.recipient,
            kept.addressee,
            kept.sender,
            kept.title,
            kept.text,
            kept.html,
            kept.headers,
        ) == values
        assert (kept.number, kept.received_ms, kept.deliveries) == (1, 5, 2)
        assert store.counts() == {"email": 1, "push": 0, "redelivered": 1}
        store.close()


def test_sec_04_the_oldest_go_first_and_everybodys_newest_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "messages.sqlite", kept_bytes=100_000)
    for number, recipient in enumerate(["ada", "ada", "bob", *["flood"] * 20, "ada"]):
        store.add("email", str(number), recipient, title="t", text="x" * 10_000)
    kept = [(one.recipient, one.message_id) for one in store.find()]
    assert len(kept) <= 10
    assert kept[:2] == [("ada", "1"), ("bob", "2")], "the newest that each of them had while others were flooded"
    assert kept[2:] == [*(("flood", str(number)) for number in range(25 - len(kept) + 1, 23)), ("ada", "23")]
    for number in range(30):
        store.add("email", str(number), f"user-{number}", title="t", text="x" * 10_000)
    last = [one.recipient for one in store.find()]
    assert last == [f"user-{number}" for number in range(30 - len(last), 30)], (
        "when nothing else is left, the oldest of these"
    )
    store.add("email", "shared", *(f"user-{number}" for number in range(100)), title="t", text="x" * 10_000)
    assert sum(one.message_id == "shared" for one in store.find()) == 100
    store.close()
    smaller = Store(tmp_path / "messages.sqlite", kept_bytes=20_000)
    assert {one.message_id for one in smaller.find()} == {"shared"}
    smaller.close()


def mailed(store: Store, content: bytes, to: tuple[str, ...] = ("ada@example.com", "bob@example.com")) -> int:
    """A mail to the inbox; gives the status with which it was refused, 250 where it was taken."""
    try:
        mail(store, content, to=to)
    except smtplib.SMTPDataError as refused:
        return refused.smtp_code
    return 250


def pushed(store: Store, number: int) -> httpx.Response:
    return ask(store, "POST", "/user-7", content="x" * 4000, headers={"X-Sequence-ID": f"n{number}"})


def test_disk_02_a_mail_and_a_push_message_that_find_the_disk_full_are_to_be_sent_again(store: Store) -> None:
    """disk-02: nothing is stored and the page still works; once there is room, each recipient gets the message once."""
    long = letter().replace(b"<p>rich</p>", b"<p>rich</p>\n" * 5000).replace(b"\n", b"\r\n")
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    # A full disk, as SQLite meets it: the mail's content needs some 16 pages.
    store._connection.execute(f"PRAGMA max_page_count = {pages + 10}")
    assert mailed(store, long) == 452
    taken = 0
    while (said := pushed(store, taken)).status_code == 200:
        taken += 1
    assert (said.status_code, said.json()["http"]) == (507, 507)
    assert store.counts() == {"email": 0, "push": taken, "redelivered": 0}
    shown = ask(store, "GET", "/api/messages").json()
    assert (shown["counts"], len(shown["messages"])) == (store.counts(), taken)

    store._connection.execute("PRAGMA max_page_count = 100000")
    assert mailed(store, long) == 250
    assert pushed(store, taken).status_code == 200
    assert store.counts() == {"email": 2, "push": taken + 1, "redelivered": 0}


def test_disk_02_what_finds_the_file_locked_is_to_be_sent_again(store: Store, tmp_path: Path) -> None:
    """disk-02 with a locked file instead of a full disk."""
    other = sqlite3.connect(tmp_path / "messages.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert mailed(store, letter()) == 451
    assert pushed(store, 1).status_code == 503
    assert ask(store, "GET", "/api/messages").json()["messages"] == []
    other.close()
    assert mailed(store, letter()) == 250
    assert store.counts() == {"email": 2, "push": 0, "redelivered": 0}


def test_an_invalid_push_message_leaves_no_transaction_open(store: Store) -> None:
    assert ask(store, "POST", "/user-7", content="x", headers={"X-Priority": "none"}).status_code == 400
    assert pushed(store, 1).status_code == 200
