"""The inbox's JSON, for tests and labs, and a mail's HTML for the page."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from fraudlab.services.inbox.store import Store

NO_HARM = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
"""A mail is a stranger's page: it runs nothing and fetches nothing."""


def router(store: Store) -> APIRouter:
    """The routes under `/api`."""
    routes = APIRouter(prefix="/api")

    @routes.get("/messages")
    async def messages(
        to: str = "",
        kind: str = "",
        since: int = 0,
        after: int = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> dict[str, Any]:
        """Messages in order of arrival. `since` is in ms since the epoch; `after` a message's number, for the next page."""
        found = store.find(to=to, kind=kind, since_ms=since, after=after, limit=limit)
        return {"counts": store.counts(), "messages": [one.as_dict() for one in found]}

    @routes.get("/messages/{number}/html")
    async def html(number: int) -> HTMLResponse:
        message = store.get(number)
        if message is None:
            raise HTTPException(404, "there is no message of this number")
        return HTMLResponse(
            message.html, headers={"Content-Security-Policy": NO_HARM, "X-Content-Type-Options": "nosniff"}
        )

    return routes
