"""A mail server and a push server that misbehave on command, on real sockets."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import orjson

from fraudlab.settings import LOOPBACK

FAULTS = ("down", "slow", "silent", "busy", "cuts", "drops")
"""What passes: no server, one that takes its time, one that never answers, one that says later, one that hangs up in the middle of
the message, one that takes it and hangs up before it says so."""
SLOW_S = 0.5


class Server:
    """A server in a thread of its own; `ids` are those of the messages that it took, in order, also where it hung up afterwards."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.fault: str | None = None
        self.silent_about: frozenset[str] = frozenset()
        """Domains of recipients at whose names it falls silent, as a relay does that asks their own servers."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.have(None)

    def have(self, fault: str | None) -> None:
        """From now on it has this fault (one of FAULTS, or `refuses`), or none."""
        self.fault = fault
        self._run(self._down() if fault == "down" else self._up())

    def close(self) -> None:
        """Ends it."""
        self._run(self._down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _up(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port, limit=2**20)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self.fault == "silent":
                    await asyncio.sleep(3600)
                await self._talk(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class MailServer(Server):
    """As much SMTP as smtplib needs."""

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).strip().upper():
            if self.fault == "slow":
                await asyncio.sleep(SLOW_S)
            if self.fault == "silent":
                await asyncio.sleep(3600)
            if line == b"DATA":
                writer.write(b"354 go on\r\n")
                if self.fault == "cuts":
                    await reader.readuntil(b"Subject: ")
                    return
                content = await reader.readuntil(b"\r\n.\r\n")
                if self.fault == "busy":
                    writer.write(b"451 later\r\n")
                    continue
                self.ids.append(message_from_bytes(content)["Message-ID"].strip("<>").partition("@")[0])
                if self.fault == "drops":
                    return
                writer.write(b"250 taken\r\n")
            elif line.startswith(b"RCPT") and _domain(line) in self.silent_about:
                await asyncio.sleep(3600)
            elif line.startswith(b"RCPT") and self.fault == "refuses":
                writer.write(b"550 no such user here\r\n")
            elif line == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 ok\r\n")


def _domain(command: bytes) -> str:
    return command.decode().partition("@")[2].partition(">")[0].lower()


class PushServer(Server):
    """As much HTTP as a publication needs."""

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if self.fault == "cuts":
                return
            headers = dict(line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
            body = orjson.loads(await reader.readexactly(int(headers[b"content-length"])))
            if self.fault == "slow":
                await asyncio.sleep(SLOW_S)
            if self.fault == "silent":
                await asyncio.sleep(3600)
            if self.fault == "busy":
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater")
                continue
            if self.fault == "refuses":
                writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nforbidden")
                continue
            self.ids.append(body["sequence_id"])
            if self.fault == "drops":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-")
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@contextlib.contextmanager
def servers() -> Iterator[dict[str, Server]]:
    """Both, by the name of their channel."""
    both: dict[str, Server] = {"email": MailServer(), "push": PushServer()}
    try:
        yield both
    finally:
        for server in both.values():
            server.close()
