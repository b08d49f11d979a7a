"""The log-in of a page that other machines reach: who knows the password gets in. Wrong ones are counted by address."""

from dataclasses import dataclass
from hmac import compare_digest

from nicegui import app, ui
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fraudlab.services.elements import Words, block
from fraudlab.services.wrong_tries import WrongTries

LOGIN = "/login"
OPEN_PATHS = (LOGIN, "/_nicegui/", "/favicon.ico")
WRONG_OF_AN_ADDRESS = 10
"""Within a minute."""


@dataclass(frozen=True)
class Wording:
    """What the log-in page says: the name of the page behind it, for whom it is, and where the password is found."""

    title: str
    why: str
    where: str


class Login(BaseHTTPMiddleware):
    """Sends everybody who has not given the password to the page that asks for it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Lets those in who have given it."""
        if app.storage.user.get("is_known") or request.url.path.startswith(OPEN_PATHS):
            return await call_next(request)
        return RedirectResponse(f"{request.headers.get('x-forwarded-prefix', '')}{LOGIN}")


def login_page(password: str, wording: Wording) -> None:
    """Makes the page that asks for the password."""
    wrong = WrongTries()

    @ui.page(LOGIN, title="Log in")
    def login(request: Request) -> None:
        address = request.client.host if request.client else ""

        def enter() -> None:
            if wait_s := wrong.wait_s([(address, WRONG_OF_AN_ADDRESS)]):
                answer.set_text(f"Too many wrong passwords. Wait {int(wait_s) + 1} seconds, then try again.")
            elif compare_digest(str(field.value or "").strip().encode(), password.encode()):
                app.storage.user["is_known"] = True
                ui.navigate.to("/")
            else:
                wrong.note([address])
                answer.set_text("That is not the password.")

        with block("section", "card login"):
            Words("h1", wording.title)
            Words("p", wording.why)
            field = ui.input("Password", password=True).props("outlined autofocus").on("keydown.enter", enter)
            ui.button("Log in", on_click=enter, color=None).props("unelevated no-caps").classes("fraud-button")
            answer = Words("p", "", "answer")
            answer.props["role"] = "alert"
            Words("p", wording.where, "quiet")
