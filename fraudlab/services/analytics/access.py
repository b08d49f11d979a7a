"""Who may see the dashboard: everybody on this machine; from elsewhere, who knows the password."""

import secrets

from nicegui import app, ui
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fraudlab.same_origin import LOOPBACK_NAMES, SameOrigin, is_loopback
from fraudlab.services.analytics.parts.elements import Words, block

LOGIN = "/login"
OPEN_PATHS = (LOGIN, "/_nicegui/", "/favicon.ico")


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
    app.add_middleware(SameOrigin, names=LOOPBACK_NAMES | {host} if is_loopback(host) else None)


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
                "It is `dashboard_password` in secrets.json, in the runtime folder of the machine that this dashboard runs on; "
                "in containers, DASHBOARD_PASSWORD in the file .env.",
                "quiet",
            )
