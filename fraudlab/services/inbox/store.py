"""What the inbox received, in an SQLite file: each message once, however often it was delivered; the newest 50,000."""

import contextlib
import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KEPT = 50_000
"""How many messages are kept, the newest ones: some 200 MB."""
FORGET_EVERY = 1_000
LOCK_PATIENCE_S = 1
"""How long to wait for a file that another program has locked; the page waits, too."""

log = logging.getLogger("fraudlab.inbox")

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  message_id TEXT NOT NULL,
  recipient TEXT NOT NULL,
  addressee TEXT NOT NULL,
  sender TEXT NOT NULL,
  title TEXT NOT NULL,
  text TEXT NOT NULL,
  html TEXT NOT NULL,
  headers TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  deliveries INTEGER NOT NULL DEFAULT 1,
  UNIQUE (kind, recipient, message_id)
);
CREATE INDEX IF NOT EXISTS recipients ON messages (recipient);
CREATE INDEX IF NOT EXISTS kinds ON messages (kind);
"""


class NotStoredError(Exception):
    """Nothing of a delivery was stored. It may succeed later. `full`: the disk is full; otherwise it was a lock or an I/O error."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"cannot be stored now: {cause}")
        self.full = "full" in str(cause)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message. `kind` is `email` or `push`, `recipient` an address or a topic; `received_ms` is when it first came.

    `addressee` is what the mail says: a name and an address, or whatever the sender wrote there.
    """

    number: int
    kind: str
    message_id: str
    recipient: str
    addressee: str
    sender: str
    title: str
    text: str
    html: str
    headers: str
    received_ms: int
    deliveries: int


class Store:
    """The file. One thread adds to it; any may read. What `add` has returned from outlives a kill of the process."""

    def __init__(self, path: Path, kept: int = KEPT) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._kept = kept
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_PATIENCE_S)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)
        self._reading = threading.Lock()
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._messages, self._again = Counter[str](), 0
        for kind, messages, deliveries in self._connection.execute(
            "SELECT kind, COUNT(*), SUM(deliveries) FROM messages GROUP BY kind"
        ):
            self._messages[kind] = messages
            self._again += deliveries - messages
        self.version = 0
        """Grows with every delivery."""

    @contextlib.contextmanager
    def delivery(self) -> Iterator[None]:
        """Everything added within the block is stored; or nothing is, and NotStoredError is raised."""
        before = self._messages.copy(), self._again, self.version
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except Exception as error:
            self._messages, self._again, self.version = before
            with contextlib.suppress(sqlite3.Error):  # after some errors there is nothing to roll back any more
                self._connection.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error | OSError):
                raise
            log.warning("a message cannot be stored, so its sender has to try again: %s", error)
            raise NotStoredError(error) from error

    def add(
        self,
        kind: str,
        message_id: str,
        recipient: str,
        *,
        title: str,
        text: str,
        addressee: str = "",
        sender: str = "",
        html: str = "",
        headers: str = "",
    ) -> Stored:
        """Takes in a delivery; one of a message that is there already (same kind, recipient and id) is counted, not kept."""
        values = (
            kind,
            message_id,
            recipient,
            addressee,
            sender,
            title,
            text,
            html,
            headers,
            time.time_ns() // 1_000_000,
        )
        row = self._connection.execute(
            "INSERT INTO messages (kind, message_id, recipient, addressee, sender, title, text, html, headers, received_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (kind, recipient, message_id) DO UPDATE SET deliveries = deliveries + 1 RETURNING *",
            values,
        ).fetchone()
        stored = Stored(*row)
        if stored.deliveries > 1:
            self._again += 1
        else:
            self._messages[kind] += 1
            if self._messages.total() >= self._kept + FORGET_EVERY:
                self._forget()
        self.version += 1
        return stored

    def _forget(self) -> None:
        for kind, deliveries in self._connection.execute(
            "DELETE FROM messages WHERE number <= (SELECT number FROM messages ORDER BY number DESC LIMIT 1 OFFSET ?) "
            "RETURNING kind, deliveries",
            (self._kept,),
        ).fetchall():
            self._messages[kind] -= 1
            self._again -= deliveries - 1

    def get(self, number: int) -> Stored | None:
        """One message; None where there is none of this number."""
        return next(iter(self._read("WHERE number = ?", number)), None)

    def find(
        self, *, to: str = "", kind: str = "", since_ms: int = 0, after: int = 0, limit: int = 1000
    ) -> list[Stored]:
        """Messages in the order in which they first came: to this recipient, of this kind, since then, after this number."""
        wanted = {"recipient": to, "kind": kind}
        conditions = "".join(f" AND {column} = ?" for column, value in wanted.items() if value)
        return self._read(
            f"WHERE number > ? AND received_ms >= ?{conditions} ORDER BY number LIMIT ?",
            after,
            since_ms,
            *filter(None, wanted.values()),
            limit,
        )

    def latest(self, kind: str, person: str, limit: int) -> list[Stored]:
        """The newest messages, newest first, in whose recipient, title or text `person` occurs."""
        return self._read(
            "WHERE kind = ? AND (? = '' OR instr(lower(recipient), ?) OR instr(lower(title), ?) "
            "OR instr(lower(text), ?)) ORDER BY number DESC LIMIT ?",
            kind,
            *[person.strip().lower()] * 4,
            limit,
        )

    def counts(self) -> dict[str, int]:
        """How many messages there are of each kind, and how many deliveries beyond the first."""
        return {"email": self._messages["email"], "push": self._messages["push"], "redelivered": self._again}

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()
        self._connection.close()

    def _read(self, which: str, *values: object) -> list[Stored]:
        with self._reading:
            return [Stored(*row) for row in self._reader.execute(f"SELECT * FROM messages {which}", values)]  # noqa: S608
