"""The guard of Flink's web page. It holds the key of Flink's REST API, and passes on what a browser may ask for.

A browser is let in with the token that `fraudlab open flink` puts into its address. The guard then sends it to a folder whose name only
this run of the guard knows, and Flink's page is in that folder. There is no cookie: browsers send cookies to every port of a host, and
another user of this machine may listen on one. The browser keeps the folder's name in its storage for this origin, which knows of ports.
Only GET is passed on, and the page's own button for cancelling a job, which is a GET as well. Run as
`python -m fraudlab.stack.flink_guard`.
"""

import http.client
import logging
import secrets
from collections.abc import Iterator

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fraudlab.same_origin import LOOPBACK_NAMES, SameOrigin
from fraudlab.settings import Settings
from fraudlab.stack import flink, flink_page
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import SecretStore

PATIENCE_S = 30
"""For Flink's answer."""
NO_ANSWER = (OSError, http.client.HTTPException)
PIECE_BYTES = 65_536
ASKED_WITH = ("accept", "accept-encoding", "if-modified-since")
"""What of a request Flink gets to see."""
ANSWERED_WITH = (
    "content-type",
    "content-length",
    "content-encoding",
    "cache-control",
    "last-modified",
    "date",
    "expires",
)
"""What of Flink's answer the browser gets to see: not that pages from anywhere may read it."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>{head}
<body style="font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em"><h1>{title}</h1><p>{text}</p></body></html>"""
LET_IN = """<script>localStorage.setItem("folder", {folder!r}); location.replace({folder!r})</script>"""
KNOWN = """<script>
const folder = localStorage.getItem("folder");
if (folder && location.pathname === "/" && !location.search) location.replace(folder + location.hash);
</script>"""
"""A browser that has been let in finds the way from the address without a folder. After a new start the folder leads nowhere."""


class Guard:
    """An ASGI application: Flink's page in a folder for those who know its name."""

    def __init__(self, settings: Settings, token: str, folder: str = "") -> None:
        self._settings, self._token = settings, token
        self.folder = folder or f"/{secrets.token_urlsafe(24)}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        given = request.query_params.get(flink_page.TOKEN)
        if given is not None and _is_same(given, self._token):
            return _page(200, "Flink", "One moment.", LET_IN.format(folder=self.folder))
        path = request.scope["raw_path"].decode("ascii")
        if given is not None or not _is_same(path[: len(self.folder)], self.folder):
            return _stranger(wrong=given is not None)
        if request.method not in ("GET", "HEAD"):
            return _page(
                405, "Not from here", "This page shows jobs and cancels them. Jobs are submitted by `fraudlab`."
            )
        # the page's button is a GET, which any page can make a browser send: the browser says which one did
        if "/yarn-" in request.url.path and request.headers.get("sec-fetch-site") != "same-origin":
            return _page(403, "Not from here", "Only the button on Flink's own page cancels a job.")
        try:
            return await run_in_threadpool(self._forward, request, path[len(self.folder) - 1 :])
        except NO_ANSWER as error:
            return _page(
                502, "Flink does not answer", f"{type(error).__name__}. <code>fraudlab status</code> shows why."
            )

    def _forward(self, request: Request, path: str) -> Response:
        """Asks Flink, without a body. Raises NO_ANSWER. Bytes and addresses are passed on as they are, so this is not `flink_rest`."""
        query = request.scope["query_string"].decode("ascii")
        headers = {name: request.headers[name] for name in ASKED_WITH if name in request.headers}
        host, port = self._settings.flink_host, self._settings.flink_rest_port
        context = flink.rest_context(self._settings)
        connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=context)
        try:
            connection.request("GET", f"{path}?{query}" if query else path, headers=headers)
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        kept = {name: value for name in ANSWERED_WITH if (value := answer.getheader(name)) is not None}
        return StreamingResponse(_pieces(connection, answer), answer.status, kept)


def _is_same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _pieces(connection: http.client.HTTPSConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := answer.read(PIECE_BYTES):
            yield piece
    finally:
        connection.close()


def _stranger(*, wrong: bool) -> Response:
    said = "The token in this address is not that of this stack. " if wrong else ""
    return _page(
        401,
        "Flink asks who you are",
        f"{said}Run <code>fraudlab open flink</code> in a terminal (with Docker: <code>docker compose exec flink-page fraudlab open "
        "flink</code>). "
        "This browser is known until the page is started again. Why: anyone who can submit a job to Flink can run any program as you.",
        KNOWN,
    )


def _page(status: int, title: str, text: str, head: str = "") -> Response:
    return HTMLResponse(PAGE.format(title=title, text=text, head=head), status, {"Cache-Control": "no-store"})


def application(settings: Settings, token: str, folder: str = "") -> ASGIApp:
    """The guard, which answers under this machine's own names, and no page of another origin. Without a folder it makes one up."""
    return SameOrigin(Guard(settings, token, folder), LOOPBACK_NAMES | {settings.flink_page_host})


def main() -> None:
    """Runs until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings()
    token = SecretStore(Layout(settings.home).secrets).secret(flink_page.SECRET)
    uvicorn.run(
        application(settings, token),
        host=settings.bind_address(settings.flink_page_host),
        port=settings.flink_page_port,
        http="h11",  # refuses more than 64 KiB of headers; httptools keeps them all in memory
        lifespan="off",
        ws="none",
        access_log=False,  # an address may hold the token
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
