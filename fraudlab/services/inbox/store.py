"""What the inbox received, in an SQLite file: each message once, however often it was delivered; limited in number and bytes."""

import contextlib
import hashlib
import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

KEPT = 50_000
"""How many messages are kept."""
FORGET_EVERY = 1_000
MIB = 2**20
SHOWN = 1_000
"""Characters that are kept of a name, an address or a title; a mail's headers have all of it."""
ID_LENGTH = 250
START = 4_096
"""Characters at the start of a text that lists and searches read; the rest is read only for the whole message."""
SEARCHED = 300
"""Characters of a text in which a person is looked for: the greeting."""
LOCK_PATIENCE_S = 1
"""How long to wait for a file that another program has locked; the page waits, too."""

log = logging.getLogger("fraudlab.inbox")

SCHEMA = """
CREATE TABLE IF NOT EXISTS contents (
  content INTEGER PRIMARY KEY,
  bytes INTEGER NOT NULL,
  addressee TEXT NOT NULL,
  sender TEXT NOT NULL,
  title TEXT NOT NULL,
  text_start TEXT NOT NULL,
  text_rest TEXT NOT NULL,
  html TEXT NOT NULL,
  headers TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  message_id TEXT NOT NULL,
  recipient TEXT NOT NULL,
  content INTEGER NOT NULL,
  received_ms INTEGER NOT NULL,
  deliveries INTEGER NOT NULL DEFAULT 1,
  UNIQUE (kind, recipient, message_id)
);
CREATE INDEX IF NOT EXISTS recipients ON messages (recipient);
CREATE INDEX IF NOT EXISTS kinds ON messages (kind);
CREATE INDEX IF NOT EXISTS contents_used ON messages (content);
"""
ONE_CONTENT_A_MESSAGE = f"""
BEGIN IMMEDIATE;
ALTER TABLE messages RENAME TO earlier;
DROP INDEX recipients;
DROP INDEX kinds;
{SCHEMA}
INSERT INTO contents SELECT number, LENGTH(CAST(text AS BLOB)) + LENGTH(CAST(html AS BLOB)) + LENGTH(CAST(headers AS BLOB)),
  SUBSTR(addressee, 1, {SHOWN}), SUBSTR(sender, 1, {SHOWN}), SUBSTR(title, 1, {SHOWN}),
  SUBSTR(text, 1, {START}), SUBSTR(text, {START + 1}), html, headers FROM earlier;
INSERT INTO messages SELECT number, kind, message_id, recipient, number, received_ms, deliveries FROM earlier;
DROP TABLE earlier;
COMMIT;
"""  # noqa: S608
"""Brings a file of an earlier version up to date, which has the contents in the table `messages`."""
WHOLE = "text_start || text_rest, html, headers"
LISTED = "text_start, '', CASE kind WHEN 'push' THEN headers ELSE '' END"
OLDEST_FIRST = """
SELECT number FROM messages WHERE number NOT IN (SELECT MAX(number) FROM messages GROUP BY recipient) ORDER BY number
"""
NEWEST_OF_EACH = "SELECT MAX(number) AS number FROM messages GROUP BY recipient ORDER BY number"


class NotStoredError(Exception):
    """Nothing of a delivery was stored. It may succeed later. `full`: the disk is full; otherwise it was a lock or an I/O error."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"cannot be stored now: {cause}")
        self.full = "full" in str(cause)


def storable(text: str) -> str:
    """The text without lone surrogates, which some decoders let through, and neither SQLite nor JSON can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


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

    def __init__(self, path: Path, kept: int = KEPT, kept_bytes: int = 256 * MIB) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._kept, self._kept_bytes = kept, kept_bytes
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=LOCK_PATIENCE_S)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if self._connection.execute("SELECT 1 FROM pragma_table_info('messages') WHERE name = 'html'").fetchone():
            self._connection.executescript(ONE_CONTENT_A_MESSAGE)
        self._connection.executescript(SCHEMA)
        self._reading = threading.Lock()
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._messages, self._again = Counter[str](), 0
        for kind, messages, deliveries in self._connection.execute(
            "SELECT kind, COUNT(*), SUM(deliveries) FROM messages GROUP BY kind"
        ):
            self._messages[kind] = messages
            self._again += deliveries - messages
        self._bytes: int = self._connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM contents").fetchone()[0]
        self.version = 0
        """Grows with every delivery."""
        self._tidy_up()

    def _tidy_up(self) -> None:
        """Keeps to limits that have become lower, and gives unused space back to the disk, unless that is full."""
        with contextlib.suppress(NotStoredError), self.delivery():
            self._forget()
        with contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute(f"PRAGMA journal_size_limit = {4 * MIB}")
            unused, pages = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
            )
            if 2 * unused > pages:
                self._connection.execute("VACUUM")

    @contextlib.contextmanager
    def delivery(self) -> Iterator[None]:
        """Everything added within the block is stored; or nothing is, and NotStoredError is raised."""
        before = self._messages.copy(), self._again, self._bytes, self.version
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except Exception as error:
            self._messages, self._again, self._bytes, self.version = before
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
        *recipients: str,
        title: str,
        text: str,
        addressee: str = "",
        sender: str = "",
        html: str = "",
        headers: str = "",
    ) -> int:
        """Takes in a delivery; one of a message that is there already (same kind, recipient and id) is counted, not kept.

        Several recipients share one copy of the content. Gives the number of the last recipient's message.
        """
        if len(message_id) > ID_LENGTH:
            message_id = hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()
        content, now_ms, number = None, time.time_ns() // 1_000_000, 0
        for recipient in recipients:
            again = self._connection.execute(
                "UPDATE messages SET deliveries = deliveries + 1 WHERE kind = ? AND recipient = ? AND message_id = ? RETURNING number",
                (kind, recipient, message_id),
            ).fetchone()
            if again:
                self._again += 1
                (number,) = again
                continue
            if content is None:
                content = self._add_content(addressee, sender, title, text, html, headers)
            cursor = self._connection.execute(
                "INSERT INTO messages (kind, message_id, recipient, content, received_ms) VALUES (?, ?, ?, ?, ?)",
                (kind, message_id, recipient, content, now_ms),
            )
            number = cursor.lastrowid or 0
            self._messages[kind] += 1
        if self._messages.total() >= self._kept + FORGET_EVERY or self._bytes > self._kept_bytes:
            self._forget()
        self.version += 1
        return number

    def _add_content(self, addressee: str, sender: str, title: str, text: str, html: str, headers: str) -> int | None:
        size = sum(len(part.encode("utf-8", "replace")) for part in (text, html, headers))
        self._bytes += size
        names = (name[:SHOWN] for name in (addressee, sender, title))
        return self._connection.execute(
            "INSERT INTO contents (bytes, addressee, sender, title, text_start, text_rest, html, headers) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (size, *names, text[:START], text[START:], html, headers),
        ).lastrowid

    def _forget(self) -> None:
        """Keeps to both limits: the oldest messages go first, a recipient's newest one only when no others are left.

        So a flood of mail for one person does not push out what others have. Of the bytes a sixteenth more goes, so that
        not each delivery to a full store has to look for something to delete.
        """
        if self._messages.total() <= self._kept and self._bytes <= self._kept_bytes:
            return
        target = self._kept_bytes - self._kept_bytes // 16 if self._bytes > self._kept_bytes else self._kept_bytes
        oldest = (self._connection.execute(query).fetchall() for query in (OLDEST_FIRST, NEWEST_OF_EACH))
        for (number,) in chain.from_iterable(oldest):
            if self._messages.total() <= self._kept and self._bytes <= target:
                break
            kind, deliveries, content = self._connection.execute(
                "DELETE FROM messages WHERE number = ? RETURNING kind, deliveries, content", (number,)
            ).fetchone()
            self._messages[kind] -= 1
            self._again -= deliveries - 1
            if not self._connection.execute("SELECT 1 FROM messages WHERE content = ?", (content,)).fetchone():
                (size,) = self._connection.execute(
                    "DELETE FROM contents WHERE content = ? RETURNING bytes", (content,)
                ).fetchone()
                self._bytes -= size

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
        """The newest messages, newest first, in whose recipient, name, title or beginning `person` occurs, as a list shows them.

        `text` is the beginning of the text; `html` is empty, and so are the `headers` of a mail: they may be large.
        """
        return self._read(
            "WHERE kind = ? AND (? = '' OR instr(lower(recipient), ?) OR instr(lower(addressee), ?) "
            f"OR instr(lower(title), ?) OR instr(lower(substr(text_start, 1, {SEARCHED})), ?)) ORDER BY number DESC LIMIT ?",
            kind,
            *[person.strip().lower()] * 5,
            limit,
            bodies=LISTED,
        )

    def counts(self) -> dict[str, int]:
        """How many messages there are of each kind, and how many deliveries beyond the first."""
        return {"email": self._messages["email"], "push": self._messages["push"], "redelivered": self._again}

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()
        self._connection.close()

    def _read(self, which: str, *values: object, bodies: str = WHOLE) -> list[Stored]:
        query = (
            f"SELECT number, kind, message_id, recipient, addressee, sender, title, {bodies}, received_ms, deliveries "  # noqa: S608
            f"FROM messages JOIN contents USING (content) {which}"
        )
        with self._reading:
            return [Stored(*row) for row in self._reader.execute(query, values)]
