"""The dashboard in a real browser, before the running pipeline."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from fraudlab import system
from fraudlab.services.analytics import formatting
from fraudlab.settings import ANYWHERE, LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.second_stack import free_ports
from fraudlab.stack.supervisor import Stack
from tests.e2e.conftest import Visit, visit
from tests.e2e.legibility import ILLEGIBLE
from tests.support.home import outside_pytest
from tests.support.lab import Lab
from tests.support.waiting import eventually, patient

HOSTILE = "<img src=x onerror=document.title='owned'>"
PAYMENT = re.compile(r"[\d,.]+ [A-Z]{3} in [A-Z]{2}, \S+")
MILLISECONDS = re.compile(r"^\+[\d.]+ m?s$")
NO_ADDRESS = "the person has no usable e-mail address"
REFUSAL = "payment refused: the account is stopped because of suspicious activities"


def press(page: Page, user: int) -> Locator:
    """Chooses a user by number and presses the button; gives the button."""
    page.get_by_label("Whose card?").fill(str(user))
    button = page.get_by_role("button", name="Commit fraud")
    button.click()
    return button


def commit_fraud(page: Page, user: int) -> None:
    """Commits a fraud; returns when it is on stage, in the place of the one before."""
    expect(press(page, user)).to_be_disabled()


def step(page: Page, number: int) -> Locator:
    """One of the six things that become of a fraud on stage."""
    return page.get_by_role("list", name="What becomes of it").get_by_role("listitem").nth(number)


def caught_and_refused(page: Page) -> None:
    """Waits until payment, activity, flag, e-mail, push and refusal are there, each with its milliseconds."""
    expect(page.get_by_role("button", name="Commit fraud")).to_be_enabled()  # all of it is played
    expect(step(page, 0).locator(".step-after")).to_have_text("0 ms")
    expect(step(page, 0)).to_contain_text(PAYMENT)
    for number in range(1, 6):
        expect(step(page, number).locator(".step-after")).to_have_text(MILLISECONDS)
    expect(step(page, 5)).to_contain_text(REFUSAL)


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
    lab.fraud_is_caught()  # a pipeline that has just started takes longer for its first fraud than the thief pays
    lab.add_user()
    ((before,),) = lab.query("SELECT COUNT(*) FROM declined_transactions")
    dashboard.get_by_label("Whose card?").fill("")
    dashboard.get_by_role("button", name="Commit fraud").click()
    eventually(lambda: lab.query("SELECT COUNT(*) FROM declined_transactions") > [(before,)], "somebody is refused")
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
    press(dashboard, user)
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


def test_a_mail_server_that_hangs_is_seen_as_a_stalled_stage(dashboard: Page, lab: Lab) -> None:
    messages, flags = (dashboard.locator(".stage").filter(has_text=name) for name in ("Messages sent", "Flags set"))
    expect(messages).to_contain_text("lag 0")
    lab.stack.kill("inbox", signal.SIGSTOP)
    try:
        lab.fraud_is_caught()
        expect(messages).to_contain_text("stalled")
        expect(messages).to_contain_text("lag 2")
        expect(flags).not_to_contain_text("stalled")
    finally:
        lab.stack.kill("inbox", signal.SIGCONT)
    expect(messages).to_contain_text("lag 0")
    expect(messages).not_to_contain_text("stalled")


def test_a_message_that_cannot_be_delivered_and_its_dead_letter_are_shown(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(email="nobody at example.com")
    commit_fraud(dashboard, user)
    expect(step(dashboard, 3)).to_contain_text("not sent")
    expect(step(dashboard, 4).locator(".step-after")).to_have_text(MILLISECONDS)
    problems = dashboard.get_by_role("region", name="What needs a person")
    message = problems.get_by_role("listitem").filter(has_text=f"email to user {user}")
    expect(message).to_contain_text(NO_ADDRESS)
    letter = problems.get_by_role("listitem").filter(has_text=f"from {lab.names.suspicious_activities}").first
    expect(letter).to_contain_text(NO_ADDRESS)
    letters = len({one["dead_letter_id"] for one in lab.dead_letters()})
    expect(problems).to_contain_text(formatting.counted(letters, "dead letter"))


def test_flow_and_map_hold_what_mysql_and_kafka_hold(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(home_country="IS")
    lab.pay(user, "600.00", "IS")
    lab.await_activities(user, [lab.pay(user, "600.00", "NZ")])
    lab.await_stopped(user)
    dashboard.get_by_text("Pairs of countries as a table").click()
    pair = dashboard.get_by_role("row").filter(has_text="Iceland and New Zealand")
    eventually(lambda: pair.count() == 1, "the pair is in the map's table")
    counts = {
        "MySQL": "SELECT COUNT(*) FROM transactions",
        "Flags set": "SELECT COUNT(*) FROM flag_changes WHERE suspicious_activities",
        "Messages sent": "SELECT COUNT(*) FROM notifications WHERE status = 'sent'",
        "Payments refused": "SELECT COUNT(*) FROM declined_transactions",
    }

    def is_right(name: str) -> bool:
        shown = dashboard.locator(".stage").filter(has_text=name).locator(".stage-count").inner_text()
        return shown == f"{lab.query(counts[name])[0][0]:,}"

    eventually(lambda: all(is_right(name) for name in counts), "the numbers in the flow are right")


def test_a_stopped_account_that_the_search_finds_is_reinstated_there(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user(first_name="Radia", last_name="Perlman")
    lab.commit_fraud(user)
    lab.await_stopped(user)
    dashboard.get_by_label("Whose card?").fill(str(user))
    dashboard.get_by_role("button", name=f"Reinstate Radia Perlman · {user}").click()
    eventually(lambda: not lab.is_stopped(user), "the account is reinstated")
    expect(dashboard.get_by_role("button", name=f"Radia Perlman · {user}", exact=False)).not_to_contain_text(
        "Reinstate"
    )


def test_after_a_restart_of_the_service_the_open_page_comes_back_and_is_right(dashboard: Page, lab: Lab) -> None:
    user = lab.add_user()
    lab.commit_fraud(user)
    dashboard.locator(".activity").filter(has_text=f"user {user}").first.wait_for()
    figure = dashboard.locator(".figure").filter(has_text="Suspicious activities").locator(".value")
    before = int(figure.inner_text().replace(",", ""))
    dashboard.evaluate("window.isTheOldPage = true")

    lab.stack.kill(lab.names.group("analytics"))
    dashboard.wait_for_function("window.isTheOldPage === undefined", timeout=patient(60_000))

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
    assert watched.hosts == {"127.0.0.1"}
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_cut_off_and_all_text_stands_out_from_what_is_behind_it(
    browser: Browser, settings: Settings, lab: Lab, scheme: Literal["light", "dark"], width: int
) -> None:
    """WCAG 2.2, success criterion 1.4.3 (AA): a contrast of 4.5, of large text 3."""
    lab.fraud_is_caught()
    with closing(
        browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme=scheme,
            reduced_motion="reduce",
            has_touch=width < 1000,
        )
    ) as context:
        page = visit(context).page
        page.goto(settings.dashboard_url)
        page.locator(".activity").first.wait_for()
        page.locator(".stage.is-unknown").first.wait_for(state="detached")
        page.locator(".chart svg text").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for card in page.locator(".card").all():
            box = card.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        texts = page.evaluate(ILLEGIBLE)
        assert texts["illegible"] == []
        assert texts["read"] > 100


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


@pytest.fixture(scope="module")
def elsewhere(settings: Settings) -> Iterator[Settings]:
    """A dashboard of its own, bound to all addresses; its database is away."""
    port, mysql_port = free_ports(2)
    own = settings.model_copy(update={"dashboard_host": ANYWHERE, "dashboard_port": port, "mysql_port": mysql_port})
    (program,) = [one for one in system.services(own) if one.name == own.names.group("analytics")]
    log = (settings.home / "logs" / "another-dashboard.log").open("ab")
    with log:
        process = subprocess.Popen(
            program.command,
            env=outside_pytest() | own.environment() | program.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: not ports.is_free(LOOPBACK, own.dashboard_port), "the other dashboard serves")
        yield own
    finally:
        process.terminate()
        process.wait(patient(30))


def log_in(page: Page, settings: Settings) -> None:
    """Types the password and waits for the dashboard."""
    page.get_by_label("Password").fill(Stack(settings).secrets.secret("dashboard_password"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Suspicious activities")).to_be_visible()


def test_bound_elsewhere_it_asks_for_the_password(watched: Visit, elsewhere: Settings) -> None:
    page = watched.page
    page.goto(elsewhere.dashboard_url)
    expect(page.get_by_role("heading", name="Suspicious activities")).to_have_count(0)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    assert page.request.get(f"{elsewhere.dashboard_url}/land.svg", max_redirects=0).status == 307
    log_in(page, elsewhere)


def test_without_its_database_the_page_says_what_cannot_be_done(watched: Visit, elsewhere: Settings) -> None:
    page = watched.page
    page.goto(elsewhere.dashboard_url)
    log_in(page, elsewhere)
    page.get_by_role("button", name="Commit fraud").click()
    expect(page.locator(".fraud-who")).to_contain_text("MySQL does not answer")
    expect(page.locator(".waiting")).to_contain_text("waiting for MySQL")
    expect(page.locator(".stage").filter(has_text="payments stored")).to_contain_text("not known")


@pytest.mark.parametrize("headers", [{"Host": "rebound.example"}, {"Origin": "http://evil.example"}])
def test_what_another_web_site_makes_a_browser_send_is_refused(
    watched: Visit, settings: Settings, headers: dict[str, str]
) -> None:
    assert watched.page.request.get(settings.dashboard_url).status == 200
    assert watched.page.request.get(settings.dashboard_url, headers=headers).status == 403
