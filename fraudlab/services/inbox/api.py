"""The inbox's JSON, for tests and labs, and a mail's HTML for the page."""

from collections.abc import Iterator
from typing import Annotated

import orjson
from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as UrlPath
from fastapi.responses import HTMLResponse, StreamingResponse

from fraudlab.services.inbox.markup import harmless
from fraudlab.services.inbox.store import Store

NO_HARM = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
"""A mail is a stranger's page: it runs nothing and fetches nothing."""
IN_MEMORY = 20
"""So many messages of an answer are in memory at a time: all of a large one took more than the inbox itself."""
LARGEST = 2**63 - 1
"""The largest integer that SQLite takes."""
Number = Annotated[int, Query(ge=0, le=LARGEST)]


def router(store: Store) -> APIRouter:
    """The routes under `/api`. They are no coroutines, so each runs in a thread and holds up neither page nor mail."""
    routes = APIRouter(prefix="/api")

    @routes.get("/messages")
    def messages(
        to: str = "",
        kind: str = "",
        since: Number = 0,
        after: Number = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> StreamingResponse:
        """Messages in order of arrival. `since` is in ms since the epoch; `after` a message's number, for the next page."""

        def pieces() -> Iterator[bytes]:
            yield b'{"counts":' + orjson.dumps(store.counts()) + b',"messages":['
            start, left = after, limit
            while found := store.find(to=to, kind=kind, since_ms=since, after=start, limit=min(left, IN_MEMORY)):
                comma = b"," if left < limit else b""
                yield comma + b",".join(map(orjson.dumps, found))
                start, left = found[-1].number, left - len(found)
            yield b"]}"

        return StreamingResponse(pieces(), media_type="application/json")

    @routes.get("/messages/{number}/html")
    def html(number: Annotated[int, UrlPath(ge=0, le=LARGEST)]) -> HTMLResponse:
        message = store.get(number)
        if message is None:
            raise HTTPException(404, "there is no message of this number")
        return HTMLResponse(
            harmless(message.html),
            headers={
                "Content-Security-Policy": NO_HARM,
                "X-Content-Type-Options": "nosniff",
                "X-DNS-Prefetch-Control": "off",
            },
        )

    return routes
