"""Limits what the programs that ask for a NiceGUI page can take of its server: memory for pages, lines of its log."""

import logging

from nicegui import Client, app
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_PAGES = 100
"""An open page takes 2 to 3 MB of the server's memory."""
CONNECTED_AFTER_S = 5.0
"""A browser opens a page's WebSocket well within this time. NiceGUI itself keeps a page without one for a minute."""
NO_PAGES = ("/_nicegui", "/api/")
"""What an open page and labs ask for. Any other path opens a page, if only the one that says that nothing is there."""


class PageLimit:
    """Answers 503 instead of opening one more page. First it forgets the pages that no browser has connected to."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and len(Client.instances) >= MAX_PAGES:
            Client.prune_instances(client_age_threshold=CONNECTED_AFTER_S)
            if len(Client.instances) >= MAX_PAGES and not scope["path"].startswith(NO_PAGES):
                answer = PlainTextResponse(
                    f"{MAX_PAGES} pages are open, and there is no room for more. Close some, then reload this one.",
                    status_code=503,
                    headers={"Retry-After": f"{CONNECTED_AFTER_S:.0f}"},
                )
                await answer(scope, receive, send)
                return
        await self._inner(scope, receive, send)


def limit() -> None:
    """Limits the pages that this process has open, and keeps out of its log what browsers ask it to log."""
    app.add_middleware(PageLimit)
    logging.getLogger("nicegui").addFilter(lambda record: record.funcName != Client.handle_log_message.__name__)
