"""Who may see the dashboard: everybody on this machine; from elsewhere, who knows the password."""

from nicegui import app

from fraudlab.same_origin import LOOPBACK_NAMES, SameOrigin, is_loopback
from fraudlab.services.login import Login, Wording, login_page

WORDING = Wording(
    "Fraud, live",
    "This dashboard can be reached from other machines, so it asks who you are.",
    "It is `dashboard_password` in secrets.json, in the runtime folder of the machine that this dashboard runs on; "
    "in containers, DASHBOARD_PASSWORD in the file .env.",
)


def guard(host: str, password: str) -> None:
    """Protects the whole application.

    Args:
        host: The address that it is bound to. Where that is not loopback, the password is asked for.
        password: The password.
    """
    if not is_loopback(host):
        app.add_middleware(Login)
        login_page(password, WORDING)
    app.add_middleware(SameOrigin, names=LOOPBACK_NAMES | {host} if is_loopback(host) else None)
