"""Who may see the instructor's page: who knows its password. Wrong ones are counted by address, as wrong class codes are."""

from hmac import compare_digest

from nicegui import app, ui
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fraudlab.classroom.access import WRONG_OF_A_NAME, WrongCodes
from fraudlab.services.analytics.parts.elements import Words, block

LOGIN = "/login"
OPEN_PATHS = (LOGIN, "/_nicegui/", "/favicon.ico")


class Prefix:
    """Takes the class server's prefix off each path, and tells NiceGUI of it, which puts it before its own."""

    def __init__(self, inner: ASGIApp, prefix: str) -> None:
        self._inner, self._prefix = inner, prefix.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(f"{self._prefix}/"):
            path = scope["path"].removeprefix(self._prefix)
            headers = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-prefix"]
            headers.append((b"x-forwarded-prefix", self._prefix.encode()))
            scope = {**scope, "path": path, "raw_path": path.encode(), "headers": headers}
        await self._inner(scope, receive, send)


class Login(BaseHTTPMiddleware):
    """Sends everybody who has not given the password to the page that asks for it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Lets those in who have given it."""
        if app.storage.user.get("is_instructor") or request.url.path.startswith(OPEN_PATHS):
            return await call_next(request)
        return RedirectResponse(f"{request.headers.get('x-forwarded-prefix', '')}{LOGIN}")


def login_page(password: str) -> None:
    """The page that asks for the password."""
    wrong = WrongCodes()

    @ui.page(LOGIN, title="Log in")
    def login(request: Request) -> None:
        limits = [(f"address {request.headers.get('x-forwarded-for', '')}", WRONG_OF_A_NAME)]

        def enter() -> None:
            if wait_s := wrong.wait_s(limits):
                answer.set_text(f"Too many wrong passwords. Wait {int(wait_s) + 1} seconds, then try again.")
            elif compare_digest(str(field.value or "").strip().encode(), password.encode()):
                app.storage.user["is_instructor"] = True
                ui.navigate.to("/")
            else:
                wrong.note(key for key, _ in limits)
                answer.set_text("That is not the instructor's password.")

        with block("section", "card login"):
            Words("h1", "The class")
            Words("p", "This page is for the instructor.")
            field = ui.input("Password", password=True).props("outlined autofocus").on("keydown.enter", enter)
            ui.button("Log in", on_click=enter, color=None).props("unelevated no-caps").classes("fraud-button")
            answer = Words("p", "", "answer")
            answer.props["role"] = "alert"
            Words(
                "p", "`fraudlab class page` shows the password, on the machine that the class server runs on.", "quiet"
            )
