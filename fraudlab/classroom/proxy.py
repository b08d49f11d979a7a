"""The class server's only door: HTTPS for all, and for each request the JupyterLab or the hub to which it leads.

`configurable-http-proxy` from PyPI knows the routes, which the hub tells it. What it lacks is here: TLS, WebSockets with a subprotocol,
with bytes and with an end, and an honest address of who asks. Runs until it is told to end: `python -m fraudlab.classroom.proxy`.
"""

import asyncio
import json
import logging
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from configurable_http_proxy.configproxy import PythonProxy
from configurable_http_proxy.handlers import ProxyHandler
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketClientConnection, websocket_connect

from fraudlab.classroom import bodies, certificate, inside
from fraudlab.classroom.bodies import Bodies
from fraudlab.classroom.room import PROXY, Room
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.secret_store import write_private

AT_A_TIME = 1000
"""Requests that are under way together. Tornado's client makes do with 10, which a class fills while its pages load."""
ANSWER_S = 600
"""How long an answer may take: the hub answers only when a learner's JupyterLab has started."""
MESSAGE_BYTES = 100 * 2**20
"""Largest message of a kernel: a picture, or a notebook's worth of output."""
AWAY = (
    '<!doctype html><html lang="en"><title>One moment</title><meta http-equiv="refresh" content="3">'
    "<p>The class server is starting. This page tries again every three seconds. Your work is safe."
)
SAID_BY_PROXIES = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Real-Ip",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Scheme",
)
"""A browser that sends one of these wants to be somebody else: wrong codes are counted by address."""


@stream_request_body
class Door(ProxyHandler):  # type: ignore[misc] # it has no types
    """One request, or one WebSocket, of a browser."""

    def initialize(self, **options: Any) -> None:
        super().initialize(**options)
        self._early: list[str | bytes] = []
        """What the server said before the browser's WebSocket was open."""
        self._body = bytearray()
        self._refused = False

    def prepare(self) -> None:
        """Says who asks, whatever the browser says. Compression is for each connection to agree on."""
        headers = self.request.headers
        if not self._is_for_a_jupyterlab() and int(headers.get("Content-Length", 0)) > bodies.OUTSIDE_OF_JUPYTERLABS:
            raise HTTPError(413)
        for name in (*SAID_BY_PROXIES, "Sec-Websocket-Extensions"):
            headers.pop(name, None)
        headers["X-Forwarded-For"] = str(self.request.remote_ip)
        headers["X-Forwarded-Proto"] = self.request.protocol
        headers["X-Forwarded-Host"] = self.request.host

    def _is_for_a_jupyterlab(self) -> bool:
        return str(self.request.path).startswith("/user/")

    def data_received(self, chunk: bytes) -> None:
        """More of what the browser sends, before anybody knows who it is."""
        if self._refused:
            return
        self._body += chunk
        self.proxy.bodies.more(self, len(chunk))
        if not self._is_for_a_jupyterlab() and len(self._body) > bodies.OUTSIDE_OF_JUPYTERLABS:
            self.proxy.bodies.done(self)
            self.refuse()

    def refuse(self) -> None:
        """Hangs up."""
        self._refused = True
        self._body.clear()
        self.request.connection.stream.close()

    def on_finish(self) -> None:
        self.proxy.bodies.done(self)
        super().on_finish()

    def on_connection_close(self) -> None:
        self.proxy.bodies.done(self)
        super().on_connection_close()
        RequestHandler.on_connection_close(self)  # who waits for the rest of the body is told

    def handle_proxy_error_default(self, code: int, err: Exception | None) -> None:
        """What a browser shows while the hub is away: it comes back within seconds, and so does the page."""
        self.set_status(code)
        self.finish(AWAY)

    def _get_proxy_request(self, url: str) -> HTTPRequest:
        """Nobody is asked who cannot prove to be the hub, the page or a JupyterLab."""
        self.request.body = bytes(self._body)
        request: HTTPRequest = super()._get_proxy_request(url)
        request.ssl_options = self.proxy.trusted
        return request

    async def start_ws_client(self, path: str | None = None) -> None:
        """Opens the WebSocket of the server to which this one leads."""
        url = await self.get_target_url(path)
        if url is None:
            return
        self.closed = False
        request = self._get_proxy_request(f"ws{url.removeprefix('http')}")
        try:
            self.ws_client = await websocket_connect(
                request, on_message_callback=self._on_answer, max_message_size=MESSAGE_BYTES
            )
        except HTTPClientError as error:
            self.set_status(error.code)
            self.finish(error.message)
        except OSError as error:
            await self.handle_proxy_error(503, error)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that the server has chosen: both ends must read messages alike."""
        client: WebSocketClientConnection | None = self.ws_client
        chosen = client.selected_subprotocol if client is not None else None
        return chosen if chosen in subprotocols else None

    def open(self, *_: str, **__: str) -> None:
        """Passes on what the server has said already."""
        for message in self._early:
            self._pass_on(message)
        self._early.clear()

    def _on_answer(self, message: str | bytes | None) -> None:
        if message is None:  # the server has ended the conversation
            if self.ws_connection is not None and self.ws_client is not None:
                self.close(self.ws_client.close_code, self.ws_client.close_reason)
        elif self.ws_connection is None:
            self._early.append(message)
        else:
            self._pass_on(message)

    def _pass_on(self, message: str | bytes) -> None:
        if not self.closed:
            self.proxy.update_last_activity(self.target["prefix"])
            self.write_message(message, binary=isinstance(message, bytes))

    def on_message(self, message: str | bytes) -> None:
        """Passes on what the browser says."""
        if self.ws_client is not None:
            self.proxy.update_last_activity(self.target["prefix"])
            self.ws_client.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        self.closed = True
        super().on_close()


class Proxy(PythonProxy):  # type: ignore[misc] # it has no types
    """Keeps its routes in a file: one that was restarted leads to JupyterLabs at once, seconds before the hub tells it the routes again."""

    def __init__(self, options: dict[str, Any], kept: Path, trusted: ssl.SSLContext) -> None:
        known: dict[str, Any] = {}
        with suppress(FileNotFoundError, ValueError):
            known = json.loads(kept.read_text(encoding="utf-8"))
        self._kept = kept
        self.trusted = trusted
        self.bodies = Bodies()
        super().__init__(options)
        for path, data in known.items():
            if path != "/":  # that is the hub's, wherever it is now
                self.add_route(path, data)

    def add_route(self, path: str, data: dict[str, Any]) -> None:
        """Adds a route, or replaces it."""
        super().add_route(path, data)
        self._keep()

    def remove_route(self, path: str) -> Any:
        """Removes a route, if there is one."""
        removed = super().remove_route(path)
        self._keep()
        return removed

    def _keep(self) -> None:
        routes = {
            path: {name: value for name, value in data.items() if name != "last_activity"}
            for path, data in self.get_routes().items()
        }
        write_private(self._kept, json.dumps(routes))


def make(room: Room) -> Proxy:
    """The proxy, before it listens. What leads nowhere else is for the hub."""
    proxy = Proxy(
        {
            "auth_token": room.secrets.secret(PROXY),
            "default_target": room.hub_url,
            "error_target": f"{room.hub_url}/hub/error",
            "x_forward": False,
            "proxy_timeout": ANSWER_S,
        },
        room.folder / "routes.json",
        inside.as_proxy(room),
    )
    proxy.proxy_app = Application(
        [(r"/(.*)", Door, {"proxy": proxy})],
        log_function=lambda handler: None,  # nobody fills a log by asking
        compress_response=True,  # JupyterLab's page is 10 MB, and thirty load it at once by Wi-Fi
        websocket_max_message_size=MESSAGE_BYTES,
    )
    return proxy


async def serve(settings: Settings) -> None:
    """Listens on the class's address, and for the hub on loopback; never returns."""
    room = Room(settings)
    logging.getLogger("configurable_http_proxy").setLevel(logging.WARNING)  # else it tells of each look at its routes
    logging.getLogger("tornado.general").setLevel(
        logging.ERROR
    )  # and of each browser that doesn't know the certificate
    proxy = make(room)
    AsyncHTTPClient.configure(
        "tornado.simple_httpclient.SimpleAsyncHTTPClient",
        max_clients=AT_A_TIME,
        defaults={"ssl_options": proxy.trusted},  # for the hub's page that says what is wrong
    )
    HTTPServer(proxy.api_app, ssl_options=inside.proxys_api(room)).listen(settings.class_proxy_port, LOOPBACK)
    HTTPServer(proxy.proxy_app, ssl_options=certificate.context(room)).listen(settings.class_port, settings.class_host)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Settings()))
