"""Who may see the dashboard: everybody on this machine; from elsewhere, who knows the password."""

import secrets
from ipaddress import ip_address
from urllib.parse import urlsplit

from nicegui import app, ui
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fraudlab.services.analytics.parts.elements import Words, block

LOGIN = "/login"
OPEN_PATHS = (LOGIN, "/_nicegui/", "/favicon.ico")
HEADERS = ((b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"), (b"x-content-type-options", b"nosniff"))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class SameOrigin:
    """Refuses what another web site makes a browser send: another name for this host, and connections from its pages.

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
        if self._names is not None and urlsplit(f"//{host}").hostname not in self._names:
            return False
        return origin is None or urlsplit(origin).netloc == host


class Login(BaseHTTPMiddleware):
    """Sends everybody who has not given the password to the page that asks for it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Lets those in who have given it."""
        if app.storage.user.get("is_known") or request.url.path.startswith(OPEN_PATHS):
            return await call_next(request)
        return RedirectResponse(LOGIN)


def guard(host: str, password: str) -> None:
    """Protects the whole application.

    Args:
        host: The address that it is bound to. Where that is not loopback, the password is asked for.
        password: The password.
    """
    if not is_loopback(host):
        app.add_middleware(Login)
        _login_page(password)
    app.add_middleware(
        SameOrigin, names=frozenset({"127.0.0.1", "localhost", "::1", host}) if is_loopback(host) else None
    )


def _login_page(password: str) -> None:
    @ui.page(LOGIN, title="Log in")
    def login() -> None:
        def enter() -> None:
            if secrets.compare_digest(str(field.value or "").encode(), password.encode()):
                app.storage.user["is_known"] = True
                ui.navigate.to("/")
            else:
                answer.set_text("That is not the password.")

        with block("section", "card login"):
            Words("h1", "Fraud, live")
            Words("p", "This dashboard can be reached from other machines, so it asks who you are.")
            field = ui.input("Password", password=True).props("outlined autofocus").on("keydown.enter", enter)
            ui.button("Log in", on_click=enter, color=None).props("unelevated no-caps").classes("fraud-button")
            answer = Words("p", "", "answer")
            answer.props["role"] = "alert"
            Words(
                "p",
                "It is `dashboard_password` in secrets.json, in the runtime folder of the machine that this dashboard runs on.",
                "quiet",
            )
