"""From an activity in Kafka to the mail in the inbox and the push message on the phone: latency, a backlog, memory.

`python bench/notifications.py` starts what is missing of the stack. Exit status 1 where a goal is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psutil
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from fraudlab import system
from fraudlab.clients.topics import end_offsets
from fraudlab.clients.waiting import until
from fraudlab.pipeline.records import Activity, encode, example, iso
from fraudlab.settings import Settings
from fraudlab.stack.provision.system import chromium
from fraudlab.stack.supervisor import Stack
from fraudlab.verification.score import percentile

LEARNER = "bench"
CHANNELS = ("email", "push")
DEADLINE_S = 1800
P99_GOAL_MS, MEMORY_GOAL_MIB = 300, 200
OBSERVE = """() => {
  window.arrivals = {};
  new MutationObserver((changes) => changes.forEach((one) => one.addedNodes.forEach((node) => {
    const app = node.querySelector && node.querySelector("article .app span");
    if (app) window.arrivals[app.textContent] ??= Date.now();
  }))).observe(document.querySelector(".screen ol"), { childList: true, subtree: true });
}"""
console = Console(highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long activities come at --rate")
    parser.add_argument("--rate", type=float, default=10, help="activities per second")
    parser.add_argument("--backlog", type=int, default=10_000, help="activities that wait when the notifier starts")
    arguments = parser.parse_args()
    shared = Settings()
    stack = Stack(shared, console.print)
    stack.install()
    stack.start()
    settings = shared.model_copy(update={"learner": LEARNER})
    system.prepare(settings)
    (inbox,) = [one for one in system.services(shared) if one.name == "inbox"]
    stack.add_program(inbox)
    wait_for_inbox(shared)
    figures = {
        "latency": latency(settings, round(arguments.seconds * arguments.rate), arguments.rate),
        "backlog": backlog(settings, arguments.backlog),
    }
    figures["backlog"]["resident_mib"]["inbox"] = resident_mib(shared, "inbox")
    path = shared.home / "bench-notifications.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console.print(f"Figures are in {path}. Seconds are those of this machine.")
    missed = [
        f"{what}: p99 {figure['p99_ms']} ms, not under {P99_GOAL_MS} ms"
        for what, figure in figures["latency"].items()
        if figure["p99_ms"] >= P99_GOAL_MS
    ] + [
        f"the {program} takes {mib} MiB, not under {MEMORY_GOAL_MIB} MiB"
        for program, mib in figures["backlog"]["resident_mib"].items()
        if mib >= MEMORY_GOAL_MIB
    ]
    if missed:
        sys.exit("Missed: " + "; ".join(missed) + ".")


def latency(settings: Settings, count: int, rate: float) -> dict[str, Any]:
    """Activities at a steady rate; from the record's time in Kafka to the inbox's and to the open page's phone, in ms."""
    with Service(settings, "notifier"), Writer(settings) as writer, open_phone(settings) as phone:
        for _ in range(20):  # connections, templates and tables of locales are loaded with the first ones
            writer.write()
        wait_until_told(settings, writer.users)
        written: dict[int, int] = {}
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            user_id, at_ms = writer.write()
            written[user_id] = at_ms
        wait_until_told(settings, writer.users)
        arrivals = {
            f"{kind} in the inbox": {user_of(one["recipient"]): one["received_ms"] for one in messages(settings, kind)}
            for kind in CHANNELS
        }
        arrivals["push on the phone"] = arrived_on_the_phone(phone, written.keys())
    figures = {}
    for what, arrived in arrivals.items():
        taken = sorted(arrived[user_id] - at_ms for user_id, at_ms in written.items())
        figures[what] = {"p50_ms": statistics.median(taken), "p99_ms": percentile(taken, 99), "max_ms": taken[-1]}
        console.print(f"{what}: {count} activities at {rate:.0f}/s, since the activity was in Kafka: {figures[what]}")
    return figures


def wait_for_inbox(settings: Settings) -> None:
    """Waits until the inbox shows its page."""
    if not until(lambda: system.problem(settings, "inbox") is None, 60):
        sys.exit("The inbox is not ready. See `fraudlab status` and `fraudlab logs inbox`.")


@contextmanager
def open_phone(settings: Settings) -> Iterator[Page]:
    """The inbox's page in a browser, which notes when each push message is on the phone."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(settings.inbox_page)
        page.wait_for_selector(".screen ol li")
        page.evaluate(OBSERVE)
        yield page
        browser.close()


def arrived_on_the_phone(page: Page, users: Collection[int]) -> dict[int, int]:
    """When each of these people's push messages was on the open page, in ms since the epoch."""

    def arrived() -> dict[int, int]:
        return {user_of(topic): at_ms for topic, at_ms in page.evaluate("window.arrivals").items()}

    if not until(lambda: set(users) <= arrived().keys(), 60):
        sys.exit("Some push messages never came to the open page.")
    return arrived()


def backlog(settings: Settings, count: int) -> dict[str, Any]:
    """Activities of as many people that wait when the services start: how long until all are told, and the services' memory."""
    with Writer(settings) as writer:
        for _ in range(count):
            writer.write(wait=False)
    began = time.monotonic()
    with Service(settings, "notifier") as notifier, Service(settings, "flagger") as flagger:
        wait_until_told(settings, writer.users)
        took_s = time.monotonic() - began
        wait_until_read(settings, "flagger")
        resident = {"notifier": notifier.resident_mib(), "flagger": flagger.resident_mib()}
    for kind in CHANNELS:
        there = [user_of(one["recipient"]) for one in messages(settings, kind)]
        mine = [user_id for user_id in there if user_id in writer.users]
        if sorted(mine) != sorted(writer.users):
            sys.exit(f"{kind}: {len(mine)} messages for {count} people: they are not told exactly once.")
    console.print(
        f"{count} activities in a backlog: all {2 * count} messages sent in {took_s:.1f} s "
        f"({2 * count / took_s:.0f}/s), none lost, none twice; afterwards {resident} MiB"
    )
    return {"activities": count, "seconds": round(took_s, 1), "resident_mib": resident}


class Service:
    """A service of the bench's own learner, as a process."""

    def __init__(self, settings: Settings, service: str) -> None:
        name = settings.names.group(service)
        (self._program,) = [one for one in system.services(settings) if one.name == name]

    def __enter__(self) -> "Service":
        environment = os.environ | self._program.environment
        self._process = subprocess.Popen(self._program.command, env=environment, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def resident_mib(self) -> int:
        """Its resident memory."""
        return round(psutil.Process(self._process.pid).memory_info().rss / 2**20)


class Writer:
    """Writes activities of people who never had one."""

    _next_user = int(time.time()) % 1_000_000 * 1_000

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.names.suspicious_activities
        self._producer = system.kafka(settings).producer(acks="all")
        self.users: set[int] = set()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush()
        self._producer.close()

    def write(self, *, wait: bool = True) -> tuple[int, int]:
        """One activity; gives the user and, where waited for, the record's time in ms since the epoch."""
        Writer._next_user += 1
        user_id, now_ms = Writer._next_user, time.time_ns() // 1_000_000
        activity = example(
            Activity,
            activity_id=f"activity-{user_id}",
            user_id=user_id,
            user_email=f"user{user_id}@{LEARNER}.example.com",
            window_start=iso(now_ms - 3_600_000),
            window_end=iso(now_ms),
            created_at=iso(now_ms),
            detected_at=iso(now_ms),
        )
        sent = self._producer.send(self._topic, key=str(user_id).encode(), value=encode(activity))
        self.users.add(user_id)
        return user_id, sent.get(timeout=30).timestamp if wait else now_ms


def wait_until_told(settings: Settings, users: set[int]) -> None:
    """Waits until the table says that all of them were told by both channels."""
    query = "SELECT COUNT(*) FROM notifications WHERE status = 'sent' AND user_id BETWEEN %s AND %s"
    with closing(system.connect(settings, "operator", database=settings.names.database, autocommit=True)) as connection:

        def told() -> int:
            with connection.cursor() as cursor:
                cursor.execute(query, (min(users), max(users)))
                return int(cursor.fetchone()[0])

        if not until(lambda: told() == 2 * len(users), DEADLINE_S):
            sys.exit(f"Not everybody was told within {DEADLINE_S} s. See the table notifications.")


def wait_until_read(settings: Settings, service: str) -> None:
    """Waits until a service has committed the end of the topic."""
    group, topic = settings.names.group(service), settings.names.suspicious_activities
    with closing(system.kafka(settings).consumer(group_id=None)) as consumer:
        ends = end_offsets(consumer, [topic])
    with closing(system.kafka(settings).admin()) as admin:

        def all_read() -> bool:
            committed = admin.list_group_offsets(group).get(group, {})
            return all(one in committed and committed[one].offset >= ends[one] for one in ends if ends[one])

        if not until(all_read, DEADLINE_S, 0.5):
            sys.exit(f"The {service} has not read everything within {DEADLINE_S} s.")


def messages(settings: Settings, kind: str) -> list[dict[str, Any]]:
    """What the inbox has of a kind for this learner."""
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=settings.inbox_url, timeout=60, trust_env=False) as client:
        while True:
            after = found[-1]["number"] if found else 0
            page = client.get("/api/messages", params={"kind": kind, "after": after, "limit": 5000}).json()["messages"]
            found += page
            if len(page) < 5000:
                return [one for one in found if LEARNER in one["recipient"]]


def user_of(recipient: str) -> int:
    """Whose message it is: the number in the address or topic."""
    return int("".join(filter(str.isdecimal, recipient.partition("@")[0])))


def resident_mib(settings: Settings, program: str) -> int:
    (resident,) = [one.resident_mib for one in Stack(settings).status() if one.name == program]
    console.print(f"the {program} takes {resident} MiB")
    return resident


if __name__ == "__main__":
    main()
