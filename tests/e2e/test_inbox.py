"""The inbox's page in a real browser; an inbox of its own, without the rest of the system."""

import re
import smtplib
import socket
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from email.utils import make_msgid
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from fraudlab.settings import LOOPBACK, Settings
from tests.e2e.conftest import Visit, visit
from tests.support.inbox import running_inbox
from tests.support.waiting import eventually, patient

HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running inbox's settings."""
    with running_inbox(tmp_path_factory.mktemp("inbox")) as (settings, _):
        yield settings


def mail(inbox: Settings, title: str, html: str = "<p>rich</p>", to: str = "Ada <ada@example.com>") -> None:
    """Sends a mail."""
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = title, "The Lab Bank <bank@lab-bank.example>", to
    letter["Message-ID"] = make_msgid(domain="lab-bank.example")
    letter.set_content("plain\n")
    letter.add_alternative(html, subtype="html")
    with smtplib.SMTP(LOOPBACK, inbox.inbox_smtp_port, "localhost", timeout=patient(10)) as server:
        server.send_message(letter)


def push(inbox: Settings, topic: str, title: str, text: str = "stopped", **fields: object) -> None:
    """Publishes a push message."""
    message = {"topic": topic, "title": title, "message": text} | fields
    httpx.post(inbox.inbox_url, json=message, trust_env=False).raise_for_status()


@pytest.fixture
def page(watched: Visit, inbox: Settings) -> Page:
    """The open page."""
    watched.page.goto(inbox.inbox_page)
    expect(watched.page.get_by_role("heading", name="Inbox")).to_be_visible()
    return watched.page


def test_mail_and_push_appear_while_one_watches_and_no_request_leaves_the_machine(
    page: Page, watched: Visit, inbox: Settings
) -> None:
    page.evaluate("window.isTheSamePage = true")
    push(inbox, "user-1", "Your account is stopped", priority=4, tags=["rotating_light"])
    expect(page.get_by_role("region", name="Phone").get_by_role("heading", name="🚨 Your account")).to_be_visible()
    mail(inbox, "We stopped your account")
    letter = page.get_by_role("region", name="Mail", exact=True).get_by_role("button", name="We stopped your account")
    expect(letter).to_contain_text("Ada")
    letter.click()
    expect(letter).to_have_attribute("aria-current", "true")
    reader = page.get_by_role("region", name="The open mail")
    expect(reader.get_by_role("heading")).to_have_text("We stopped your account")
    expect(page.frame_locator("iframe").get_by_text("rich")).to_be_visible()
    reader.get_by_role("tab", name="Text").click()
    expect(reader.get_by_text("plain")).to_be_visible()
    letter.click()
    push(inbox, "user-1", "Later")
    expect(page.get_by_role("heading", name="Later")).to_be_visible()
    expect(reader.get_by_text("plain"), "choosing the open mail again changes nothing").to_be_visible()
    reader.get_by_role("tab", name="Headers").click()
    expect(reader.get_by_text("From: The Lab Bank <bank@lab-bank.example>")).to_be_visible()
    assert page.evaluate("window.isTheSamePage")
    places = {urlsplit(url).netloc for url in watched.requests if not url.startswith(("data:", "blob:"))}
    assert places == {urlsplit(inbox.inbox_page).netloc}
    assert len(watched.requests) > 10
    assert watched.complaints == []


def test_what_is_delivered_again_is_shown_once_with_how_often_it_came(page: Page, inbox: Settings) -> None:
    for _ in range(3):
        push(inbox, "user-2", "Once", sequence_id="the-same")
    shown = page.get_by_role("article").filter(has_text="Once")
    expect(shown).to_contain_text("delivered 3 times, shown once")
    expect(shown).to_have_count(1)


def test_names_with_markup_are_shown_as_text(page: Page, inbox: Settings) -> None:
    mail(inbox, f"Subject {HOSTILE}", to=f'"{HOSTILE}" <eve@example.com>')
    push(inbox, "user-3", f"Title {HOSTILE}", f"Text {HOSTILE}")
    letter = page.get_by_role("button", name=f"Subject {HOSTILE}")
    expect(letter.locator(".who")).to_have_text(HOSTILE)
    letter.click()
    expect(page.get_by_role("region", name="The open mail")).to_contain_text(f"Subject {HOSTILE}")
    expect(page.get_by_role("article").filter(has_text=f"Title {HOSTILE}")).to_contain_text(f"Text {HOSTILE}")
    assert page.locator("img").count() == 0
    assert page.title() == "Inbox"


def test_a_mail_runs_nothing_and_connects_to_nobody_whatever_is_in_it(page: Page, inbox: Settings) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as spy:
        spy.setblocking(False)
        outside = f"http://{LOOPBACK}:{spy.getsockname()[1]}"
        mail(
            inbox,
            "Look at this picture",
            f"<style>@import '{outside}/style.css'; body {{ background: url({outside}/back.png) }}</style>"
            f"<img src='{outside}/seen.png'><script>top.document.title = 'owned'</script><script src='{outside}/x.js'></script>"
            f"<iframe src='{outside}/frame'></iframe><form action='{outside}/form'><button>Send</button></form>"
            f"<object data='{outside}/object'></object><embed src='{outside}/embed'><a href='{outside}/link'>Click here</a>",
        )
        page.get_by_role("button", name="Look at this picture").click()
        frame = page.frame_locator("iframe[title='The mail as HTML']")
        frame.get_by_text("Click here").click()
        page.wait_for_load_state("networkidle")
        with pytest.raises(BlockingIOError):
            spy.accept()
        assert page.title() == "Inbox"
        page.evaluate("url => { new Image().src = url }", f"{outside}/here.png")
        eventually(lambda: came(spy), "what a page does fetch is noticed")


def came(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_the_filter_shows_one_persons_messages_also_those_that_come_later(page: Page, inbox: Settings) -> None:
    push(inbox, "user-41", "For somebody else")
    push(inbox, "user-42", "For Grace")
    page.get_by_label("Filter by person").fill("user-42")
    expect(page.get_by_text("For somebody else")).to_have_count(0)
    expect(page.get_by_text("No mail for this person.")).to_be_visible()
    push(inbox, "user-41", "Another for somebody else")
    push(inbox, "user-42", "Another for Grace")
    expect(page.get_by_text("Another for Grace")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(2)


def test_a_screen_reader_finds_landmarks_and_hears_of_what_came(page: Page, inbox: Settings) -> None:
    expect(page.get_by_role("banner")).to_be_visible()
    expect(page.get_by_role("main")).to_be_visible()
    voice = page.locator("[aria-live=polite]")
    expect(voice).to_have_text("")
    for number in range(3):
        push(inbox, "user-5", f"Message {number}")
    expect(voice).to_have_text(re.compile(r"^New: 0 mails, [123] push messages\.$"))


def test_nothing_is_cut_off_on_a_phone(browser: Browser, inbox: Settings) -> None:
    mail(inbox, "A subject that is so long that it can never have room in one line of a phone " * 2)
    push(inbox, "user-6", "Your account is stopped", "word" * 60, priority=5)
    with closing(browser.new_context(viewport={"width": 390, "height": 844})) as context:
        page = visit(context).page
        page.goto(inbox.inbox_page)
        expect(page.get_by_role("article").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
