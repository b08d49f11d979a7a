"""How fast frauds and activities are on the dashboard, and how it bears a backlog. `python bench/dashboard.py`, on a running system.

Ends with status 1 where a goal is missed.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from operator import attrgetter
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from fraudlab import system
from fraudlab.clients.waiting import answered, until
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.records import Activity, encode, epoch_ms, example, iso, read_activity
from fraudlab.settings import Settings
from fraudlab.stack.program import Program
from fraudlab.stack.provision.system import chromium
from fraudlab.stack.supervisor import Stack
from fraudlab.verification.score import percentile

LEARNER = "benchdash"
"""Topics and a database of its own: nothing of the running system is touched."""
COUNTRIES = ("DE", "FR", "PL", "GB", "US", "BR")
DEADLINE_S = 120
ASK_EVERY_S = 0.05
"""A room full of people who all open the page."""
FRAUDS = 20
STAGE_P99_MS, LATENCY_P99_MS, ANSWER_P99_MS, RESIDENT_MIB = 1_000, 300, 100, 200
"""The goals."""
OBSERVE = """() => {
  window.arrivals = {};
  const note = (node) => {
    const name = node.dataset && node.dataset.activity;
    if (name && !(name in window.arrivals)) window.arrivals[name] = Date.now();
  };
  document.querySelectorAll(".activity").forEach(note);
  new MutationObserver((changes) => changes.forEach((one) => one.addedNodes.forEach(note)))
    .observe(document.querySelector(".stream"), { childList: true });
}"""

console = Console(highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="how long 10 activities a second come")
    parser.add_argument("--backlog", type=int, default=10_000)
    parser.add_argument("--port", type=int, default=18_090, help="of the dashboard that is measured")
    arguments = parser.parse_args()
    settings = Settings().model_copy(update={"learner": LEARNER, "dashboard_port": arguments.port})
    stack = Stack(settings)
    if not stack.is_running():
        sys.exit("The stack is not running. Next: `make up`, then this again.")
    (program,) = [one for one in system.services(settings) if one.name == settings.names.group("analytics")]
    workspace = Workspace(settings)
    workspace.reset()
    try:
        figures = measure(workspace, program, arguments.seconds, arguments.backlog)
    finally:
        workspace.reset()
    report(figures, Settings().home / "bench-dashboard.json")
    if goals_missed := missed(figures):
        sys.exit(f"Missed: {'; '.join(goals_missed)}.")


def measure(workspace: Workspace, program: Program, seconds: int, backlog: int) -> dict[str, Any]:
    """All figures: `stage_ms` from a fraud's commit to the page, `latency_ms` from Kafka to it, `answers_ms` of the page meanwhile,
    `opened_ms`, `resident_mib`."""
    settings, stack = workspace.settings, workspace.stack
    producer = system.kafka(settings).producer(acks="all")
    figures: dict[str, Any] = {"activities_per_s": 10, "backlog": backlog}
    stack.add_program(program)
    wait_for_page(settings)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(settings.dashboard_url)
        page.wait_for_selector(".waiting", state="hidden", timeout=DEADLINE_S * 1000)
        page.evaluate(OBSERVE)
        figures["stage_ms"] = on_stage(page, workspace)
        staged = workspace.count("suspicious_activities")
        figures["latency_ms"] = latencies(page, producer, workspace, 10 * seconds)
        figures["resident_mib_live"] = resident_mib(stack, program.name)

        began, first = time.monotonic(), 1_000_000
        for number in range(first, first + backlog):
            producer.send(settings.names.suspicious_activities, activity(number), key=str(number % 5_000).encode())
        producer.flush()
        wanted = f"{staged + 10 * seconds + backlog:,}"
        answers = [answer_ms(settings)]
        while shown(page) != wanted:
            time.sleep(ASK_EVERY_S)
            answers.append(answer_ms(settings))
            if time.monotonic() > began + DEADLINE_S:
                sys.exit(f"The dashboard shows {shown(page)} activities, not {wanted}.")
        figures["backlog_with_page_open_s"] = round(time.monotonic() - began, 2)
        figures["opened_ms"] = opened_ms(browser, settings)
        browser.close()

    stack.remove_program(program.name)
    stack.add_program(program)
    wait_for_page(settings)
    # It reads all of it from the beginning now, and answers meanwhile.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        time.sleep(ASK_EVERY_S)
        answers.append(answer_ms(settings))
    figures["answers_ms"] = answers
    figures["resident_mib_backlog"] = resident_mib(stack, program.name)
    producer.close()
    return figures


def on_stage(page: Page, workspace: Workspace) -> list[int]:
    """Milliseconds from the commit to the page, of frauds that its button commits; the pipeline runs only here."""
    workspace.start_pipeline("cdc-ingestion", "transaction-join", "fraud-detector")
    services = ("flagger", "notifier")
    for service in services:
        workspace.start_service(service)
    users = [workspace.open_account() for _ in range(FRAUDS)]
    for user in users:
        page.get_by_label("Whose card?").fill(str(user))
        page.get_by_role("button", name="Commit fraud").click()
        page.locator(".account").filter(has_text=f"user {user}").wait_for(timeout=DEADLINE_S * 1000)
    workspace.cancel()
    for service in services:
        workspace.stop_service(service)
    found = [read_activity(record.value) for record in workspace.records("suspicious_activities")]
    first = {one.user_id: one for one in sorted(found, key=attrgetter("created_at"), reverse=True)}
    arrivals = page.evaluate("window.arrivals")
    return [round(arrivals[first[user].activity_id] - epoch_ms(first[user].created_at)) for user in users]


def activity(number: int) -> bytes:
    """An activity as the detector writes it, of a payment that was committed just now."""
    now_ms = time.time_ns() // 1_000_000
    one, other = COUNTRIES[number % 6], COUNTRIES[(number + 1 + number // 6 % 5) % 6]
    return encode(
        example(
            Activity,
            activity_id=f"activity-{number}",
            user_id=number % 5_000,
            window_start=iso(now_ms - 3_600_000),
            window_end=iso(now_ms),
            countries=sorted({one, other}),
            transaction_ids=[number - 1, number],
            transaction_id=number,
            known_by=number,
            created_at=iso(now_ms - 13),
            detected_at=iso(now_ms),
        )
    )


def latencies(page: Page, producer: Any, workspace: Workspace, count: int) -> list[int]:
    """Milliseconds from the broker's time of arrival to the page's, of `count` activities at 10 a second."""
    first = 100_000  # no payment on stage has such a number
    names = [f"activity-{number}" for number in range(first, first + count)]
    began = time.monotonic()
    for number in range(first, first + count):
        while time.monotonic() < began + (number - first) / 10:
            time.sleep(0.001)
        producer.send(workspace.names.suspicious_activities, activity(number), key=str(number % 5_000).encode())
    producer.flush()
    stored = {
        read_activity(record.value).activity_id: record.written_ms
        for record in workspace.records("suspicious_activities")
    }

    def missing() -> list[str]:
        arrived = page.evaluate("window.arrivals")
        return [name for name in names if name not in arrived]

    if not until(lambda: not missing(), DEADLINE_S):
        sys.exit(f"{len(missing())} of {count} activities never came to the page.")
    arrivals = page.evaluate("window.arrivals")
    return [arrivals[name] - stored[name] for name in names]


def shown(page: Page) -> str:
    """The number of activities on the page."""
    return page.locator(".figure").filter(has_text="Suspicious activities").locator(".value").inner_text()


def answer_ms(settings: Settings) -> float:
    """How long the page takes to be answered, in full."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", settings.dashboard_port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == http.client.OK
    return (time.perf_counter() - began) * 1000


def opened_ms(browser: Browser, settings: Settings) -> int:
    """How long it takes a browser to load the page and to show activities on it."""
    began = time.perf_counter()
    page = browser.new_page()
    page.goto(settings.dashboard_url)
    page.wait_for_selector(".activity", timeout=DEADLINE_S * 1000)
    took = time.perf_counter() - began
    page.close()
    return round(took * 1000)


def wait_for_page(settings: Settings) -> None:
    """Waits until the page is served."""
    try:
        answered(lambda: answer_ms(settings), OSError, DEADLINE_S, 0.1)
    except OSError:
        sys.exit("The dashboard did not become ready: `fraudlab logs analytics`.")


def resident_mib(stack: Stack, name: str) -> int:
    """The memory of the dashboard's process."""
    return next(one.resident_mib for one in stack.status() if one.name == name)


def report(figures: dict[str, Any], path: Path) -> None:
    """Prints the table and keeps the figures."""
    table = Table("", "p50", "p99", "goal", title="The dashboard")
    stage, latency, answers = (sorted(figures[name]) for name in ("stage_ms", "latency_ms", "answers_ms"))
    table.add_row(
        f"fraud's commit in MySQL to the page, {len(stage)} by the button",
        f"{percentile(stage, 50):.0f} ms",
        f"{percentile(stage, 99):.0f} ms",
        f"p99 < {STAGE_P99_MS} ms",
    )
    table.add_row(
        f"activity in Kafka to the page, {len(latency)} at 10/s",
        f"{percentile(latency, 50):.0f} ms",
        f"{percentile(latency, 99):.0f} ms",
        f"p99 < {LATENCY_P99_MS} ms",
    )
    table.add_row(
        f"the page's answer, {len(answers)} while {figures['backlog']:,} activities come",
        f"{statistics.median(answers):.0f} ms",
        f"{percentile(answers, 99):.0f} ms",
        f"p99 < {ANSWER_P99_MS} ms",
    )
    table.add_row(
        "resident, live and after the backlog",
        f"{figures['resident_mib_live']} MiB",
        f"{figures['resident_mib_backlog']} MiB",
        f"< {RESIDENT_MIB} MiB",
    )
    console.print(table)
    console.print(f"The backlog was on the open page after {figures['backlog_with_page_open_s']} s.")
    console.print(
        f"A second page, opened afterwards, showed activities after {figures['opened_ms']} ms, in the browser."
    )
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console.print(f"Figures are in {path}; they are those of this machine and of what else it does.")


def missed(figures: dict[str, Any]) -> list[str]:
    """The goals that were not reached, in words."""
    taken = {
        "ms at p99 from a fraud's commit to the page": (percentile(sorted(figures["stage_ms"]), 99), STAGE_P99_MS),
        "ms at p99 from Kafka to the page": (percentile(sorted(figures["latency_ms"]), 99), LATENCY_P99_MS),
        "ms at p99 for the page's answer": (percentile(sorted(figures["answers_ms"]), 99), ANSWER_P99_MS),
        "MiB resident, live": (figures["resident_mib_live"], RESIDENT_MIB),
        "MiB resident after the backlog": (figures["resident_mib_backlog"], RESIDENT_MIB),
    }
    return [f"{value:.0f} {what}, not below {goal}" for what, (value, goal) in taken.items() if value >= goal]


if __name__ == "__main__":
    main()
