"""Keeps other web sites away from a page that is for this machine: they could make its browser ask for it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = (
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (
        b"cross-origin-resource-policy",
        b"same-origin",
    ),  # what the browser has kept of ours is not for a page on another port either
    (b"content-security-policy", b"frame-src 'self'"),  # a link in a mail does not take the mail's frame elsewhere
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class SameOrigin:
    """Refuses what another web site makes a browser send: another name for this host, and whatever its pages ask for.

    `names` are the hosts that the page is asked for by; None where any will do, because a password is asked for.
    """

    def __init__(self, inner: ASGIApp, names: frozenset[str] | None) -> None:
        self._inner, self._names = inner, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._is_ours(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse("This host name is not served here.", 403)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self._inner(scope, receive, send_with_headers)

    def _is_ours(self, scope: Scope) -> bool:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        try:
            if self._names is not None and urlsplit(f"//{host}").hostname not in self._names:
                return False
            if origin is not None and urlsplit(origin).netloc != host:
                return False
        except ValueError:  # no browser sends such names
            return False
        return _asks_for_itself(headers)


def _asks_for_itself(headers: dict[bytes, str]) -> bool:
    """Whether a page of this host asks, or you: by typing the address, or by a link from anywhere. Browsers say it of each request.

    Pages of others may ask without an Origin for what they only embed: a picture, a script, a style sheet. They would not see it, but
    learn that it is there.
    """
    if headers.get(b"sec-fetch-site") not in ("cross-site", "same-site"):
        return True
    return headers.get(b"sec-fetch-mode") == "navigate" and headers.get(b"sec-fetch-dest") == "document"
