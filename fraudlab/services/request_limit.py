"""Reads no more of a request than a page of ours needs, whatever a client sends: it would all be kept in memory."""

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 2**14
MAX_MESSAGE_BYTES = 2**18
"""Of a WebSocket: an event of a page, such as a click or a text that was typed."""
CLOSE = (b"connection", b"close")


class TooLargeError(Exception):
    """A body is larger than MAX_BODY_BYTES."""


class RequestLimit:
    """Answers 413 as soon as a body is too large, with or without a Content-Length. What is still to come is not read.

    Nor is a body in chunks of which the application wants to know nothing: the connection ends with the answer.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        given = dict(scope["headers"])
        if int(given.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            await _refuse(send)
            return
        read, ended, answered = 0, b"transfer-encoding" not in given, False

        async def receive_no_more() -> Message:
            nonlocal read, ended
            message = await receive()
            read += len(message.get("body", b""))
            ended = ended or not message.get("more_body", False)
            if read > MAX_BODY_BYTES:
                raise TooLargeError
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal answered
            answered = True
            if message["type"] == "http.response.start" and not ended:
                message["headers"] = [*message["headers"], CLOSE]
            await send(message)

        try:
            await self._inner(scope, receive_no_more, send_and_note)
        except TooLargeError:
            if not answered:
                await _refuse(send)


async def _refuse(send: Send) -> None:
    """The answer, as ntfy gives it; afterwards the connection ends, so that the rest of the body is not read."""
    error = {"code": 41301, "http": 413, "error": "request body too large"}
    headers = [(b"content-type", b"application/json"), CLOSE]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(error)})
