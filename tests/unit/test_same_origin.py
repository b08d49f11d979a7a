"""Whom the dashboard and the inbox answer."""

import asyncio
from typing import Any

import pytest

from fraudlab.same_origin import SameOrigin, is_loopback

HERE = frozenset({"127.0.0.1", "localhost"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - only compared
        ("bank.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def answers(names: frozenset[str] | None, kind: str, host: str, origin: str | None, **fetch: str) -> bool:
    """Whether a request of this kind is let through. `fetch` is what a browser says of it: site, mode, dest."""
    reached, sent = [], []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    headers += [(f"sec-fetch-{name}".encode(), value.encode()) for name, value in fetch.items()]
    scope = {"type": kind, "headers": headers}
    asyncio.run(SameOrigin(inner, names)(scope, receive, send))
    assert bool(reached) is not bool(sent), "it is either let through or refused"
    return bool(reached)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("names", "host", "origin", "expected"),
    [
        (HERE, "127.0.0.1:18080", None, True),
        (HERE, "localhost:18080", "http://localhost:18080", True),
        (HERE, "rebound.example:18080", None, False),
        (HERE, "127.0.0.1:18080", "http://evil.example", False),
        (HERE, "127.0.0.1:18080", "http://127.0.0.1:8888", False),
        (HERE, "127.0.0.1:18080", "null", False),
        (HERE, "", None, False),
        (HERE, "[::1", None, False),
        (HERE, "127.0.0.1:18080", "http://[::1", False),
        (None, "bank.example", "https://bank.example", True),
        (None, "bank.example", "https://evil.example", False),
    ],
)
def test_only_pages_of_this_host_are_answered(
    kind: str, names: frozenset[str] | None, host: str, origin: str | None, expected: bool
) -> None:
    assert answers(names, kind, host, origin) is expected


@pytest.mark.parametrize(
    ("site", "mode", "dest", "expected"),
    [
        ("same-origin", "no-cors", "image", True),
        ("none", "navigate", "document", True),
        ("cross-site", "navigate", "document", True),
        ("same-site", "navigate", "document", True),
        ("cross-site", "no-cors", "image", False),
        ("same-site", "no-cors", "script", False),
        ("cross-site", "no-cors", "style", False),
        ("cross-site", "navigate", "iframe", False),
        ("same-site", "cors", "empty", False),
    ],
)
def test_pages_of_others_embed_nothing_and_may_only_lead_here(site: str, mode: str, dest: str, expected: bool) -> None:
    assert answers(HERE, "http", "127.0.0.1:18080", None, site=site, mode=mode, dest=dest) is expected


def test_a_page_on_another_port_gets_nothing_that_the_browser_has_kept_of_ours() -> None:
    """No request comes then that could be refused: the browser has to know it from the answer that it keeps."""
    sent = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=86400")]})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "headers": [(b"host", b"127.0.0.1:18080")]}
    asyncio.run(SameOrigin(inner, HERE)(scope, receive, send))
    assert (b"cross-origin-resource-policy", b"same-origin") in sent[0]["headers"]
