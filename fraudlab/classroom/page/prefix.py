"""The page's place at the class server's address."""

from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """Takes the class server's prefix off each path, and tells NiceGUI of it, which puts it before its own."""

    def __init__(self, inner: ASGIApp, prefix: str) -> None:
        self._inner, self._prefix = inner, prefix.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(f"{self._prefix}/"):
            path = scope["path"].removeprefix(self._prefix)
            headers = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-prefix"]
            headers.append((b"x-forwarded-prefix", self._prefix.encode()))
            scope = {**scope, "path": path, "raw_path": path.encode(), "headers": headers}
        await self._inner(scope, receive, send)
