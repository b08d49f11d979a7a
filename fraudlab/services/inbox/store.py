"""What the inbox received, in an SQLite file: each message once, however often it was delivered."""

import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
"""


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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Store:
    """The file; for one thread. What `add` has returned from outlives a kill of the process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)
        self.version = 0
        """Grows with every delivery."""

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
        self.version += 1
        return Stored(*row)

    def get(self, number: int) -> Stored | None:
        """One message; None where there is none of this number."""
        row = self._connection.execute("SELECT * FROM messages WHERE number = ?", (number,)).fetchone()
        return Stored(*row) if row else None

    def find(
        self, *, to: str = "", kind: str = "", since_ms: int = 0, after: int = 0, limit: int = 1000
    ) -> list[Stored]:
        """Messages in the order in which they first came: to this recipient, of this kind, since then, after this number."""
        rows = self._connection.execute(
            "SELECT * FROM messages WHERE number > ? AND received_ms >= ? "
            "AND (? = '' OR recipient = ?) AND (? = '' OR kind = ?) ORDER BY number LIMIT ?",
            (after, since_ms, to, to, kind, kind, limit),
        )
        return [Stored(*row) for row in rows]

    def latest(self, kind: str, person: str, limit: int) -> list[Stored]:
        """The newest messages, newest first, in whose recipient, title or text `person` occurs."""
        rows = self._connection.execute(
            "SELECT * FROM messages WHERE kind = ? AND (? = '' OR instr(lower(recipient), ?) "
            "OR instr(lower(title), ?) OR instr(lower(text), ?)) ORDER BY number DESC LIMIT ?",
            (kind, *[person.strip().lower()] * 4, limit),
        )
        return [Stored(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many messages there are of each kind, and how many deliveries beyond the first."""
        counted = {"email": 0, "push": 0, "redelivered": 0}
        for kind, messages, deliveries in self._connection.execute(
            "SELECT kind, COUNT(*), SUM(deliveries) FROM messages GROUP BY kind"
        ):
            counted[kind] = messages
            counted["redelivered"] += deliveries - messages
        return counted

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()
