"""The dashboard in a real browser, before the running pipeline."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from fraudlab import system
from fraudlab.settings import Settings
from fraudlab.stack import ports
from fraudlab.stack.beside import free_ports
from fraudlab.stack.supervisor import Stack
from tests.e2e.conftest import Visit, visit
from tests.support.home import outside_pytest
from tests.support.lab import Lab, environment
from tests.support.waiting import eventually

HOSTILE = "<img src=x onerror=document.title='owned'>"
MILLISECONDS = re.compile(r"^\+[\d.]+ m?s$")
REFUSAL = "payment refused: the account is stopped because of suspicious activities"


def commit_fraud(page: Page, user: int) -> None:
    """Chooses a user by number and presses the button."""
    page.get_by_label("Whose card?").fill(str(user))
    page.get_by_role("button", name="Commit fraud").click()


def caught_and_refused(page: Page) -> None:
    """Waits until payment, activity, flag, e-mail, push and refusal are there, each with its milliseconds."""
    steps = page.get_by_role("list", name="What becomes of it").get_by_role("listitem")
    expect(steps).to_have_count(6)
    expect(steps.nth(0).locator(".step-after")).to_have_text("0 ms", timeout=30_000)
    for number in range(1, 6):
        expect(steps.nth(number).locator(".step-after")).to_have_text(MILLISECONDS, timeout=30_000)
    expect(steps.nth(5)).to_contain_text(REFUSAL)


def activity_of(page: Page, user: int) -> int:
    """How many of the activities that are shown are the user's."""
    return page.locator(".activity").filter(has_text=f"user {user}").count()


def test_the_fraud_button_leads_to_the_refused_payment(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(first_name="Grace", last_name="Hopper", home_country="US")
    commit_fraud(dashboard, user)
    caught_and_refused(dashboard)
    expect(dashboard.locator(".activity").filter(has_text=f"user {user}").first).to_contain_text("Grace Hopper")
    expect(dashboard.locator(".account").filter(has_text=f"user {user}")).to_be_visible()
    assert lab.is_stopped(user)
    ((reason,),) = lab.query("SELECT DISTINCT reason FROM declined_transactions WHERE user_id = %s", user)
    assert reason == REFUSAL


def test_without_a_choice_anybody_is_robbed(dashboard: Page, lab: Lab) -> None:
    lab.add_user()
    dashboard.get_by_label("Whose card?").fill("")
    dashboard.get_by_role("button", name="Commit fraud").click()
    caught_and_refused(dashboard)


def test_who_is_reinstated_can_pay_and_the_next_fraud_alerts_again(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(first_name="Alan", last_name="Turing", home_country="GB")
    commit_fraud(dashboard, user)
    caught_and_refused(dashboard)
    dashboard.get_by_role("button", name=f"Reinstate Alan Turing, user {user}").click()
    expect(dashboard.locator(".account").filter(has_text=f"user {user}")).to_have_count(0)
    assert not lab.is_stopped(user)
    before = len(lab.activity_ids(user))
    commit_fraud(dashboard, user)
    eventually(lambda: lab.times_stopped(user) == 2, "the account is stopped again")
    caught_and_refused(dashboard)
    assert len(lab.activity_ids(user)) > before
    expect(dashboard.locator(".account").filter(has_text=f"user {user}")).to_be_visible()


def test_a_stopped_account_cannot_be_robbed_and_the_page_says_what_to_do(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(first_name="Edsger", last_name="Dijkstra")
    lab.commit_fraud(user)
    lab.await_stopped(user)
    commit_fraud(dashboard, user)
    expect(
        dashboard.get_by_text("The account of Edsger Dijkstra is stopped already: reinstate it first.")
    ).to_be_visible()


def test_a_name_with_markup_is_shown_as_text(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(first_name=HOSTILE, last_name="{{ 7 * 7 }}")
    search = dashboard.get_by_label("Whose card?")
    search.fill("onerror")
    expect(dashboard.locator(".matches")).to_contain_text(HOSTILE)
    commit_fraud(dashboard, user)
    caught_and_refused(dashboard)
    for place in (".activity", ".account", ".fraud-card"):
        expect(dashboard.locator(place).filter(has_text=HOSTILE).first).to_contain_text("{{ 7 * 7 }}")
    assert dashboard.locator("img").count() == 0
    assert dashboard.title() == "Fraud, live"


def test_an_activity_is_on_the_page_in_less_than_a_second(dashboard: Page, lab: Lab) -> None:
    """A loose bound for a loaded machine; bench/dashboard.py has the figures."""
    took_s = []
    for _ in range(3):
        user = lab.add_user()
        lab.commit_fraud(user)
        began = time.monotonic()
        dashboard.locator(".activity").filter(has_text=f"user {user}").first.wait_for()
        took_s.append(time.monotonic() - began)
    assert min(took_s) < 1.0, took_s


def test_after_a_restart_of_the_service_the_open_page_comes_back_and_is_right(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user()
    lab.commit_fraud(user)
    dashboard.locator(".activity").filter(has_text=f"user {user}").first.wait_for()
    figure = dashboard.locator(".figure").filter(has_text="Suspicious activities").locator(".value")
    before = int(figure.inner_text().replace(",", ""))
    dashboard.evaluate("window.isTheOldPage = true")

    lab.stack.kill(lab.names.group("analytics"))
    dashboard.wait_for_function("window.isTheOldPage === undefined", timeout=60_000)

    other = lab.add_user()
    lab.commit_fraud(other)
    dashboard.locator(".activity").filter(has_text=f"user {other}").first.wait_for()
    activities = {one.json["activity_id"] for one in lab.topics.read(lab.names.suspicious_activities)}
    expect(figure).to_have_text(f"{len(activities):,}")
    assert len(activities) > before
    assert activity_of(dashboard, user) >= 1, "what came before the restart is there, too"
    ((stopped,),) = lab.query("SELECT COUNT(*) FROM user_profile WHERE suspicious_activities")
    stopped_figure = dashboard.locator(".figure").filter(has_text="Accounts stopped").locator(".value")
    eventually(lambda: stopped_figure.inner_text() == f"{stopped:,}", "the number of stopped accounts is right")


def test_no_request_leaves_the_machine(watched: Visit, settings: Settings, lab: Lab) -> None:
    watched.page.goto(settings.dashboard_url)
    user = lab.add_user()
    commit_fraud(watched.page, user)
    caught_and_refused(watched.page)
    assert {urlsplit(url).hostname for url in watched.requests if not url.startswith(("data:", "blob:"))} == {
        "127.0.0.1"
    }
    assert len(watched.requests) > 10
    assert watched.complaints == []


def test_everything_works_by_keyboard_alone(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(first_name="Barbara", last_name="Liskov", home_country="US")
    dashboard.keyboard.press("Tab")
    expect(dashboard.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab_to(dashboard, "Whose card?")
    dashboard.keyboard.type(str(user))
    dashboard.keyboard.press("Enter")
    caught_and_refused(dashboard)
    reinstate = f"Reinstate Barbara Liskov, user {user}"
    dashboard.get_by_role("button", name=reinstate).wait_for()  # the list of accounts may be later than the refusal
    tab_to(dashboard, reinstate)
    dashboard.keyboard.press("Enter")
    eventually(lambda: not lab.is_stopped(user), "the account is reinstated")


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the element of this accessible name has the focus."""
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
    for _ in range(80):
        page.keyboard.press("Tab")
        if name in (page.evaluate(focused) or ""):
            return
    raise AssertionError(f"Tab does not lead to {name!r}")


def test_a_screen_reader_finds_landmarks_headings_and_tables_for_charts(dashboard: Page, lab: Lab) -> None:
    lab.fraud_is_caught()
    expect(dashboard.get_by_role("banner")).to_be_visible()
    expect(dashboard.get_by_role("main")).to_be_visible()
    expect(dashboard.get_by_role("heading", level=1)).to_have_text("Fraud, live")
    titles = dashboard.get_by_role("heading", level=2).all_inner_texts()
    assert len(titles) == len(set(titles)) == 9
    for title in titles:
        expect(dashboard.get_by_role("region", name=title)).to_have_count(1)
    assert dashboard.locator("[aria-live=polite]").count() >= 1
    charts = dashboard.locator(".nicegui-echart").all()
    assert len(charts) == 3
    for chart in charts:
        assert chart.get_attribute("role") == "img"
        assert "table" in (chart.get_attribute("aria-label") or "")
    dashboard.get_by_text("Latencies as a table").click()
    rows = dashboard.get_by_role("table").filter(has_text="From commit to alert").get_by_role("row")
    eventually(lambda: rows.count() > 5, "the table has rows")


def test_nothing_is_cut_off_on_a_phone(browser: Browser, settings: Settings) -> None:
    with closing(browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)) as context:
        page = visit(context).page
        page.goto(settings.dashboard_url)
        page.locator(".page").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for card in page.locator(".card").all():
            box = card.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390


def test_light_and_dark_follow_the_system_and_the_choice_stays(browser: Browser, settings: Settings) -> None:
    with closing(browser.new_context(color_scheme="dark")) as context:
        page = visit(context).page
        page.goto(settings.dashboard_url)
        expect(page.locator("body")).to_have_class(re.compile("body--dark"))
        page.get_by_role("button", name="Theme: auto").click()
        expect(page.locator("body")).not_to_have_class(re.compile("body--dark"))
        page.reload()
        expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
        expect(page.locator("body")).not_to_have_class(re.compile("body--dark"))


@contextmanager
def another_dashboard(settings: Settings, host: str) -> Iterator[Settings]:
    """A dashboard of its own, bound to another address."""
    (port,) = free_ports(1)
    own = settings.model_copy(update={"dashboard_host": host, "dashboard_port": port})
    (program,) = [one for one in system.services(own) if one.name == own.names.group("analytics")]
    log = (settings.home / "logs" / "another-dashboard.log").open("ab")
    with log:
        process = subprocess.Popen(
            program.command,
            env=outside_pytest() | environment(own) | program.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: not ports.is_free("127.0.0.1", own.dashboard_port), "the other dashboard serves")
        yield own
    finally:
        process.terminate()
        process.wait(30)


def test_bound_elsewhere_it_asks_for_the_password(watched: Visit, settings: Settings) -> None:
    with another_dashboard(settings, "0.0.0.0") as own:  # noqa: S104
        page = watched.page
        page.goto(own.dashboard_url)
        expect(page.get_by_role("heading", name="Suspicious activities")).to_have_count(0)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        assert page.request.get(f"{own.dashboard_url}/land.svg", max_redirects=0).status == 307
        page.get_by_label("Password").fill(Stack(own).secrets.secret("dashboard_password"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Suspicious activities")).to_be_visible()


@pytest.mark.parametrize("headers", [{"Host": "rebound.example"}, {"Origin": "http://evil.example"}])
def test_what_another_web_site_makes_a_browser_send_is_refused(
    watched: Visit, settings: Settings, headers: dict[str, str]
) -> None:
    assert watched.page.request.get(settings.dashboard_url).status == 200
    assert watched.page.request.get(settings.dashboard_url, headers=headers).status == 403
