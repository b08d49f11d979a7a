"""What the inbox has received, asked through its JSON API; and an inbox or a dashboard of its own, without the rest of the system."""

import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.second_stack import free_ports
from tests.support.home import outside_pytest
from tests.support.waiting import eventually, patient

PAGE = 5_000


def messages(settings: Settings, to: str = "") -> list[dict[str, Any]]:
    """All messages, or those to a recipient: an address, or a topic."""
    found: list[dict[str, Any]] = []
    transport = httpx.HTTPTransport(retries=8)  # half a minute: it may just be starting
    with httpx.Client(base_url=settings.inbox_url, timeout=patient(30), transport=transport) as client:
        while True:
            after = found[-1]["number"] if found else 0
            answer = client.get("/api/messages", params={"to": to, "after": after, "limit": PAGE})
            answer.raise_for_status()
            page = answer.json()["messages"]
            found += page
            if len(page) < PAGE:
                return found


def topic(settings: Settings, user_id: int) -> str:
    """Where a person's push messages go."""
    return settings.push_url.rpartition("/")[2].replace("{user_id}", str(user_id))


@contextmanager
def running_inbox(folder: Path, **settings: Any) -> Iterator[tuple[Settings, int]]:
    """An inbox with its home in that folder: its settings, and the id of its process."""
    smtp, http = free_ports(2)
    made = Settings(home=folder, inbox_smtp_port=smtp, inbox_http_port=http, **settings)
    with _running("fraudlab.services.inbox", made, lambda: takes_mail(made)) as process_id:
        yield made, process_id


@contextmanager
def running_dashboard(folder: Path) -> Iterator[tuple[Settings, int]]:
    """A dashboard that waits for Kafka and MySQL, which are not there."""
    (port,) = free_ports(1)
    made = Settings(home=folder, dashboard_port=port)
    with _running("fraudlab.services.analytics", made, lambda: answers(f"{made.dashboard_url}/land.svg")) as process_id:
        yield made, process_id


@contextmanager
def running_flink_page(folder: Path) -> Iterator[tuple[Settings, int]]:
    """The guard of a Flink that is not there."""
    (port,) = free_ports(1)
    made = Settings(home=folder, flink_page_port=port)
    with _running("fraudlab.stack.flink_guard", made, lambda: ports.page_problem(LOOPBACK, port) is None) as process_id:
        yield made, process_id


@contextmanager
def _running(module: str, settings: Settings, ready: Callable[[], bool]) -> Iterator[int]:
    with (settings.home / "output.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=outside_pytest() | settings.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(ready, f"{module} answers")
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def takes_mail(settings: Settings) -> bool:
    """Whether both its servers answer."""
    try:
        with smtplib.SMTP(LOOPBACK, settings.inbox_smtp_port, timeout=patient(5)):
            return answers(f"{settings.inbox_url}/v1/health")
    except (OSError, smtplib.SMTPException):
        return False


def answers(url: str) -> bool:
    """Whether a page is there."""
    try:
        return httpx.get(url, trust_env=False, timeout=patient(5)).is_success
    except httpx.HTTPError:
        return False
