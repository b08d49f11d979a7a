"""What all pages of this system have in common: limits, how they are served, and how they end."""

from typing import Any

from nicegui import app, ui

from fraudlab.services import open_pages
from fraudlab.services.request_limit import MAX_MESSAGE_BYTES, RequestLimit

RECONNECT_S = 60
"""How long a browser may be silent, on a busy machine, before its page is given up and reloaded."""
GRACE_S = 2


def limit() -> None:
    """Limits what a page takes: open pages, and bodies. Middleware that is added to `app` later sees a request first."""
    open_pages.limit()
    app.add_middleware(RequestLimit)


def run(host: str, port: int, favicon: str, **options: Any) -> None:
    """Serves the pages until the process is told to end. `options` are further options of `ui.run`."""
    ui.run(
        host=host,
        port=port,
        favicon=favicon,
        dark=None,
        reload=False,
        show=False,
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,  # no page binds values, and looking for changes ten times a second costs
        reconnect_timeout=RECONNECT_S,
        timeout_graceful_shutdown=GRACE_S,
        http="h11",  # it refuses more than 64 KiB of headers; httptools keeps them all
        ws_max_size=MAX_MESSAGE_BYTES,
        **options,
    )
