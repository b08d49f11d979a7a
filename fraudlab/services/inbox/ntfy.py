"""The inbox's push server: what of ntfy's publish API (https://docs.ntfy.sh/publish/) its clients need to publish."""

import re
import time
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from fraudlab.services.inbox.store import NotStoredError, Store, storable

MAX_MESSAGE_BYTES = 4096
MAX_ENCODED = 8_192
"""Characters of a header that may be encoded: Python's decoder takes seconds for longer ones, and nothing runs meanwhile."""
KEEP_S = 43_200
PRIORITIES = {"min": 1, "low": 2, "default": 3, "high": 4, "max": 5, "urgent": 5} | {
    str(one): one for one in range(1, 6)
}
NAMES = {
    "title": ("x-title", "title", "t"),
    "message": ("x-message", "message", "m"),
    "priority": ("x-priority", "priority", "prio", "p"),
    "tags": ("x-tags", "tags", "tag", "ta"),
    "click": ("x-click", "click"),
    "sequence_id": ("x-sequence-id", "sequence-id", "sid"),
}
"""By which names a header or a query parameter may come."""
TYPES: dict[str, type[Any]] = {
    "topic": str,
    "title": str,
    "message": str,
    "priority": int,
    "tags": list,
    "click": str,
    "sequence_id": str,
}
"""Of the fields of a JSON message."""


class InvalidError(ValueError):
    """A request that ntfy refuses: its own number of the error, the HTTP status being the first three digits, and the text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.status = code, code // 100


def router(store: Store) -> APIRouter:
    """The routes: POST and PUT of `/<topic>` as text, of `/` as JSON; GET `/v1/health`."""
    routes = APIRouter()

    @routes.get("/v1/health")
    async def health() -> dict[str, bool]:
        return {"healthy": True}

    async def publish(request: Request) -> JSONResponse:
        body = await request.body()
        try:
            topic = request.path_params.get("topic")
            message = _of_json(body) if topic is None else {"topic": topic, **_of_text(request, body)}
            with store.delivery():
                return JSONResponse(_publish(store, message))
        except NotStoredError as error:
            status = HTTPStatus.INSUFFICIENT_STORAGE if error.full else HTTPStatus.SERVICE_UNAVAILABLE
            content = {"code": status * 100 + 1, "http": status, "error": str(error)}
            return JSONResponse(content, status_code=status)
        except InvalidError as error:
            content = {"code": error.code, "http": error.status, "error": str(error)}
            return JSONResponse(content, status_code=error.status)

    routes.add_api_route("/", publish, methods=["POST", "PUT"])
    routes.add_api_route("/{topic}", publish, methods=["POST", "PUT"])
    return routes


def _of_json(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict) or not all(map(_is_typed, message.items())):
        raise InvalidError(40024, "invalid request: request body must be message JSON")
    return message


def _is_typed(field: tuple[str, Any]) -> bool:
    name, value = field
    if name not in TYPES or value is None:
        return True
    return type(value) is TYPES[name] and (name != "tags" or all(isinstance(tag, str) for tag in value))


def _of_text(request: Request, body: bytes) -> dict[str, Any]:
    given = {
        field: next(filter(None, (request.headers.get(name) or request.query_params.get(name) for name in names)), "")
        for field, names in NAMES.items()
    }
    message = {field: _decoded(value) for field, value in given.items()}
    return {**message, "message": message["message"] or body.decode("utf-8", "replace")}


def _decoded(header: str) -> str:
    """A header's text: UTF-8 as it is, or encoded as in a mail (RFC 2047); what cannot be decoded stays as it is, as in ntfy."""
    try:
        text = header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        text = header
    try:
        return storable(str(make_header(decode_header(text)))) if "=?" in text and len(text) <= MAX_ENCODED else text
    except (HeaderParseError, LookupError, ValueError):
        return text


def _publish(store: Store, given: dict[str, Any]) -> dict[str, Any]:
    """Stores a message. Gives the answer that ntfy gives."""
    topic = given.get("topic") or ""
    if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", topic):
        raise InvalidError(40009, "invalid request: topic invalid")
    text = given.get("message") or "triggered"
    if len(text.encode("utf-8", "replace")) > MAX_MESSAGE_BYTES:
        raise InvalidError(41301, "message too large")
    tags = given.get("tags") or []
    tags = [tag.strip() for tag in (tags.split(",") if isinstance(tags, str) else tags) if tag.strip()]
    sequence_id = given.get("sequence_id") or ""
    own_id = uuid4().hex[:12]
    now_s = int(time.time())
    answer = {
        "id": own_id,
        "sequence_id": sequence_id,
        "time": now_s,
        "expires": now_s + KEEP_S,
        "event": "message",
        "topic": topic,
        "title": given.get("title") or "",
        "message": text,
        "priority": _priority(given.get("priority")),
        "tags": tags,
        "click": given.get("click") or "",
    }
    answer = {field: value for field, value in answer.items() if value}
    headers = orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()
    store.add("push", sequence_id or own_id, topic, title=str(answer.get("title", "")), text=text, headers=headers)
    return answer


def _priority(given: object) -> int | None:
    if given in (None, "", 0):
        return None
    priority = PRIORITIES.get(str(given).lower())
    if priority is None:
        raise InvalidError(40007, "invalid request: priority invalid")
    return priority
