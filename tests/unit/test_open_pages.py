"""How many pages a NiceGUI server opens, whoever asks for them."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from nicegui import Client
from starlette.types import Message

from fraudlab.services.open_pages import CONNECTED_AFTER_S, MAX_PAGES, PageLimit

YOUNG, OLD = 0.0, 2 * CONNECTED_AFTER_S


def page(age_s: float, *, connected: bool = False) -> Any:
    """An open page as NiceGUI keeps it."""
    made = SimpleNamespace(has_socket_connection=connected, _delete_tasks={}, created=time.time() - age_s, id=object())
    made.delete = lambda: Client.instances.pop(made.id)
    return made


def asked(path: str, method: str = "GET") -> int:
    """The status of the answer; 200 is the page's own."""
    said: list[int] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        said.append(200)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            said.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(PageLimit(inner)({"type": "http", "method": method, "path": path, "headers": []}, receive, send))
    (status,) = said
    return status


@pytest.mark.parametrize(
    ("open_pages", "path", "method", "status", "left"),
    [
        ([], "/", "GET", 200, 0),
        ([(YOUNG, False)] * (MAX_PAGES - 1), "/", "GET", 200, MAX_PAGES - 1),
        ([(YOUNG, False)] * MAX_PAGES, "/", "GET", 503, MAX_PAGES),
        ([(YOUNG, False)] * MAX_PAGES, "/nothing/here", "GET", 503, MAX_PAGES),
        ([(YOUNG, False)] * MAX_PAGES, "/_nicegui/auto/static/x.js", "GET", 200, MAX_PAGES),
        ([(YOUNG, False)] * MAX_PAGES, "/api/messages", "GET", 200, MAX_PAGES),
        ([(YOUNG, False)] * MAX_PAGES, "/user-7", "POST", 200, MAX_PAGES),
        ([(OLD, False)] * MAX_PAGES, "/", "GET", 200, 0),
        ([(OLD, True)] * MAX_PAGES, "/", "GET", 503, MAX_PAGES),
        ([(OLD, True), *[(OLD, False)] * MAX_PAGES], "/", "GET", 200, 1),
    ],
)
def test_pages_beyond_the_limit_are_refused_and_those_without_a_browser_go_first(
    monkeypatch: pytest.MonkeyPatch,
    open_pages: list[tuple[float, bool]],
    path: str,
    method: str,
    status: int,
    left: int,
) -> None:
    monkeypatch.setattr(
        Client,
        "instances",
        {one.id: one for one in (page(age_s, connected=connected) for age_s, connected in open_pages)},
    )
    assert asked(path, method) == status
    assert len(Client.instances) == left
