"""What the inbox has received, asked through its JSON API."""

from typing import Any

import httpx

from fraudlab.settings import Settings
from tests.support.waiting import patient

PAGE = 5_000


def messages(settings: Settings, to: str = "") -> list[dict[str, Any]]:
    """All messages, or those to a recipient: an address, or a topic."""
    found: list[dict[str, Any]] = []
    transport = httpx.HTTPTransport(retries=8)  # half a minute: it may just be starting
    with httpx.Client(base_url=settings.inbox_url, timeout=patient(30), transport=transport) as client:
        while True:
            after = found[-1]["number"] if found else 0
            answer = client.get("/api/messages", params={"to": to, "after": after, "limit": PAGE})
            answer.raise_for_status()
            page = answer.json()["messages"]
            found += page
            if len(page) < PAGE:
                return found


def topic(settings: Settings, user_id: int) -> str:
    """Where a person's push messages go."""
    return settings.push_url.rpartition("/")[2].replace("{user_id}", str(user_id))
